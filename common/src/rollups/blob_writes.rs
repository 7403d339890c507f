//! Successful writes to storage accounts, by second.

use datafusion::common::Result;
use datafusion::logical_expr::ident;
use datafusion::prelude::DataFrame;
use serde_json::{Value, json};

use super::MeasureKind::Count;
use super::{Rollup, Shape, measure, second_of_time};
use crate::config::{Config, Patterns};
use crate::functions::{lowered_name, matches};

pub(super) static ROLLUP: Rollup = Rollup {
    id: "blob_writes",
    version: 3,
    tables: &["StorageBlobLogs", "BlobServiceLogs"],
    columns: &["TimeGenerated", "AccountName", "OperationName", "StatusCode"],
    bucket_key: &["blob_account"],
    parameters,
    prepare,
    shape: Shape::Groups { keys: &["blob_account", "write_second"], measures: &[measure("writes", Count)] },
};

fn parameters(config: &Config) -> Value {
    json!({ "write_operations": config.cli_storage_uploads.write_operations })
}

fn prepare(table: DataFrame, config: &Config) -> Result<DataFrame> {
    let is_write =
        matches(ident("OperationName"), &Patterns::equal_to(&config.cli_storage_uploads.write_operations));
    // A refused write (4xx, 5xx) wrote nothing; a row without a status is taken at its word.
    let was_refused = matches(ident("StatusCode"), &Patterns::starting_with(&["4", "5"]));
    table.filter(is_write.and(was_refused.is_not_true()))?.select(vec![
        lowered_name(ident("AccountName")).alias("blob_account"),
        second_of_time(ident("TimeGenerated")).alias("write_second"),
    ])
}
