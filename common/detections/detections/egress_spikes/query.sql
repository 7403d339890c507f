-- Both baselines are here; the optimiser removes the one that the parameter does not choose before anything is computed.
SELECT device_name,
       time_of_hour(hour_index) AS hour,
       bytes_sent,
       baseline,
       CASE WHEN baseline > 0.0 THEN CAST(bytes_sent AS DOUBLE) / baseline END AS ratio,
       _hours_seen
FROM (
    SELECT device_name,
           hour_index,
           bytes_sent,
           _in_window,
           CAST(CASE WHEN $baseline = 'preceding_hours' THEN get_field(before_by_hours, 'sum')
                     ELSE get_field(before_by_rows, 'sum') END AS DOUBLE) / CAST($hours AS DOUBLE) AS baseline,
           CASE WHEN $baseline = 'preceding_hours' THEN get_field(before_by_hours, 'count')
                ELSE get_field(before_by_rows, 'count') END AS _hours_seen
    FROM (
        SELECT *,
               trailing(hour_index, bytes_sent, $hours)
                   OVER (PARTITION BY device_name ORDER BY hour_index ASC NULLS LAST) AS before_by_hours,
               trailing_rows(hour_index, bytes_sent, $hours)
                   OVER (PARTITION BY device_name ORDER BY hour_index ASC NULLS LAST) AS before_by_rows
        FROM (
            -- The window may start within an hour, which then has rows on both sides.
            SELECT device_name,
                   hour_index,
                   sum(bytes_sent) AS bytes_sent,
                   bool_or(_in_window) AS _in_window
            FROM (
                SELECT device_name, hour_index, bytes_sent, true AS _in_window
                FROM device_hours
                UNION ALL
                SELECT device_name, hour_index, bytes_sent, hour_index * 3600000000 >= $window_from AS _in_window
                FROM device_hours_past
            )
            GROUP BY device_name, hour_index
        )
    )
)
WHERE CAST(bytes_sent AS DOUBLE) > baseline * $factor
  AND _hours_seen >= $min_history
  AND bytes_sent >= $min_bytes
  AND _in_window
