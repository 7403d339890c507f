//! Connections to hosts of object storage.

use datafusion::common::Result;
use datafusion::logical_expr::ident;
use datafusion::prelude::DataFrame;
use serde_json::{Value, json};

use super::{Rollup, Shape};
use crate::config::Config;
use crate::functions::matches;

pub(super) static ROLLUP: Rollup = Rollup {
    id: "storage_connections",
    version: 1,
    tables: &["DeviceNetworkEvents"],
    columns: &["Timestamp", "DeviceName", "InitiatingProcessId", "RemoteUrl", "BytesSent"],
    bucket_key: &["network_device_name"],
    parameters,
    prepare,
    shape: Shape::Rows,
};

fn parameters(config: &Config) -> Value {
    json!({ "url_patterns": config.cli_storage_uploads.url_patterns })
}

fn prepare(table: DataFrame, config: &Config) -> Result<DataFrame> {
    table.filter(matches(ident("RemoteUrl"), &config.cli_storage_uploads.url_patterns))?.select(vec![
        ident("Timestamp").alias("network_timestamp"),
        ident("DeviceName").alias("network_device_name"),
        ident("InitiatingProcessId").alias("network_process_id"),
        ident("RemoteUrl").alias("remote_url"),
        ident("BytesSent").alias("bytes_sent"),
    ])
}
