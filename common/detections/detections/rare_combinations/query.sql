-- The shard's rare combinations, and how many pairs of operation and user it has from each country: rows without an
-- operation, with the number in _country_pairs. It counts pairs and not events, because reading mail in bulk makes no
-- country common. An operation is in one shard, so the sums over shards are exact.
WITH located AS (
    SELECT o.operation, o."user", o.address, o.user_agent, o.events, o.first_seen, o.last_seen, l.country_code
    FROM office_operations o
    -- Where services of Microsoft are says nothing about the account for which they act.
    LEFT JOIN locations l ON o.address = l.address AND NOT in_networks(o.address, $service_networks)
)
SELECT country_code,
       operation,
       user_agent,
       total_events AS events,
       users,
       first_user AS "user",
       ip,
       earliest AS first_seen,
       latest AS last_seen,
       CAST(equals_any(lowered_name(operation), $sensitive_operations) AS BIGINT) AS _is_sensitive,
       CAST(NULL AS BIGINT) AS _country_pairs
FROM (
    SELECT country_code, operation, user_agent,
           sum(events) AS total_events,
           count(DISTINCT "user") AS users,
           first_value("user" ORDER BY first_seen ASC NULLS LAST, "user" ASC NULLS LAST, address ASC NULLS LAST) AS first_user,
           first_value(address ORDER BY first_seen ASC NULLS LAST, "user" ASC NULLS LAST, address ASC NULLS LAST) AS ip,
           min(first_seen) AS earliest,
           max(last_seen) AS latest
    FROM located
    GROUP BY country_code, operation, user_agent
)
WHERE total_events <= $max_events
UNION ALL
SELECT country_code,
       NULL AS operation,
       NULL AS user_agent,
       NULL AS events,
       NULL AS users,
       NULL AS "user",
       NULL AS ip,
       NULL AS first_seen,
       NULL AS last_seen,
       NULL AS _is_sensitive,
       count(*) AS _country_pairs
FROM (
    SELECT DISTINCT country_code, operation, "user"
    FROM located
    WHERE country_code IS NOT NULL
)
GROUP BY country_code
