SELECT a.address AS ip,
       l.country_code,
       l.country,
       l.city,
       l.latitude,
       l.longitude
FROM (SELECT DISTINCT address FROM office_operations) a
LEFT JOIN locations l ON a.address = l.address
WHERE l.country_code IS NOT NULL OR l.latitude IS NOT NULL
