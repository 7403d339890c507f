SELECT operation, result_status, ip, count(*) AS operations
FROM office_rows
GROUP BY operation, result_status, ip
