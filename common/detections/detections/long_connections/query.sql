-- A session whose end is logged has the bytes of its end, an open one those of its last snapshot.
SELECT source_ip,
       destination_ip,
       max(longest_s) AS longest_s,
       sum(CASE WHEN closed_sessions = 0 THEN 0 ELSE closed_sessions END) AS closed_sessions,
       sum(CASE WHEN closed_sessions = 0 THEN 1 ELSE 0 END) AS open_sessions,
       sum(CASE WHEN closed_sessions = 0 THEN coalesce(open_bytes_sent, bytes_sent) ELSE bytes_sent END) AS bytes_sent,
       sum(CASE WHEN closed_sessions = 0 THEN coalesce(open_bytes_received, bytes_received) ELSE bytes_received END) AS bytes_received,
       CASE WHEN min(lowest_port) = max(highest_port) THEN min(lowest_port) END AS destination_port,
       min(first_seen) AS first_seen,
       max(last_seen) AS last_seen
FROM long_sessions
WHERE is_external(destination_ip, $private, $declared_external)
GROUP BY source_ip, destination_ip
HAVING max(longest_s) >= $min_hours * 3600.0
