WITH
-- Operations that services of Microsoft did for an account say nothing about where the account is.
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
           first_value(radians(l.latitude) ORDER BY a.first_seen ASC NULLS LAST, a.address ASC NULLS LAST) AS arrival_latitude,
           first_value(radians(l.longitude) ORDER BY a.first_seen ASC NULLS LAST, a.address ASC NULLS LAST) AS arrival_longitude,
           first_value(coalesce(l.city || ', ', '') || l.country_code || ' (' || a.address || ')'
               ORDER BY a.last_seen DESC NULLS LAST, a.address ASC NULLS LAST) AS departure,
           first_value(radians(l.latitude) ORDER BY a.last_seen DESC NULLS LAST, a.address ASC NULLS LAST) AS departure_latitude,
           first_value(radians(l.longitude) ORDER BY a.last_seen DESC NULLS LAST, a.address ASC NULLS LAST) AS departure_longitude
    FROM own_operations a
    LEFT JOIN locations l ON a.address = l.address
    WHERE l.country_code IS NOT NULL AND a."user" IS NOT NULL
    GROUP BY a."user", l.country_code, a.hour_index
),
-- In order of their beginning, the stays next to each other hold the shortest time between two countries, because the
-- stays in one country do not overlap.
neighbours AS (
    SELECT *,
           lag(country_code, 1) OVER (PARTITION BY "user" ORDER BY first_us ASC NULLS LAST, country_code ASC NULLS LAST) AS country_before,
           lag(last_us, 1) OVER (PARTITION BY "user" ORDER BY first_us ASC NULLS LAST, country_code ASC NULLS LAST) AS last_us_before,
           lag(departure, 1) OVER (PARTITION BY "user" ORDER BY first_us ASC NULLS LAST, country_code ASC NULLS LAST) AS departure_before,
           lag(departure_latitude, 1) OVER (PARTITION BY "user" ORDER BY first_us ASC NULLS LAST, country_code ASC NULLS LAST) AS latitude_before,
           lag(departure_longitude, 1) OVER (PARTITION BY "user" ORDER BY first_us ASC NULLS LAST, country_code ASC NULLS LAST) AS longitude_before
    FROM stays
),
-- Changes of country, with the great-circle distance (haversine, radius 6,371 km).
changes AS (
    SELECT *,
           CASE WHEN first_us - last_us_before > 0 THEN first_us - last_us_before ELSE 0 END AS travel_us,
           2.0 * 6371.0 * asin(least(1.0, sqrt(
               power(sin((arrival_latitude - latitude_before) / 2.0), 2.0)
               + cos(arrival_latitude) * cos(latitude_before) * power(sin((arrival_longitude - longitude_before) / 2.0), 2.0)))) AS distance_km
    FROM neighbours
    WHERE country_before <> country_code
),
counted AS (
    SELECT *,
           -- Nearby places may be one whose addresses the location database spreads.
           CAST(CASE WHEN $travel_window IS NULL THEN true
                     WHEN distance_km IS NULL THEN travel_us <= $travel_window
                     ELSE distance_km >= $min_distance_km
                          AND distance_km > $max_speed_kmh * CAST(travel_us AS DOUBLE) / 3600000000.0 END AS BIGINT) AS is_too_fast
    FROM changes
),
countries AS (
    SELECT "user" AS account, count(DISTINCT country_code) AS _countries
    FROM stays
    GROUP BY "user"
),
-- How often each account changed its country, and its fastest change.
travels AS (
    SELECT "user" AS traveller,
           count(*) AS _changes,
           max(is_too_fast) AS _is_too_fast,
           first_value(travel_us ORDER BY is_too_fast DESC, travel_us, first_us, country_code) AS _travel_us,
           first_value(departure_before ORDER BY is_too_fast DESC, travel_us, first_us, country_code) AS _departure,
           first_value(arrival ORDER BY is_too_fast DESC, travel_us, first_us, country_code) AS _arrival
    FROM counted
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
       c._countries,
       CASE WHEN c._countries IS NOT NULL THEN coalesce(t._changes, 0) END AS _changes,
       t._travel_us,
       t._departure,
       t._arrival,
       CASE WHEN c._countries IS NOT NULL THEN coalesce(t._is_too_fast, 0) END AS _is_too_fast
FROM places p
LEFT JOIN countries c ON p."user" = c.account
LEFT JOIN travels t ON p."user" = t.traveller
