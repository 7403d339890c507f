//! Audit rows of operations on storage keys and settings.

use datafusion::common::Result;
use datafusion::logical_expr::ident;
use datafusion::prelude::DataFrame;
use serde_json::{Value, json};

use super::{Rollup, Shape};
use crate::config::Config;
use crate::functions::matches;

pub(super) static ROLLUP: Rollup = Rollup {
    id: "storage_audit_rows",
    version: 1,
    tables: &["AuditLogs"],
    columns: &["TimeGenerated", "OperationName", "ResultDescription", "InitiatedBy", "TargetResources"],
    bucket_key: &["operation_name"],
    parameters,
    prepare,
    shape: Shape::Rows,
};

fn parameters(config: &Config) -> Value {
    json!({ "operation_patterns": config.storage_audit.operation_patterns })
}

fn prepare(table: DataFrame, config: &Config) -> Result<DataFrame> {
    table.filter(matches(ident("OperationName"), &config.storage_audit.operation_patterns))?.select(vec![
        ident("TimeGenerated").alias("time_generated"),
        ident("OperationName").alias("operation_name"),
        ident("ResultDescription").alias("result_description"),
        ident("InitiatedBy").alias("initiated_by"),
        ident("TargetResources").alias("target_resources"),
    ])
}
