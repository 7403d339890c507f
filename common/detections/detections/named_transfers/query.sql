-- Bytes are in the rows of addresses. An address belongs to the name that half of its seconds agree with, as in beacon_scores. Rows behind
-- a proxy have a name only.
WITH named AS (
    SELECT source_ip, destination_name, destination_ip, seconds, sessions,
           bytes_sent, bytes_received, max_bytes_sent, first_seen, last_seen
    FROM named_pairs
    UNION ALL
    SELECT source_ip, destination_name, destination_ip, seconds, sessions,
           bytes_sent, CAST(NULL AS BIGINT), CAST(NULL AS BIGINT), first_seen, last_seen
    FROM device_named_pairs
    WHERE source_ip IN (SELECT source_ip FROM firewall_sources)
),
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
       destination_name,
       count(DISTINCT destination_ip) AS addresses,
       CASE WHEN min(destination_ip) = max(destination_ip) THEN min(destination_ip) END AS destination_ip,
       sum(sessions) AS sessions,
       megabytes(sum(bytes_sent)) AS total_sent_mb,
       megabytes(sum(bytes_received)) AS total_received_mb,
       megabytes(max(max_bytes_sent)) AS max_single_sent_mb,
       min(first_seen) AS first_seen,
       max(last_seen) AS last_seen,
       sum(bytes_sent) AS _bytes_sent,
       sum(bytes_received) AS _bytes_received
FROM (
    SELECT name_source AS source_ip,
           name AS destination_name,
           name_address AS destination_ip,
           sessions,
           bytes_sent,
           bytes_received,
           max_bytes_sent,
           first_seen,
           last_seen
    FROM (
        SELECT *,
               seconds_near(seconds, name_seconds, 5) AS near,
               seconds_near(seconds, seconds, 0) AS all_seconds
        FROM (
            -- Smaller pairs add little.
            SELECT * FROM external_pairs WHERE bytes_sent >= 65536
        )
        JOIN name_of_address
          ON canonical_address(source_ip) = name_source AND canonical_address(destination_ip) = name_address
    )
    WHERE 2 * near >= all_seconds
    UNION ALL
    SELECT source_ip, destination_name, destination_ip, sessions, bytes_sent, bytes_received, max_bytes_sent, first_seen, last_seen
    FROM named
    WHERE destination_ip IS NULL AND bytes_sent > 0
) AS transfers
GROUP BY source_ip, destination_name
HAVING megabytes(sum(transfers.bytes_sent)) > $min_sent_mb
