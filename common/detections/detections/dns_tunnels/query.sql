-- What a source asks below one registered domain in a day, from every table with names. Tables may record the same queries: sets are
-- united, and counts are those of the table that has most.
SELECT *,
       total_sources AS all_sources,
       CASE WHEN canonical_address(source) IS NOT NULL THEN source END AS _address,
       CASE WHEN canonical_address(source) IS NULL THEN source END AS _device
FROM (
    SELECT day,
           source,
           domain,
           max(greatest(queries - requests, requests)) AS queries,
           max(queries) AS rows_seen,
           max(carrier_queries) AS carrier_queries,
           max(unknown_queries) AS unknown_queries,
           max(bits) AS bits,
           max(characters) AS characters,
           max(types) AS types,
           max(codes) AS codes,
           max(sample_names) AS sample_names,
           distinct_texts(name_set) AS names,
           min(first_seen) AS first_seen,
           max(last_seen) AS last_seen
    FROM (
        SELECT day, plain(source) AS source, plain(domain) AS domain, queries, requests, carrier_queries, unknown_queries, bits, characters,
               plain(types) AS types, plain(codes) AS codes, plain(sample_names) AS sample_names, names AS name_set, first_seen, last_seen
        FROM dns_names
        UNION ALL
        SELECT day, plain(source), plain(domain), queries, 0, carrier_queries, unknown_queries, bits, characters,
               plain(types), plain(codes), plain(sample_names), names, first_seen, last_seen
        FROM server_dns_names
        UNION ALL
        SELECT day, plain(source), plain(domain), queries, 0, carrier_queries, unknown_queries, bits, characters,
               plain(types), plain(codes), plain(sample_names), names, first_seen, last_seen
        FROM device_dns_names
        UNION ALL
        SELECT day, plain(source), plain(domain), queries, 0, carrier_queries, unknown_queries, bits, characters,
               plain(types), plain(codes), plain(sample_names), names, first_seen, last_seen
        FROM process_dns_names
        UNION ALL
        SELECT day, plain(source), plain(domain), queries, 0, 0, 0, bits, characters,
               no_text(), no_text(), plain(sample_names), names, first_seen, last_seen
        FROM threat_dns_names
    )
    GROUP BY day, source, domain
    HAVING distinct_count(distinct_texts(name_set)) >= $min_names
) AS many
JOIN (
    SELECT domain AS sources_domain, count(DISTINCT source) AS domain_sources
    FROM (
        SELECT plain(domain) AS domain, plain(source) AS source FROM dns_names
        UNION ALL
        SELECT plain(domain), plain(source) FROM server_dns_names
        UNION ALL
        SELECT plain(domain), plain(source) FROM device_dns_names
        UNION ALL
        SELECT plain(domain), plain(source) FROM process_dns_names
        UNION ALL
        SELECT plain(domain), plain(source) FROM threat_dns_names
    )
    GROUP BY domain
)
  ON domain = sources_domain
CROSS JOIN (
    SELECT count(DISTINCT source) AS total_sources
    FROM (
        SELECT plain(source) AS source FROM dns_domains_all
        UNION ALL
        SELECT plain(source) FROM server_dns_domains_all
        UNION ALL
        SELECT plain(source) FROM device_dns_domains_all
        UNION ALL
        SELECT plain(source) FROM process_dns_domains_all
    )
)
