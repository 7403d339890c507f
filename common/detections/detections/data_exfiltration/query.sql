-- The largest pairs of all shards are among the largest of each. Open sessions count by their last snapshot.
WITH named AS (
    SELECT source_ip, destination_name, destination_ip, seconds, sessions
    FROM named_pairs
    UNION ALL
    SELECT source_ip, destination_name, destination_ip, seconds, sessions
    FROM device_named_pairs
    WHERE source_ip IN (SELECT source_ip FROM firewall_sources)
),
-- The name that a source uses most for an address, as in named_transfers.
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
       sessions,
       total_sent_mb,
       total_received_mb,
       max_single_sent_mb,
       first_seen,
       last_seen,
       CASE WHEN total_received_mb > 0.0 THEN round_half_up(total_sent_mb / total_received_mb, 2)
            ELSE total_sent_mb END AS ratio,
       _bytes_sent,
       _bytes_received,
       coalesce(2 * near >= all_seconds, false) AS _by_name
FROM (
    SELECT *,
           seconds_near(_seconds, name_seconds, 5) AS near,
           seconds_near(_seconds, _seconds, 0) AS all_seconds
    FROM (
        SELECT *, row_number() OVER (ORDER BY total_sent_mb DESC, source_ip, destination_ip) AS place
        FROM (
            SELECT source_ip,
                   destination_ip,
                   sessions,
                   megabytes(bytes_sent) AS total_sent_mb,
                   megabytes(bytes_received) AS total_received_mb,
                   megabytes(max_bytes_sent) AS max_single_sent_mb,
                   first_seen,
                   last_seen,
                   bytes_sent AS _bytes_sent,
                   bytes_received AS _bytes_received,
                   seconds AS _seconds
            FROM (
                SELECT source_ip,
                       destination_ip,
                       sessions + coalesce(open_sessions, 0) AS sessions,
                       coalesce(bytes_sent + open_sent, bytes_sent, open_sent) AS bytes_sent,
                       coalesce(bytes_received + open_received, bytes_received, open_received) AS bytes_received,
                       greatest(max_bytes_sent, max_open_sent) AS max_bytes_sent,
                       first_seen,
                       last_seen,
                       seconds
                FROM (
                    SELECT source_ip AS open_source,
                           destination_ip AS open_destination,
                           count(*) AS open_sessions,
                           sum(open_bytes_sent) AS open_sent,
                           sum(open_bytes_received) AS open_received,
                           max(open_bytes_sent) AS max_open_sent
                    FROM long_sessions
                    WHERE closed_sessions = 0
                    GROUP BY source_ip, destination_ip
                )
                RIGHT JOIN external_pairs
                  ON source_ip = open_source AND destination_ip = open_destination
            )
            WHERE megabytes(bytes_sent) > $min_sent_mb
        )
    )
    LEFT JOIN name_of_address
      ON canonical_address(source_ip) = name_source AND canonical_address(destination_ip) = name_address
    WHERE place <= $limit
)
