-- Pairs of a source and a name, and of a source and an address; finish.sql leaves out an address if its name keeps time as well.
-- Gaps and rhythm are costly, so a separate query computes each of them once. There is no filter before the gaps, because it
-- would copy the seconds of all pairs that pass it.
WITH named AS (
    SELECT source_ip, destination_name, destination_ip, seconds, sessions, bytes_received, size_classes, size_class_squares,
           lowest_port, highest_port, first_seen, last_seen
    FROM named_pairs
    UNION ALL
    -- Other sources are in `device_beacons`.
    SELECT source_ip, destination_name, destination_ip, seconds, sessions, CAST(NULL AS BIGINT), CAST(NULL AS BIGINT), CAST(NULL AS BIGINT),
           lowest_port, highest_port, first_seen, last_seen
    FROM device_named_pairs
    WHERE source_ip IN (SELECT source_ip FROM firewall_sources)
),
by_name AS (
    SELECT source_ip,
           destination_name,
           -- The address if there is one.
           CASE WHEN min(destination_ip) = max(destination_ip) THEN min(destination_ip) END AS destination_ip,
           sorted_distinct(seconds) AS seconds,
           sum(sessions) AS sessions,
           sum(bytes_received) AS bytes_received,
           sum(size_classes) AS size_classes,
           sum(size_class_squares) AS size_class_squares,
           min(lowest_port) AS lowest_port,
           max(highest_port) AS highest_port,
           min(first_seen) AS first_seen,
           max(last_seen) AS last_seen
    FROM named
    GROUP BY source_ip, destination_name
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
)
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
       service_factor,
       destination_port,
       known_service,
       _first_seen,
       _last_seen,
       _in_beaconing,
       _seconds,
       -- A name and an address are the same pair if half of the seconds agree. A handshake names its server after the connection began.
       CASE WHEN 2 * near >= _seconds THEN name END AS _name
FROM (
    -- A pair that keeps no time has a row if what it sends is constant.
    SELECT *,
           only_where(get_field(rhythm, 'interval_s'), keeps_time) AS interval_s,
           only_where(get_field(rhythm, 'second_interval_s'), keeps_time) AS second_interval_s,
           only_where(get_field(rhythm, 'beats'), keeps_time) AS beats,
           only_where(get_field(rhythm, 'missed_beats'), keeps_time) AS missed_beats,
           only_where(get_field(rhythm, 'timing_score'), keeps_time) AS timing_score,
           only_where(get_field(rhythm, 'coverage_score'), keeps_time) AS coverage_score,
           coalesce(periodic_service_name(destination_ip, destination_name, $periodic_services),
                    known_service_name(destination_port, $known_services)) AS known_service,
           least(periodic_service_factor(destination_ip, destination_name, $periodic_services),
                 known_service_factor(destination_port, $known_services)) AS service_factor,
           seconds_near(seconds, name_seconds, 5) AS near
    FROM (
        SELECT source_ip,
               destination_ip,
               destination_name,
               sessions,
               seconds,
               _seconds,
               rhythm,
               coalesce(get_field(rhythm, 'beats') >= $min_beats AND get_field(rhythm, 'timing_score') >= $min_timing, false) AS keeps_time,
               beacon_size_score(size_classes, size_class_squares, sessions) AS size_score,
               -- Many sessions at one port that were answered.
               CASE WHEN _seconds >= $min_polls
                         AND lowest_port = highest_port
                         AND NOT is_one_of(plain(CAST(lowest_port AS VARCHAR)), $alike_ports)
                         AND coalesce(bytes_received > 0, true)
                    THEN beacon_polling_score(size_classes, size_class_squares, sessions)
               END AS polling_score,
               CASE WHEN lowest_port = highest_port THEN lowest_port END AS destination_port,
               first_seen AS _first_seen,
               last_seen AS _last_seen,
               _in_beaconing
        FROM (
            SELECT *,
                   beacon_rhythm(seconds, sessions, $min_timing) AS rhythm,
                   get_field(gaps, 'intervals') + 1 AS _seconds,
                   -- A pair that `beaconing` lists.
                   CAST(destination_name IS NULL
                        AND get_field(gaps, 'intervals') >= $min_intervals
                        AND get_field(gaps, 'jitter') < $max_jitter AS BIGINT) AS _in_beaconing
            FROM (
                SELECT source_ip,
                       destination_ip,
                       no_text() AS destination_name,
                       seconds,
                       sessions + threat_sessions AS sessions,
                       bytes_received,
                       size_classes,
                       size_class_squares,
                       lowest_port,
                       highest_port,
                       least(first_seen, threat_first_seen) AS first_seen,
                       greatest(last_seen, threat_last_seen) AS last_seen,
                       beacon_gaps(seconds) AS gaps
                FROM external_pairs
                UNION ALL
                SELECT source_ip,
                       destination_ip,
                       destination_name,
                       seconds,
                       sessions,
                       bytes_received,
                       size_classes,
                       size_class_squares,
                       lowest_port,
                       highest_port,
                       first_seen,
                       last_seen,
                       beacon_gaps(seconds) AS gaps
                FROM by_name
            )
            WHERE get_field(gaps, 'intervals') >= $min_beats - 1
        )
    )
    LEFT JOIN name_of_address
      ON destination_name IS NULL
     AND canonical_address(source_ip) = name_source
     AND canonical_address(destination_ip) = name_address
    WHERE keeps_time OR beacon_regularity(0.0, polling_score) >= $min_timing
)
