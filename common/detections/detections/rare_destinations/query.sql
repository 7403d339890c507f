-- All rows of a source are in one shard, but not all rows of a destination: finish.sql checks whether another source talks to it.
-- All spellings of an address are one destination there, and so they are here.
-- Open sessions count by their last snapshot.
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
       bytes_sent,
       bytes_received,
       first_seen,
       last_seen,
       coalesce(2 * near >= all_seconds, false) AS _by_name
FROM (
    SELECT *,
           seconds_near(seconds, name_seconds, 5) AS near,
           seconds_near(seconds, seconds, 0) AS all_seconds
    FROM (
        SELECT source_ip,
               canonical_address(destination_ip) AS destination_ip,
               sum(sessions) AS sessions,
               sum(bytes_sent) AS bytes_sent,
               sum(bytes_received) AS bytes_received,
               min(first_seen) AS first_seen,
               max(last_seen) AS last_seen,
               sorted_distinct(seconds) AS seconds
        FROM (
            SELECT source_ip,
                   destination_ip,
                   sessions + coalesce(open_sessions, 0) AS sessions,
                   coalesce(bytes_sent + open_sent, bytes_sent, open_sent) AS bytes_sent,
                   coalesce(bytes_received + open_received, bytes_received, open_received) AS bytes_received,
                   first_seen,
                   last_seen,
                   seconds
            FROM (
                SELECT source_ip AS open_source,
                       destination_ip AS open_destination,
                       count(*) AS open_sessions,
                       sum(open_bytes_sent) AS open_sent,
                       sum(open_bytes_received) AS open_received
                FROM long_sessions
                WHERE closed_sessions = 0
                GROUP BY source_ip, destination_ip
            )
            RIGHT JOIN external_pairs
              ON source_ip = open_source AND destination_ip = open_destination
        ) AS pairs
        WHERE sessions > 0
        GROUP BY source_ip, canonical_address(destination_ip)
        HAVING CAST(coalesce(sum(pairs.bytes_sent), 0) + coalesce(sum(pairs.bytes_received), 0) AS DOUBLE) >= $min_mb * 1048576.0
    )
    LEFT JOIN name_of_address
      ON canonical_address(source_ip) = name_source AND destination_ip = name_address
)
