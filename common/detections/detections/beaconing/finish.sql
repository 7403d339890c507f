-- The score that decides severity and confidence is hidden, so that the table has the notebook's columns.
SELECT source_ip,
       destination_ip,
       avg_delta,
       std_delta,
       min_delta,
       max_delta,
       intervals,
       jitter,
       _first_seen,
       _last_seen,
       round_half_up(
           _own_score * greatest(coalesce(beacon_prevalence(distinct_sources, total_sources), 1.0), $common_factor),
           4
       ) AS _score,
       _by_name,
       _port,
       _bytes_sent,
       _bytes_received,
       _name,
       distinct_sources AS _destination_sources
FROM candidates
LEFT JOIN (
    SELECT name, distinct_sources, total_sources
    FROM prevalence
    WHERE kind = 'ip'
)
  ON canonical_address(destination_ip) = name
