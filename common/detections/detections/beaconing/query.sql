-- Gaps and rhythm are costly, so a separate query computes each of them once. There is no filter before the gaps, because it
-- would copy the seconds of all pairs that pass it.
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
       beacon_own_score(timing_score, size_score, coverage_score, beats, service_factor) AS _own_score
FROM (
    SELECT *,
           least(periodic_service_factor(destination_ip, no_text(), $periodic_services),
                 known_service_factor(destination_port, $known_services)) AS service_factor
    FROM (
        SELECT source_ip,
               destination_ip,
               get_field(gaps, 'avg_delta') AS avg_delta,
               get_field(gaps, 'std_delta') AS std_delta,
               get_field(gaps, 'min_delta') AS min_delta,
               get_field(gaps, 'max_delta') AS max_delta,
               get_field(gaps, 'intervals') AS intervals,
               get_field(gaps, 'jitter') AS jitter,
               get_field(rhythm, 'beats') AS beats,
               get_field(rhythm, 'timing_score') AS timing_score,
               get_field(rhythm, 'coverage_score') AS coverage_score,
               beacon_size_score(size_classes, size_class_squares, sessions) AS size_score,
               CASE WHEN lowest_port = highest_port THEN lowest_port END AS destination_port,
               least(first_seen, threat_first_seen) AS _first_seen,
               greatest(last_seen, threat_last_seen) AS _last_seen
        FROM (
            -- This scores every pair that has a rhythm.
            SELECT *, beacon_rhythm(seconds, sessions, 0.0) AS rhythm
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
            WHERE get_field(gaps, 'intervals') >= $min_intervals
              AND get_field(gaps, 'jitter') < $max_jitter
        )
    )
)
