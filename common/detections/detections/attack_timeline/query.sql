SELECT time_generated,
       event_class,
       activity,
       action,
       source_ip,
       destination_ip,
       destination_port,
       bytes_sent,
       bytes_received,
       application_protocol,
       source_user_name
FROM attack_events
