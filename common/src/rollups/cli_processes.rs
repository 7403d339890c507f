//! Processes that run a command-line transfer tool.

use datafusion::common::Result;
use datafusion::logical_expr::ident;
use datafusion::prelude::DataFrame;
use serde_json::{Value, json};

use super::{Rollup, Shape};
use crate::config::Config;
use crate::functions::matches;

pub(super) static ROLLUP: Rollup = Rollup {
    id: "cli_processes",
    version: 1,
    tables: &["DeviceProcessEvents"],
    columns: &[
        "Timestamp",
        "DeviceName",
        "InitiatingProcessAccountName",
        "ProcessCommandLine",
        "InitiatingProcessId",
    ],
    bucket_key: &["device_name"],
    parameters,
    prepare,
    shape: Shape::Rows,
};

fn parameters(config: &Config) -> Value {
    json!({ "command_patterns": config.cli_storage_uploads.command_patterns })
}

fn prepare(table: DataFrame, config: &Config) -> Result<DataFrame> {
    table.filter(matches(ident("ProcessCommandLine"), &config.cli_storage_uploads.command_patterns))?.select(
        vec![
            ident("Timestamp").alias("timestamp"),
            ident("DeviceName").alias("device_name"),
            ident("InitiatingProcessAccountName").alias("account_name"),
            ident("ProcessCommandLine").alias("command_line"),
            ident("InitiatingProcessId").alias("process_id"),
        ],
    )
}
