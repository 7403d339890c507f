SELECT hour, operation, count(*) AS operations
FROM (SELECT floor_time(time, 3600000000) AS hour, operation FROM office_rows)
GROUP BY hour, operation
