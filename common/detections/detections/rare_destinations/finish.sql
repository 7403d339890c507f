-- `prevalence` counts all pairs of the window, including those below min_mb. The rarity of a destination is part of the risk of
-- every finding that names it, so a pair that `data_exfiltration` finds is not found again: `transfer` is its rank there.
SELECT source_ip,
       destination_ip,
       sessions,
       bytes_sent,
       bytes_received,
       first_seen,
       last_seen,
       source_destinations,
       total_sources,
       transfer_score(bytes_sent, bytes_received, 1.0) AS _score,
       _outbound,
       _in_data_exfiltration,
       _by_name
FROM (
    SELECT *,
           count(*) OVER (PARTITION BY source_ip) AS source_destinations,
           row_number() OVER (
               PARTITION BY source_ip
               ORDER BY _outbound DESC, bytes_sent DESC NULLS LAST, destination_ip
           ) AS place
    FROM (
        SELECT *,
               coalesce(CAST(bytes_sent AS DOUBLE) >= $min_sent_mb * 1048576.0
                        AND CAST(bytes_sent AS DOUBLE) >= $min_ratio * CAST(coalesce(bytes_received, 0) AS DOUBLE), false) AS _outbound,
               coalesce(transfer <= $transfers AND megabytes(bytes_sent) > $min_transfer_mb, false) AS _in_data_exfiltration
        FROM (
            SELECT *,
                   row_number() OVER (ORDER BY megabytes(bytes_sent) DESC NULLS LAST, source_ip, destination_ip) AS transfer
            FROM candidates
        )
        JOIN (
            SELECT name, total_sources
            FROM prevalence
            WHERE kind = 'ip' AND distinct_sources = 1 AND total_sources >= $min_sources
        )
          ON destination_ip = name
    )
)
WHERE place <= $per_source
