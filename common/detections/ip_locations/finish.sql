-- An address may come with operations of several shards.
SELECT DISTINCT * FROM candidates
