-- The largest pairs of all shards are among the largest of each.
SELECT source_ip,
       destination_ip,
       sessions,
       total_sent_mb,
       total_received_mb,
       max_single_sent_mb,
       first_seen,
       last_seen,
       CASE WHEN total_received_mb > 0.0 THEN round_half_up(total_sent_mb / total_received_mb, 2)
            ELSE total_sent_mb END AS ratio,
       _bytes_sent,
       _bytes_received
FROM (
    SELECT *, row_number() OVER (ORDER BY total_sent_mb DESC, source_ip, destination_ip) AS place
    FROM (
        SELECT source_ip,
               destination_ip,
               sessions,
               megabytes(bytes_sent) AS total_sent_mb,
               megabytes(bytes_received) AS total_received_mb,
               megabytes(max_bytes_sent) AS max_single_sent_mb,
               first_seen,
               last_seen,
               bytes_sent AS _bytes_sent,
               bytes_received AS _bytes_received
        FROM external_pairs
        WHERE megabytes(bytes_sent) > $min_sent_mb
    )
)
WHERE place <= $limit
