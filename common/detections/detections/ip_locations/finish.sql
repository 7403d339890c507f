-- Several shards may have operations from one address.
SELECT DISTINCT * FROM candidates
