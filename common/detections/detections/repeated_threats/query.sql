SELECT host,
       activity,
       threat,
       sum(events) AS events,
       sum(stopped_events) AS stopped_events,
       count(peer) AS peers,
       min(first_seen) AS first_seen,
       max(last_seen) AS last_seen,
       max(1 - is_inbound) AS _outbound
FROM threat_hosts
WHERE host IS NOT NULL
GROUP BY host, activity, threat
HAVING sum(events) >= $min_events
