-- Adds to each combination whether its country is rare in the whole tenant.
WITH shares AS (
    SELECT country_of_share,
           CAST(country_pairs AS DOUBLE) / CAST(all_pairs AS DOUBLE) AS _country_share
    FROM (
        SELECT country_of_share, country_pairs, sum(country_pairs) OVER () AS all_pairs
        FROM (
            SELECT country_code AS country_of_share, sum(_country_pairs) AS country_pairs
            FROM candidates
            WHERE _country_pairs IS NOT NULL
            GROUP BY country_code
        )
    )
)
SELECT c.country_code,
       c.operation,
       c.user_agent,
       c.events,
       c.users,
       c."user",
       c.ip,
       c.first_seen,
       c.last_seen,
       c._is_sensitive,
       s._country_share,
       CASE WHEN s._country_share <= $rare_country_share THEN 1 ELSE 0 END AS _is_rare_country
FROM (SELECT * FROM candidates WHERE _country_pairs IS NULL) c
LEFT JOIN shares s ON c.country_code = s.country_of_share
