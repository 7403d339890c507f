SELECT *,
       CASE WHEN total_received_mb > 0.0 THEN round_half_up(total_sent_mb / total_received_mb, 2)
            ELSE total_sent_mb END AS ratio
FROM (
    SELECT source_ip,
           destination_ip,
           sessions,
           megabytes(bytes_sent) AS total_sent_mb,
           megabytes(bytes_received) AS total_received_mb,
           megabytes(max_bytes_sent) AS max_single_sent_mb,
           first_seen,
           last_seen
    FROM external_pairs
    WHERE megabytes(bytes_sent) > $min_sent_mb
)
