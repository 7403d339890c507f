SELECT count(*) AS events,
       min(time_generated) AS first_seen,
       max(time_generated) AS last_seen,
       count(DISTINCT source_ip) AS distinct_sources,
       count(DISTINCT destination_ip) AS distinct_destinations
FROM result
