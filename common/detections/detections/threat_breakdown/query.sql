SELECT activity, action, severity, events
FROM threat_counts
