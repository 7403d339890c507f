-- An address whose name keeps time as well is the same pair; so is one that keeps no time itself.
-- A name has the sizes of its address if its own rows have none.
-- The more sources talk to a destination, the less its rhythm means, down to a quarter: a beacon may hide behind a destination of all.
-- An unknown destination counts as rare.
SELECT source_ip,
       destination_ip,
       destination_name,
       sessions,
       interval_s,
       second_interval_s,
       beats,
       missed_beats,
       timing_score,
       size_score,
       polling_score,
       coverage_score,
       prevalence_score,
       service_factor,
       round_half_up(
           beacon_own_score(
               beacon_regularity(timing_score, polling_score), size_score, coverage_score, coalesce(beats, _seconds), service_factor
           )
           * greatest(coalesce(prevalence_score, 1.0), $common_factor),
           4
       ) AS score,
       destination_sources,
       destination_port,
       known_service,
       _first_seen AS first_seen,
       _last_seen AS last_seen,
       _in_beaconing
FROM (
    SELECT source_ip,
           destination_ip,
           destination_name,
           sessions,
           interval_s,
           second_interval_s,
           beats,
           missed_beats,
           timing_score,
           coalesce(size_score, size_of_address) AS size_score,
           polling_score,
           coverage_score,
           beacon_prevalence(distinct_sources, total_sources) AS prevalence_score,
           service_factor,
           distinct_sources AS destination_sources,
           destination_port,
           known_service,
           _first_seen,
           _last_seen,
           _in_beaconing,
           _seconds
    FROM candidates
    LEFT JOIN (
        SELECT source_ip AS name_source, destination_name AS name, timing_score AS timing_of_name
        FROM candidates
        WHERE destination_name IS NOT NULL
    )
      ON canonical_address(source_ip) = name_source AND _name = name
    LEFT JOIN (
        SELECT canonical_address(source_ip) AS address_source, _name AS name_of_address, min(size_score) AS size_of_address
        FROM candidates
        WHERE _name IS NOT NULL
        GROUP BY canonical_address(source_ip), _name
    )
      ON source_ip = address_source AND destination_name = name_of_address
    LEFT JOIN (
        SELECT name AS known_destination, distinct_sources, total_sources
        FROM prevalence
        WHERE kind = 'ip' OR kind = 'url'
    )
      ON coalesce(destination_name, canonical_address(destination_ip)) = known_destination
    WHERE NOT coalesce(name IS NOT NULL AND timing_score IS NULL OR timing_of_name >= 0.8 * timing_score, false)
)
