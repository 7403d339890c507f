SELECT record_type,
       operation,
       count(DISTINCT address) AS distinct_ips,
       count(DISTINCT "user") AS distinct_users,
       sum(events) AS operations
FROM office_operations
GROUP BY record_type, operation
