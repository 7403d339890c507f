SELECT source_ip,
       query_count,
       total_bytes_sent,
       total_bytes_received,
       CAST(total_bytes_sent AS DOUBLE) / CAST(queries_with_sent AS DOUBLE) AS avg_sent_bytes,
       max_sent_bytes,
       distinct_destinations,
       _first_seen,
       _last_seen
FROM (
    SELECT source_ip,
           sum(queries) AS query_count,
           sum(bytes_sent) AS total_bytes_sent,
           sum(bytes_received) AS total_bytes_received,
           sum(queries_with_sent) AS queries_with_sent,
           max(max_bytes_sent) AS max_sent_bytes,
           -- The pairs are distinct, so counting the named ones counts destinations.
           count(destination_ip) AS distinct_destinations,
           min(first_seen) AS _first_seen,
           max(last_seen) AS _last_seen
    FROM dns_pairs
    GROUP BY source_ip
)
WHERE query_count >= $min_queries OR max_sent_bytes > $max_session_bytes
