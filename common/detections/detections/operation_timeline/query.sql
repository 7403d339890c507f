SELECT time_of_hour(hour_index) AS hour,
       operation,
       events AS operations,
       sharepoint_file_events AS sharepoint_file_operations
FROM office_hours
