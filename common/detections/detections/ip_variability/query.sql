SELECT "user",
       operation,
       count(DISTINCT address) AS distinct_ips,
       sum(events) AS operations
FROM office_accounts
GROUP BY "user", operation
HAVING count(DISTINCT address) > 1
