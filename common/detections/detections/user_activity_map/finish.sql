-- Rows are sharded by operation, so an address may come from several shards. A sum of counts is never null.
SELECT ip, country, city, latitude, longitude, coalesce(sum(operations), 0) AS operations
FROM candidates
GROUP BY ip, country, city, latitude, longitude
