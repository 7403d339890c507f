-- Each process, with each archive that was staged on its device around that time, or with null.
SELECT device_name,
       account_name,
       command_line,
       "timestamp",
       parent_file_name,
       staged_file_name,
       staged_folder_path,
       staged_file_timestamp
FROM (
    SELECT *
    FROM staging_processes
    WHERE matches(command_line, $allowed_commands) IS NOT TRUE
      AND equals_any(account_name, $allowed_accounts) IS NOT TRUE
      AND equals_any(device_name, $allowed_devices) IS NOT TRUE
      -- A row without a name is dropped only if the parameter says so and a list could have named it.
      AND (account_name IS NOT NULL OR $keep_rows_without_identity OR is_empty($allowed_accounts))
      AND (device_name IS NOT NULL OR $keep_rows_without_identity OR is_empty($allowed_devices))
)
LEFT JOIN (
    SELECT *
    FROM staged_files
    WHERE matches(staged_folder_path, $allowed_paths) IS NOT TRUE
)
  ON device_name = staged_device_name
 AND ($join_window IS NULL
      OR micros(staged_file_timestamp) - micros("timestamp") BETWEEN 0 - $join_window AND $join_window)
