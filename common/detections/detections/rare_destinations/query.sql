-- All rows of a source are in one shard, but not all rows of a destination: finish.sql checks whether another source talks to it.
-- All spellings of an address are one destination there, and so they are here.
SELECT source_ip,
       canonical_address(destination_ip) AS destination_ip,
       sum(sessions) AS sessions,
       sum(bytes_sent) AS bytes_sent,
       sum(bytes_received) AS bytes_received,
       min(first_seen) AS first_seen,
       max(last_seen) AS last_seen
FROM external_pairs
WHERE sessions > 0
GROUP BY source_ip, canonical_address(destination_ip)
HAVING CAST(coalesce(sum(bytes_sent), 0) + coalesce(sum(bytes_received), 0) AS DOUBLE) >= $min_mb * 1048576.0
