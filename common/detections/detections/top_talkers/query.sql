-- Open sessions count by their last snapshot.
SELECT source_ip,
       destination_ip,
       sessions,
       bytes_sent,
       bytes_received,
       megabytes(bytes_sent + bytes_received) AS total_mb
FROM (
    SELECT source_ip,
           destination_ip,
           sessions + coalesce(open_sessions, 0) AS sessions,
           coalesce(bytes_sent + open_sent, bytes_sent, open_sent) AS bytes_sent,
           coalesce(bytes_received + open_received, bytes_received, open_received) AS bytes_received
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
    RIGHT JOIN (
        SELECT source_ip, destination_ip, sessions, bytes_sent, bytes_received FROM external_pairs
        UNION ALL
        SELECT source_ip, destination_ip, sessions, bytes_sent, bytes_received FROM internal_pairs
    )
      ON source_ip = open_source AND destination_ip = open_destination
)
WHERE sessions > 0
