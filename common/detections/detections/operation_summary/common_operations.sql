-- The ten most common operations.
SELECT record_type, operation, operations
FROM result
ORDER BY operations DESC NULLS LAST, record_type ASC NULLS LAST, operation ASC NULLS LAST
LIMIT 10
