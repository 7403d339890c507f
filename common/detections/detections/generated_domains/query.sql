-- Domains that do not exist, by the first query of the day for each. A burst is the most of them within ten minutes.
SELECT time_of_hour(day * 24) AS day,
       source,
       failed_domains,
       burst_domains,
       other_domains,
       round_half_up(CAST(failed_domains AS DOUBLE) / CAST(failed_domains + other_domains AS DOUBLE), 3) AS failed_share,
       vowel_share,
       sample_domains,
       first_seen,
       last_seen,
       CASE WHEN canonical_address(source) IS NOT NULL THEN source END AS _address,
       CASE WHEN canonical_address(source) IS NULL THEN source END AS _device
FROM (
    SELECT day,
           source,
           count(*) AS failed_domains,
           max(burst) AS burst_domains,
           round_half_up(CAST(sum(vowels) AS DOUBLE) / CAST(greatest(sum(letters), 1) AS DOUBLE), 3) AS vowel_share,
           concat_ws(', ',
                     max(CASE WHEN place = 1 THEN unknown_domain END),
                     max(CASE WHEN place = 2 THEN unknown_domain END),
                     max(CASE WHEN place = 3 THEN unknown_domain END)) AS sample_domains,
           min(first_seen) AS first_seen,
           max(last_seen) AS last_seen
    FROM (
        SELECT *,
               count(*) OVER (PARTITION BY day, source ORDER BY micros(first_seen)
                              RANGE BETWEEN 600000000 PRECEDING AND CURRENT ROW) AS burst,
               row_number() OVER (PARTITION BY day, source ORDER BY unknown_domain) AS place,
               CAST(character_length(label) - character_length(translate(label, 'aeiou', '')) AS BIGINT) AS vowels,
               CAST(character_length(replace(label, '-', '')) AS BIGINT) AS letters
        FROM (
            SELECT day, source, unknown_domain, split_part(unknown_domain, '.', 1) AS label, min(first_seen) AS first_seen,
                   max(last_seen) AS last_seen
            FROM (
                SELECT day, plain(source) AS source, plain(unknown_domain) AS unknown_domain, first_seen, last_seen FROM dns_domains
                UNION ALL
                SELECT day, plain(source), plain(unknown_domain), first_seen, last_seen FROM server_dns_domains
                UNION ALL
                SELECT day, plain(source), plain(unknown_domain), first_seen, last_seen FROM device_dns_domains
                UNION ALL
                SELECT day, plain(source), plain(unknown_domain), first_seen, last_seen FROM process_dns_domains
            )
            WHERE unknown_domain IS NOT NULL
            GROUP BY day, source, unknown_domain
        )
    )
    GROUP BY day, source
    HAVING max(burst) >= $min_domains
)
JOIN (
    SELECT day AS others_day, source AS others_source, distinct_count(distinct_texts(others)) AS other_domains
    FROM (
        SELECT day, plain(source) AS source, other_domains AS others FROM dns_domains
        UNION ALL
        SELECT day, plain(source), other_domains FROM server_dns_domains
        UNION ALL
        SELECT day, plain(source), other_domains FROM device_dns_domains
        UNION ALL
        SELECT day, plain(source), other_domains FROM process_dns_domains
    )
    GROUP BY day, source
)
  ON day = others_day AND source = others_source
