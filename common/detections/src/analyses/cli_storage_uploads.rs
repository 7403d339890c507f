//! Transfer tools whose process connects to object storage, corroborated by the storage account's own log.
//!
//! Written in Rust, because the plan depends on the tables and columns of the lake. SQL sees a missing table as an empty one, but the
//! count of writes must then be null; and it sees a missing column as null, but the join must then do without it.

use arrow::datatypes::DataType;
use datafusion::common::{DataFusionError, JoinType, Result, ScalarValue};
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::functions_aggregate::expr_fn::sum;
use datafusion::logical_expr::{Expr, cast, ident, lit, when};
use datafusion::prelude::DataFrame;

use super::Inputs;
use crate::config::{Config, Span};
use hindcast_base::time::MICROS_PER_SECOND;
use hindcast_functions::{floor_div, storage_account};

pub(super) fn run(inputs: &Inputs<'_>) -> Result<DataFrame> {
    let mut join = vec![ident("device_name").eq(ident("network_device_name"))];
    let has_process_id = |table| inputs.has_column(table, "InitiatingProcessId");
    if has_process_id("DeviceProcessEvents") && has_process_id("DeviceNetworkEvents") {
        join.push(ident("process_id").eq(ident("network_process_id")));
    }
    if let Some(join_us) = span(inputs.config, "cli_storage_uploads.join_window")? {
        // Process ids are reused.
        let since_start = micros(ident("network_timestamp")) - micros(ident("timestamp"));
        join.push(since_start.between(lit(0i64), lit(join_us)));
    }
    let mut processes = inputs.merged("cli_processes")?;
    if let Some(past) = inputs.past("cli_processes")? {
        processes = processes.union(past)?;
    }
    let uploads =
        processes.join_on(inputs.merged("storage_connections")?, JoinType::Inner, join)?.select(vec![
            ident("timestamp"),
            ident("network_timestamp"),
            ident("device_name"),
            ident("account_name"),
            ident("command_line"),
            ident("remote_url"),
            ident("bytes_sent"),
            storage_account(ident("remote_url")).alias("_storage_account"),
        ])?;
    let no_count = lit(ScalarValue::Int64(None));
    match inputs.whole("blob_writes")? {
        None => uploads.with_column("blob_writes", no_count),
        Some(writes) => {
            let window_us = span(inputs.config, "cli_storage_uploads.corroboration_window")?;
            let counted = corroboration(&uploads, writes, window_us)?;
            let is_same = vec![
                ident("_storage_account").eq(ident("counted_account")),
                network_second().eq(ident("counted_second")),
            ];
            // A store without a blob log (all except Azure's) has no count; a store with a log and no write counts 0.
            let count = when(ident("_storage_account").is_null(), no_count)
                .otherwise(coalesce(vec![ident("counted_writes"), lit(0i64)]))?;
            uploads
                .join_on(counted, JoinType::Left, is_same)?
                .with_column("blob_writes", count)?
                .drop_columns(&["counted_account", "counted_second", "counted_writes"])
        }
    }
}

/// Microseconds of the span at a path; `None` if it is unlimited.
fn span(config: &Config, path: &str) -> Result<Option<i64>> {
    let value = config.parameter(path);
    let text = value.as_ref().and_then(|value| value.as_str()).unwrap_or_default();
    let span = Span::try_from(text.to_owned());
    span.map(|span| span.0).map_err(|error| DataFusionError::External(Box::new(error)))
}

/// Microseconds since the epoch of a time.
fn micros(time: Expr) -> Expr {
    cast(time, DataType::Int64)
}

/// Writes to each account around each second in which an upload connected to it.
fn corroboration(uploads: &DataFrame, writes: DataFrame, window_us: Option<i64>) -> Result<DataFrame> {
    let moments = uploads
        .clone()
        .filter(ident("_storage_account").is_not_null())?
        .select(vec![
            ident("_storage_account").alias("counted_account"),
            network_second().alias("counted_second"),
        ])?
        .distinct()?;
    let mut join = vec![ident("counted_account").eq(ident("blob_account"))];
    if let Some(window_us) = window_us {
        let window_seconds = window_us / MICROS_PER_SECOND;
        let between = ident("write_second") - ident("counted_second");
        join.push(between.between(lit(-window_seconds), lit(window_seconds)));
    }
    moments.join_on(writes, JoinType::Inner, join)?.aggregate(
        vec![ident("counted_account"), ident("counted_second")],
        vec![sum(ident("writes")).alias("counted_writes")],
    )
}

/// Computed like `write_second` of the rollup, with which it is joined.
fn network_second() -> Expr {
    floor_div(micros(ident("network_timestamp")), MICROS_PER_SECOND)
}
