SELECT source_ip,
       destination_ip,
       sessions,
       bytes_sent,
       bytes_received,
       megabytes(bytes_sent + bytes_received) AS total_mb
FROM external_pairs
WHERE sessions > 0
UNION ALL
SELECT source_ip,
       destination_ip,
       sessions,
       bytes_sent,
       bytes_received,
       megabytes(bytes_sent + bytes_received) AS total_mb
FROM internal_pairs
WHERE sessions > 0
