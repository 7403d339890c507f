SELECT event_class, action, sum(events) AS events
FROM event_bins
GROUP BY event_class, action
