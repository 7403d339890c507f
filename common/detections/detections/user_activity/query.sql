SELECT r.time,
       r.operation,
       r.record_type,
       r.workload,
       r.result_status,
       r."user",
       r.ip,
       r.user_agent,
       r.object,
       l.country,
       l.city
FROM (SELECT *, plain(ip) AS address FROM office_rows) r
LEFT JOIN locations l ON r.address = l.address
