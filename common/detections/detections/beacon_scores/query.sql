-- Gaps and rhythm are costly, so a separate query computes each of them once. There is no filter before the gaps, because it
-- would copy the seconds of all pairs that pass it.
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
       service_factor,
       beacon_own_score(timing_score, size_score, coverage_score, beats, service_factor) AS _own_score,
       destination_port,
       known_service,
       _first_seen,
       _last_seen,
       _in_beaconing
FROM (
    SELECT *,
           coalesce(periodic_service_name(destination_ip, no_text(), $periodic_services),
                    known_service_name(destination_port, $known_services)) AS known_service,
           least(periodic_service_factor(destination_ip, no_text(), $periodic_services),
                 known_service_factor(destination_port, $known_services)) AS service_factor
    FROM (
        SELECT source_ip,
               destination_ip,
               sessions,
               get_field(rhythm, 'interval_s') AS interval_s,
               get_field(rhythm, 'second_interval_s') AS second_interval_s,
               get_field(rhythm, 'beats') AS beats,
               get_field(rhythm, 'missed_beats') AS missed_beats,
               get_field(rhythm, 'timing_score') AS timing_score,
               beacon_size_score(size_classes, size_class_squares, sessions) AS size_score,
               get_field(rhythm, 'coverage_score') AS coverage_score,
               CASE WHEN lowest_port = highest_port THEN lowest_port END AS destination_port,
               least(first_seen, threat_first_seen) AS _first_seen,
               greatest(last_seen, threat_last_seen) AS _last_seen,
               _in_beaconing
        FROM (
            SELECT *,
                   beacon_rhythm(seconds, sessions, $min_timing) AS rhythm,
                   -- A pair that `beaconing` lists.
                   CAST(get_field(gaps, 'intervals') >= $min_intervals
                        AND get_field(gaps, 'jitter') < $max_jitter AS BIGINT) AS _in_beaconing
            FROM (
                SELECT source_ip,
                       destination_ip,
                       seconds,
                       sessions + threat_sessions AS sessions,
                       size_classes,
                       size_class_squares,
                       lowest_port,
                       highest_port,
                       first_seen,
                       threat_first_seen,
                       last_seen,
                       threat_last_seen,
                       beacon_gaps(seconds) AS gaps
                FROM external_pairs
            )
            WHERE get_field(gaps, 'intervals') >= $min_beats - 1
        )
    )
    WHERE beats >= $min_beats AND timing_score >= $min_timing
)
