WITH
-- Operations that services of Microsoft did for an account tell nothing about where the account is.
own_operations AS (
    SELECT *
    FROM office_accounts
    WHERE address IS NULL OR NOT in_networks(address, $service_networks)
),
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
            FROM own_operations
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
           max(p.last_seen) AS _last_seen,
           first_value(p.address ORDER BY p.first_seen ASC NULLS LAST, p.address ASC NULLS LAST) AS _address
    FROM in_places p
    LEFT JOIN locations l ON p.address = l.address
    GROUP BY p."user", l.country_code, l.city
    HAVING count(DISTINCT p.address) >= $min_ips
),
-- Stays of an account in a country, an hour or less each.
stays AS (
    SELECT a."user", l.country_code, a.hour_index,
           min(micros(a.first_seen)) AS first_us,
           max(micros(a.last_seen)) AS last_us,
           first_value(coalesce(l.city || ', ', '') || l.country_code || ' (' || a.address || ')'
               ORDER BY a.first_seen ASC NULLS LAST, a.address ASC NULLS LAST) AS arrival,
           first_value(coalesce(l.city || ', ', '') || l.country_code || ' (' || a.address || ')'
               ORDER BY a.last_seen DESC NULLS LAST, a.address ASC NULLS LAST) AS departure
    FROM own_operations a
    LEFT JOIN locations l ON a.address = l.address
    WHERE l.country_code IS NOT NULL AND a."user" IS NOT NULL
    GROUP BY a."user", l.country_code, a.hour_index
),
-- In order of their beginning, the stays next to each other hold the shortest time between two countries, because the
-- stays in one country do not overlap.
changes AS (
    SELECT "user", country_code, first_us, arrival,
           lag(departure, 1) OVER (PARTITION BY "user" ORDER BY first_us ASC NULLS LAST, country_code ASC NULLS LAST) AS departure_before,
           lag(country_code, 1) OVER (PARTITION BY "user" ORDER BY first_us ASC NULLS LAST, country_code ASC NULLS LAST) AS country_before,
           lag(last_us, 1) OVER (PARTITION BY "user" ORDER BY first_us ASC NULLS LAST, country_code ASC NULLS LAST) AS last_us_before
    FROM stays
),
-- In how many countries each account was, and the shortest time between two of them.
travels AS (
    SELECT "user" AS traveller,
           count(DISTINCT country_code) AS _countries,
           min(travel_us) AS _travel_us,
           first_value(departure_before ORDER BY travel_us ASC NULLS LAST, first_us ASC NULLS LAST, country_code ASC NULLS LAST) AS _departure,
           first_value(arrival ORDER BY travel_us ASC NULLS LAST, first_us ASC NULLS LAST, country_code ASC NULLS LAST) AS _arrival
    FROM (
        SELECT *,
               CASE WHEN country_before <> country_code AND first_us - last_us_before > 0 THEN first_us - last_us_before
                    WHEN country_before <> country_code THEN 0 END AS travel_us
        FROM changes
    )
    GROUP BY "user"
)
SELECT p."user",
       p.country_code,
       p.city,
       p.distinct_ips,
       p.operations,
       p._first_seen,
       p._last_seen,
       p._address,
       t._countries,
       t._travel_us,
       CASE WHEN t._travel_us IS NOT NULL THEN t._departure END AS _departure,
       CASE WHEN t._travel_us IS NOT NULL THEN t._arrival END AS _arrival,
       CAST(CASE WHEN $travel_window IS NULL THEN t._travel_us IS NOT NULL
                 ELSE t._travel_us <= $travel_window END AS BIGINT) AS _is_too_fast
FROM places p
LEFT JOIN travels t ON p."user" = t.traveller
