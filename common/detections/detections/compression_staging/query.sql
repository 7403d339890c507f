-- Each process, with each archive that was staged on its device around that time, or with null; and what makes it more than packing.
WITH processes AS (
    SELECT *
    FROM staging_processes
    WHERE matches(command_line, $allowed_commands) IS NOT TRUE
      AND equals_any(account_name, $allowed_accounts) IS NOT TRUE
      AND equals_any(device_name, $allowed_devices) IS NOT TRUE
      -- A row without a name is dropped only if the parameter says so and a list could have named it.
      AND (account_name IS NOT NULL OR $keep_rows_without_identity OR is_empty($allowed_accounts))
      AND (device_name IS NOT NULL OR $keep_rows_without_identity OR is_empty($allowed_devices))
),
-- Processes that name an archive which was deleted afterwards on their device.
deletions AS (
    SELECT DISTINCT deleted_device_name, command_line AS deleted_command_line, "timestamp" AS deleted_process_timestamp
    FROM processes
    JOIN deleted_archives
      ON deleted_device_name = device_name
     AND micros(deleted_timestamp) - micros("timestamp") BETWEEN 0 AND $deleted_within
     AND strpos(lower(command_line), lower(deleted_file_name)) > 0
)
SELECT device_name,
       account_name,
       command_line,
       "timestamp",
       parent_file_name,
       staged_file_name,
       staged_folder_path,
       staged_file_timestamp,
       CAST(staged_file_name IS NOT NULL AS BIGINT) + _password + _source + _pipe + _deleted AS _signs,
       concat(
           CASE WHEN _password = 1 THEN '; protected by a password' ELSE '' END,
           CASE WHEN _source = 1 THEN '; reads folders of users or shares' ELSE '' END,
           CASE WHEN _pipe = 1 THEN '; passed on to another host or a cipher' ELSE '' END,
           CASE WHEN _deleted = 1 THEN '; an archive that it names was deleted afterwards' ELSE '' END
       ) AS _reasons
FROM (
    SELECT processes.*,
           CAST(matches(command_line, $password_patterns) IS TRUE AS BIGINT) AS _password,
           CAST(matches(command_line, $source_patterns) IS TRUE AS BIGINT) AS _source,
           CAST(matches(command_line, $pipe_patterns) IS TRUE AS BIGINT) AS _pipe,
           CAST(deleted_device_name IS NOT NULL AS BIGINT) AS _deleted
    FROM processes
    LEFT JOIN deletions
      ON device_name = deleted_device_name
     AND command_line = deleted_command_line
     AND "timestamp" = deleted_process_timestamp
)
LEFT JOIN (
    SELECT *
    FROM staged_files
    WHERE matches(staged_folder_path, $allowed_paths) IS NOT TRUE
)
  ON device_name = staged_device_name
 AND ($join_window IS NULL
      OR micros(staged_file_timestamp) - micros("timestamp") BETWEEN 0 - $join_window AND $join_window)
