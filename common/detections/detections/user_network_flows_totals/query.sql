SELECT l7_protocol, direction, sum(flows) AS flows
FROM (
    SELECT * FROM network_flows
    WHERE $investigated IS DISTINCT FROM 'user'
    UNION ALL
    -- Of a user: the flows with the addresses at which the user was seen in the cloud.
    SELECT f.*
    FROM network_flows f
    LEFT SEMI JOIN (SELECT plain(ip) AS seen_at FROM office_rows_all) seen ON f.external = seen.seen_at
    WHERE $investigated = 'user'
)
GROUP BY l7_protocol, direction
