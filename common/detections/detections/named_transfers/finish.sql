-- As in data_exfiltration, by the rarity of the name.
SELECT source_ip,
       destination_name,
       destination_ip,
       addresses,
       sessions,
       total_sent_mb,
       total_received_mb,
       max_single_sent_mb,
       CASE WHEN total_received_mb > 0.0 THEN round_half_up(total_sent_mb / total_received_mb, 2)
            ELSE total_sent_mb END AS ratio,
       distinct_sources AS destination_sources,
       first_seen,
       last_seen,
       transfer_score(_bytes_sent, _bytes_received, beacon_prevalence(distinct_sources, total_sources)) AS _score
FROM candidates
LEFT JOIN (
    SELECT name, distinct_sources, total_sources
    FROM prevalence
    WHERE kind = 'url'
)
  ON destination_name = name
