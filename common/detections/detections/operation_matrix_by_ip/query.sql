SELECT o.address AS ip,
       l.country_code,
       o.operation,
       sum(o.events) AS operations
FROM office_operations o
LEFT JOIN locations l ON o.address = l.address
GROUP BY o.address, l.country_code, o.operation
