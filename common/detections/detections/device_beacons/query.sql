SELECT source_ip,
       destination_name,
       destination_ip,
       sessions,
       get_field(rhythm, 'interval_s') AS interval_s,
       get_field(rhythm, 'beats') AS beats,
       get_field(rhythm, 'missed_beats') AS missed_beats,
       get_field(rhythm, 'timing_score') AS timing_score,
       get_field(rhythm, 'coverage_score') AS coverage_score,
       CASE WHEN lowest_port = highest_port THEN lowest_port END AS destination_port,
       first_seen,
       last_seen
FROM (
    SELECT *, beacon_rhythm(seconds, sessions, $min_timing) AS rhythm
    FROM (
        SELECT source_ip,
               destination_name,
               -- The address if there is one.
               CASE WHEN min(destination_ip) = max(destination_ip) THEN min(destination_ip) END AS destination_ip,
               sorted_distinct(seconds) AS seconds,
               sum(sessions) AS sessions,
               min(lowest_port) AS lowest_port,
               max(highest_port) AS highest_port,
               min(first_seen) AS first_seen,
               max(last_seen) AS last_seen
        FROM device_named_pairs
        -- Sources in the firewall's log are in `beacon_scores`.
        WHERE source_ip NOT IN (SELECT source_ip FROM firewall_sources)
        GROUP BY source_ip, destination_name
    )
    WHERE sessions >= $min_beats
)
WHERE get_field(rhythm, 'beats') >= $min_beats AND get_field(rhythm, 'timing_score') >= $min_timing
