SELECT time_bin, event_class, sum(events) AS events
FROM event_bins
GROUP BY time_bin, event_class
