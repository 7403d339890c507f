//! Processes whose command line creates an archive.

use datafusion::common::Result;
use datafusion::logical_expr::ident;
use datafusion::prelude::DataFrame;
use serde_json::{Value, json};

use super::{Rollup, Shape};
use crate::config::Config;
use crate::functions::matches;

pub(super) static ROLLUP: Rollup = Rollup {
    id: "staging_processes",
    version: 1,
    tables: &["DeviceProcessEvents"],
    columns: &[
        "Timestamp",
        "DeviceName",
        "InitiatingProcessAccountName",
        "ProcessCommandLine",
        "InitiatingProcessParentFileName",
    ],
    bucket_key: &["device_name"],
    parameters,
    prepare,
    shape: Shape::Rows,
};

fn parameters(config: &Config) -> Value {
    json!({ "command_patterns": config.compression_staging.command_patterns })
}

fn prepare(table: DataFrame, config: &Config) -> Result<DataFrame> {
    table.filter(matches(ident("ProcessCommandLine"), &config.compression_staging.command_patterns))?.select(
        vec![
            ident("DeviceName").alias("device_name"),
            ident("InitiatingProcessAccountName").alias("account_name"),
            ident("ProcessCommandLine").alias("command_line"),
            ident("Timestamp").alias("timestamp"),
            ident("InitiatingProcessParentFileName").alias("parent_file_name"),
        ],
    )
}
