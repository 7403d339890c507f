-- All baselines are here; the optimiser removes those that the parameter does not choose before anything is computed.
SELECT spikes.device_name,
       time_of_hour(spikes.hour_index) AS hour,
       spikes.bytes_sent,
       spikes.baseline,
       CASE WHEN spikes.baseline > 0.0 THEN CAST(spikes.bytes_sent AS DOUBLE) / spikes.baseline END AS ratio,
       spikes._hours_seen,
       spikes._period,
       round_half_up(spikes._score, 2) AS _score,
       spikes._similar,
       destinations._destination,
       destinations._destination_bytes,
       destinations._destination_days,
       destinations._call_bytes
FROM (
    SELECT *
    FROM (
        SELECT device_name,
               hour_index,
               bytes_sent,
               _in_window,
               CASE WHEN get_field(season, 'score') IS NOT NULL THEN get_field(season, 'usual')
                    WHEN $baseline = 'last_rows' THEN CAST(get_field(before_by_rows, 'sum') AS DOUBLE) / CAST($hours AS DOUBLE)
                    ELSE CAST(get_field(before_by_hours, 'sum') AS DOUBLE) / CAST($hours AS DOUBLE) END AS baseline,
               CASE WHEN $baseline = 'last_rows' THEN get_field(before_by_rows, 'count')
                    ELSE get_field(before_by_hours, 'count') END AS _hours_seen,
               get_field(season, 'score') AS _score,
               get_field(season, 'similar') AS _similar,
               get_field(season, 'period') AS _period
        FROM (
            SELECT *,
                   CASE WHEN $baseline = 'seasonal'
                        THEN seasonal(hour_index, bytes_sent)
                                 OVER (PARTITION BY device_name ORDER BY hour_index ASC NULLS LAST) END AS season,
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
    WHERE bytes_sent >= $min_bytes
      AND _in_window
      AND CASE WHEN _score IS NOT NULL
               THEN _score >= $min_score AND _similar <= $max_similar AND CAST(bytes_sent AS DOUBLE) - baseline >= CAST($min_bytes AS DOUBLE)
               ELSE CAST(bytes_sent AS DOUBLE) > baseline * $factor AND _hours_seen >= $min_history END
) AS spikes
LEFT JOIN (
    -- The destination that got most of each hour, and since when the device has sent to it.
    SELECT device_name,
           hour_index,
           first_value(destination ORDER BY bytes_sent DESC, destination) AS _destination,
           max(bytes_sent) AS _destination_bytes,
           first_value(floor_div(hour_index - first_hour, 24) ORDER BY bytes_sent DESC, destination) AS _destination_days,
           sum(call_bytes) AS _call_bytes
    FROM (
        SELECT *, min(hour_index) OVER (PARTITION BY device_name, destination) AS first_hour
        FROM (
            SELECT device_name, hour_index, destination, sum(bytes_sent) AS bytes_sent, sum(call_bytes) AS call_bytes
            FROM (
                SELECT device_name, hour_index, destination, bytes_sent, call_bytes
                FROM egress_destinations
                UNION ALL
                SELECT device_name, hour_index, destination, bytes_sent, call_bytes
                FROM egress_destinations_past
            )
            -- Rows without one say nothing about where data went.
            WHERE destination IS NOT NULL
            GROUP BY device_name, hour_index, destination
        )
    )
    GROUP BY device_name, hour_index
) AS destinations
  ON spikes.device_name = destinations.device_name AND spikes.hour_index = destinations.hour_index
