SELECT time,
       "user",
       operation,
       address,
       rule,
       result_status,
       parameters,
       CAST(matches(parameters, $forward_patterns) IS TRUE AS BIGINT) AS forwards,
       CAST(matches(parameters, $hide_patterns) IS TRUE AS BIGINT) AS hides
FROM mailbox_rules
