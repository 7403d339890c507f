//! Archive files written to staging folders.

use datafusion::common::Result;
use datafusion::logical_expr::ident;
use datafusion::prelude::DataFrame;
use serde_json::{Value, json};

use super::{Rollup, Shape};
use crate::config::Config;
use crate::functions::matches;

pub(super) static ROLLUP: Rollup = Rollup {
    id: "staged_files",
    version: 1,
    tables: &["DeviceFileEvents"],
    columns: &["Timestamp", "DeviceName", "FileName", "FolderPath"],
    bucket_key: &["staged_device_name"],
    parameters,
    prepare,
    shape: Shape::Rows,
};

fn parameters(config: &Config) -> Value {
    let staging = &config.compression_staging;
    json!({ "file_name_patterns": staging.file_name_patterns, "folder_patterns": staging.folder_patterns })
}

fn prepare(table: DataFrame, config: &Config) -> Result<DataFrame> {
    let staging = &config.compression_staging;
    table
        .filter(matches(ident("FileName"), &staging.file_name_patterns))?
        .filter(matches(ident("FolderPath"), &staging.folder_patterns))?
        .select(vec![
            ident("DeviceName").alias("staged_device_name"),
            ident("FileName").alias("staged_file_name"),
            ident("FolderPath").alias("staged_folder_path"),
            ident("Timestamp").alias("staged_file_timestamp"),
        ])
}
