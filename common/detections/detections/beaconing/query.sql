-- Gaps and rhythm are costly, so a separate query computes each of them once. There is no filter before the gaps, because it
-- would copy the seconds of all pairs that pass it.
WITH named AS (
    SELECT source_ip, destination_name, destination_ip, seconds, sessions
    FROM named_pairs
    UNION ALL
    SELECT source_ip, destination_name, destination_ip, seconds, sessions
    FROM device_named_pairs
    WHERE source_ip IN (SELECT source_ip FROM firewall_sources)
),
-- The name that a source uses most for an address.
name_of_address AS (
    SELECT source_ip AS name_source, destination_ip AS name_address, destination_name AS name, seconds AS name_seconds
    FROM (
        SELECT *,
               row_number() OVER (PARTITION BY source_ip, destination_ip ORDER BY sessions DESC, destination_name) AS place
        FROM (
            SELECT source_ip, destination_ip, destination_name, sorted_distinct(seconds) AS seconds, sum(sessions) AS sessions
            FROM named
            WHERE destination_ip IS NOT NULL
            GROUP BY source_ip, destination_ip, destination_name
        )
    )
    WHERE place = 1
),
by_name AS (
    SELECT source_ip AS named_source,
           destination_name AS other_name,
           sorted_distinct(seconds) AS all_seconds,
           sum(sessions) AS all_sessions
    FROM named
    GROUP BY source_ip, destination_name
)
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
       destination_port AS _port,
       bytes_sent AS _bytes_sent,
       bytes_received AS _bytes_received,
       CASE WHEN 2 * near > intervals THEN name END AS _name,
       beacon_own_score(beacon_regularity(timing_score, polling_score), size_score,
                        only_where(coverage_score, keeps_time), CASE WHEN keeps_time THEN beats ELSE intervals + 1 END,
                        service_factor) AS _own_score,
       -- `beacon_scores` lists the pair by its name.
       coalesce(2 * near > intervals
                AND get_field(rhythm_of_name, 'beats') >= $min_beats
                AND get_field(rhythm_of_name, 'timing_score') >= $min_timing
                AND get_field(rhythm_of_name, 'timing_score') >= 0.8 * coalesce(timing_score, 0.0), false) AS _by_name
FROM (
    SELECT *,
           -- Polls without a rhythm go on by their number, as in beacon_scores.
           NOT coalesce(timing_score < $min_timing AND beacon_regularity(0.0, polling_score) >= $min_timing, false) AS keeps_time,
           least(periodic_service_factor(destination_ip, name, $periodic_services),
                 known_service_factor(destination_port, $known_services)) AS service_factor,
           seconds_near(seconds, name_seconds, 5) AS near,
           beacon_rhythm(all_seconds, all_sessions, $min_timing) AS rhythm_of_name
    FROM (
        SELECT source_ip,
               destination_ip,
               seconds,
               bytes_sent,
               bytes_received,
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
               -- As in beacon_scores.
               CASE WHEN get_field(gaps, 'intervals') + 1 >= $min_polls
                         AND lowest_port = highest_port
                         AND NOT is_one_of(plain(CAST(lowest_port AS VARCHAR)), $alike_ports)
                         AND coalesce(bytes_received > 0, true)
                    THEN beacon_polling_score(size_classes, size_class_squares, sessions)
               END AS polling_score,
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
                       bytes_sent,
                       bytes_received,
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
    LEFT JOIN name_of_address
      ON canonical_address(source_ip) = name_source AND canonical_address(destination_ip) = name_address
    LEFT JOIN by_name
      ON name_source = named_source AND name = other_name
)
