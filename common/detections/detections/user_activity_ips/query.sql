SELECT operation, count(DISTINCT ip) AS distinct_ips, count(*) AS operations
FROM office_rows
GROUP BY operation
