-- A server that forwards queries sends those of its clients: a source whose names include another's, which came first or sent fewer,
-- is no finding. docs/dns.md has the formula of the score.
SELECT day,
       source,
       domain,
       names,
       queries,
       mean_length,
       carried_bytes,
       carrier_share,
       unknown_share,
       types,
       codes,
       sample_names,
       domain_sources,
       round_half_up(volume * fresh * greatest(coalesce(beacon_prevalence(domain_sources, all_sources), 1.0), $common_factor), 4) AS score,
       first_seen,
       last_seen,
       _address,
       _device,
       CAST(is_one_of(domain, $allowed_domains) AS BIGINT) AS _allowed,
       CAST(forwards AS BIGINT) AS _forwards
FROM (
    SELECT *,
           least(greatest(log2(greatest(CAST(carried_bytes AS DOUBLE), 1.0) / 256.0) / 6.0, 0.0), 1.0) AS volume,
           least(2.0 * CAST(names AS DOUBLE) / CAST(queries AS DOUBLE), 1.0) AS fresh
    FROM (
        SELECT time_of_hour(day * 24) AS day,
               source,
               domain,
               distinct_count(names) AS names,
               queries,
               round_half_up(CAST(characters AS DOUBLE) / CAST(rows_seen AS DOUBLE), 1) AS mean_length,
               CAST(round(CAST(distinct_count(names) AS DOUBLE)
                          * (CAST(bits AS DOUBLE) / 8.0 + 100.0 * CAST(carrier_queries AS DOUBLE)
                             + 4.0 * CAST(rows_seen - carrier_queries AS DOUBLE))
                          / CAST(rows_seen AS DOUBLE)) AS BIGINT) AS carried_bytes,
               round_half_up(CAST(carrier_queries AS DOUBLE) / CAST(rows_seen AS DOUBLE), 3) AS carrier_share,
               round_half_up(CAST(unknown_queries AS DOUBLE) / CAST(queries AS DOUBLE), 3) AS unknown_share,
               replace(types, chr(10), ', ') AS types,
               replace(codes, chr(10), ', ') AS codes,
               replace(sample_names, chr(10), ', ') AS sample_names,
               domain_sources,
               all_sources,
               forwarder IS NOT NULL AS forwards,
               first_seen,
               last_seen,
               _address,
               _device
        FROM candidates
        LEFT JOIN (
            SELECT server.day AS of_day, server.domain AS of_domain, server.source AS forwarder
            FROM candidates AS server
            JOIN candidates AS client
              ON server.day = client.day AND server.domain = client.domain AND server.source <> client.source
            WHERE shared_part(server.names, client.names) >= 0.5
              AND (distinct_count(server.names) > 2 * distinct_count(client.names)
                   OR (shared_part(client.names, server.names) >= 0.5
                       AND (server.first_seen > client.first_seen
                            OR (server.first_seen = client.first_seen AND server.source > client.source))))
            GROUP BY server.day, server.domain, server.source
        )
          ON day = of_day AND domain = of_domain AND source = forwarder
    )
)
