-- The more sources talk to a destination, the less its rhythm means, down to a quarter: a beacon may hide behind a destination of all.
-- An unknown destination counts as rare.
SELECT source_ip,
       destination_ip,
       sessions,
       interval_s,
       second_interval_s,
       beats,
       missed_beats,
       timing_score,
       size_score,
       coverage_score,
       prevalence_score,
       service_factor,
       round_half_up(_own_score * greatest(coalesce(prevalence_score, 1.0), $common_factor), 4) AS score,
       destination_sources,
       destination_port,
       known_service,
       _first_seen AS first_seen,
       _last_seen AS last_seen,
       _in_beaconing
FROM (
    SELECT *,
           distinct_sources AS destination_sources,
           beacon_prevalence(distinct_sources, total_sources) AS prevalence_score
    FROM candidates
    LEFT JOIN (
        SELECT name, distinct_sources, total_sources
        FROM prevalence
        WHERE kind = 'ip'
    )
      ON canonical_address(destination_ip) = name
)
