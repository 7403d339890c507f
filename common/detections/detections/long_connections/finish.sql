-- An unknown destination counts as rare, but not as known to be rare.
SELECT source_ip,
       destination_ip,
       longest_s,
       closed_sessions,
       open_sessions,
       bytes_sent,
       bytes_received,
       destination_port,
       known_service_name(destination_port, $known_services) AS known_service,
       distinct_sources AS destination_sources,
       first_seen,
       last_seen,
       coalesce(distinct_sources <= 2 AND total_sources >= $min_sources, false) AS _is_rare
FROM candidates
LEFT JOIN (
    SELECT name, distinct_sources, total_sources
    FROM prevalence
    WHERE kind = 'ip'
)
  ON canonical_address(destination_ip) = name
