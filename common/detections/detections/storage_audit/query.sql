SELECT time_generated,
       operation_name,
       result_description,
       initiated_by,
       target_resources,
       initiator(initiated_by) AS _initiator,
       initiator_address(initiated_by) AS _initiator_address
FROM storage_audit_rows
