SELECT l.country_code,
       l.city,
       o.operation,
       sum(o.events) AS operations
FROM office_operations o
LEFT JOIN locations l ON o.address = l.address
GROUP BY l.country_code, l.city, o.operation
