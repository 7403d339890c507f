WITH
-- Addresses of users and operations that come from several addresses.
in_places AS (
    SELECT "user", operation, address, events, first_seen, last_seen
    FROM (
        -- One row per address, so counting the named ones counts the distinct addresses of user and operation.
        SELECT "user", operation, address, events, first_seen, last_seen,
               count(address) OVER (PARTITION BY "user", operation) AS addresses_of_pair
        FROM (
            SELECT "user", operation, address,
                   sum(events) AS events,
                   min(first_seen) AS first_seen,
                   max(last_seen) AS last_seen
            FROM office_accounts
            GROUP BY "user", operation, address
        )
    )
    WHERE addresses_of_pair > 1
),
places AS (
    SELECT p."user", l.country_code, l.city,
           count(DISTINCT p.address) AS distinct_ips,
           sum(p.events) AS operations,
           min(p.first_seen) AS _first_seen,
           max(p.last_seen) AS _last_seen
    FROM in_places p
    LEFT JOIN locations l ON p.address = l.address
    GROUP BY p."user", l.country_code, l.city
    HAVING count(DISTINCT p.address) >= $min_ips
),
-- Stays of an account in a country, an hour or less each.
stays AS (
    SELECT a."user", l.country_code, a.hour_index,
           min(micros(a.first_seen)) AS first_us,
           max(micros(a.last_seen)) AS last_us
    FROM office_accounts a
    LEFT JOIN locations l ON a.address = l.address
    WHERE l.country_code IS NOT NULL AND a."user" IS NOT NULL
    GROUP BY a."user", l.country_code, a.hour_index
),
-- In order of their beginning, the stays next to each other hold the shortest time between two countries, because the
-- stays in one country do not overlap.
changes AS (
    SELECT "user", country_code, first_us,
           lag(country_code, 1) OVER (PARTITION BY "user" ORDER BY first_us ASC NULLS LAST, country_code ASC NULLS LAST) AS country_before,
           lag(last_us, 1) OVER (PARTITION BY "user" ORDER BY first_us ASC NULLS LAST, country_code ASC NULLS LAST) AS last_us_before
    FROM stays
),
-- In how many countries each account was, and the shortest time between two of them.
travels AS (
    SELECT "user" AS traveller,
           count(DISTINCT country_code) AS _countries,
           min(CASE WHEN country_before <> country_code AND first_us - last_us_before > 0 THEN first_us - last_us_before
                    WHEN country_before <> country_code THEN 0 END) AS _travel_us
    FROM changes
    GROUP BY "user"
)
SELECT p."user",
       p.country_code,
       p.city,
       p.distinct_ips,
       p.operations,
       p._first_seen,
       p._last_seen,
       t._countries,
       t._travel_us,
       CAST(CASE WHEN $travel_window IS NULL THEN t._travel_us IS NOT NULL
                 ELSE t._travel_us <= $travel_window END AS BIGINT) AS _is_too_fast
FROM places p
LEFT JOIN travels t ON p."user" = t.traveller
