SELECT DISTINCT ip AS address
FROM office_rows
WHERE ip IS NOT NULL
