SELECT "user",
       account_name("user") AS account,
       operation,
       address AS ip,
       user_agent,
       time_of_hour(hour_index) AS hour,
       events AS operations
FROM office_accounts
