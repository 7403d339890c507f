-- As in beacon_scores. An unknown destination counts as rare.
SELECT source_ip,
       destination_name,
       destination_ip,
       sessions,
       interval_s,
       beats,
       missed_beats,
       timing_score,
       coverage_score,
       prevalence_score,
       round_half_up(
           beacon_own_score(
               timing_score, CAST(NULL AS DOUBLE), coverage_score, beats,
               least(periodic_service_factor(destination_ip, destination_name, $periodic_services),
                     known_service_factor(destination_port, $known_services))
           ) * greatest(coalesce(prevalence_score, 1.0), $common_factor),
           4
       ) AS score,
       destination_sources,
       destination_port,
       first_seen,
       last_seen
FROM (
    SELECT *,
           distinct_sources AS destination_sources,
           beacon_prevalence(distinct_sources, total_sources) AS prevalence_score
    FROM candidates
    LEFT JOIN (
        SELECT name, distinct_sources, total_sources
        FROM prevalence
        WHERE kind = 'url'
    )
      ON destination_name = name
)
