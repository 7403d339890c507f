-- The fewer sources talk to a destination, the more a transfer to it means. An unknown destination counts as rare.
SELECT source_ip,
       destination_ip,
       sessions,
       total_sent_mb,
       total_received_mb,
       max_single_sent_mb,
       first_seen,
       last_seen,
       ratio,
       transfer_score(_bytes_sent, _bytes_received, beacon_prevalence(distinct_sources, total_sources)) AS _score,
       distinct_sources AS _destination_sources,
       _by_name
FROM candidates
LEFT JOIN (
    SELECT name, distinct_sources, total_sources
    FROM prevalence
    WHERE kind = 'ip'
)
  ON canonical_address(destination_ip) = name
