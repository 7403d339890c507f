-- A signature that many hosts trigger again and again is one of the network, not of a host: it is left out, so that it does not take
-- the places of others.
SELECT *
FROM (
    SELECT host,
           activity,
           threat,
           events,
           stopped_events,
           peers,
           first_seen,
           last_seen,
           hosts,
           _outbound,
           -- Hosts that are only destinations are not among the sources.
           coalesce(beacon_prevalence(hosts, greatest(total_sources, hosts)), 1.0) AS _rarity
    FROM (
        SELECT *, count(*) OVER (PARTITION BY activity, threat) AS hosts
        FROM candidates
    )
    LEFT JOIN (
        SELECT name, total_sources
        FROM prevalence
        WHERE kind = 'ip'
    )
      ON canonical_address(host) = name
)
WHERE _rarity >= 0.1
