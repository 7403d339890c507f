SELECT r.ip, l.country, l.city, l.latitude, l.longitude, r.operations
FROM (
    SELECT ip, plain(ip) AS address, count(*) AS operations
    FROM office_rows
    WHERE ip IS NOT NULL
    GROUP BY ip
) r
LEFT JOIN locations l ON r.address = l.address
