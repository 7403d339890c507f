-- One SELECT over the rollups that detection.toml names. It runs once per shard. Rows with the same bucket key of the rollup,
-- here all rows of a source, are in one shard.
SELECT source_ip,
       count(*) AS destinations,
       sum(sessions) AS sessions,
       sum(bytes_sent) AS bytes_sent,
       min(first_seen) AS _first_seen,
       max(last_seen) AS _last_seen
FROM external_pairs
WHERE sessions > 0
GROUP BY source_ip
HAVING count(*) >= $min_destinations
