-- In long form: one row per account and operation, because operations as columns would differ from run to run.
SELECT account,
       operation,
       avg(operations) AS mean_operations,
       sum(operations) AS operations,
       count(*) AS "rows"
FROM result
GROUP BY account, operation
ORDER BY account ASC NULLS LAST, operation ASC NULLS LAST
