//! Transfer tools whose process connects to object storage, corroborated by the storage account's own log.

use arrow::datatypes::DataType;
use datafusion::common::{JoinType, Result};
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::functions_aggregate::expr_fn::sum;
use datafusion::logical_expr::{Expr, cast, ident, lit, when};
use datafusion::prelude::DataFrame;
use datafusion::scalar::ScalarValue;

use super::{Analysis, Inputs, Locations, LookBack, Requirement, Suite};
use crate::findings::{EntityKind, FindingRule, Period, Severity, Stage, technique};
use crate::functions::storage_account;
use crate::rollups::second_of_time;
use crate::time::MICROS_PER_SECOND;

pub(super) static ANALYSIS: Analysis = Analysis {
    id: "cli_storage_uploads",
    version: 2,
    suite: Suite::Exfiltration,
    title: "Uploads to cloud storage by command-line tools",
    rollups: &["cli_processes", "storage_connections"],
    optional_rollups: &["blob_writes"],
    requires: &[
        Requirement { tables: &["DeviceProcessEvents"], columns: &["DeviceName", "ProcessCommandLine"] },
        Requirement { tables: &["DeviceNetworkEvents"], columns: &["DeviceName", "RemoteUrl"] },
    ],
    locations: Locations::Unused,
    look_back: Some(LookBack {
        rollups: &["cli_processes"],
        start: |config, from_us| Some(from_us.saturating_sub(config.cli_storage_uploads.join_window.0?)),
    }),
    run,
    finish: None,
    order: &[("timestamp", false), ("network_timestamp", false)],
    limit: None,
    companion: None,
    finding: Some(FindingRule {
        title: "Data uploaded to cloud storage",
        techniques: &[technique("T1567.002", "Exfiltration Over Web Service: Exfiltration to Cloud Storage")],
        stage: Stage::Upload,
        entities: &[
            (EntityKind::Device, "device_name"),
            (EntityKind::User, "account_name"),
            (EntityKind::Url, "remote_url"),
            (EntityKind::StorageAccount, "_storage_account"),
        ],
        first_seen: "timestamp",
        last_seen: "network_timestamp",
        // The process may have begun before the window, where other connections of it were.
        period: Period::LastDay,
        is_finding: |_, _| true,
        severity: |_| Severity::High,
        confidence: |row| if row.integer("blob_writes").is_some_and(|writes| writes > 0) { 90 } else { 70 },
        explain: |row| {
            let command = row.text("command_line").unwrap_or_default();
            let url = row.text("remote_url").unwrap_or_default();
            let corroboration = match row.integer("blob_writes") {
                Some(0) => "; the storage log shows no write within the hour".to_owned(),
                Some(writes) => format!("; the storage log shows {writes} writes within the hour"),
                None => String::new(),
            };
            format!("`{command}` connected to {url}{corroboration}")
        },
    }),
};

fn run(inputs: &Inputs<'_>) -> Result<DataFrame> {
    let mut join = vec![ident("device_name").eq(ident("network_device_name"))];
    let has_process_id = |table| inputs.has_column(table, "InitiatingProcessId");
    if has_process_id("DeviceProcessEvents") && has_process_id("DeviceNetworkEvents") {
        join.push(ident("process_id").eq(ident("network_process_id")));
    }
    if let Some(join_us) = inputs.config.cli_storage_uploads.join_window.0 {
        // Process ids are used again.
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
            let counted =
                corroboration(&uploads, writes, inputs.config.cli_storage_uploads.corroboration_window.0)?;
            let is_same = vec![
                ident("_storage_account").eq(ident("counted_account")),
                network_second().eq(ident("counted_second")),
            ];
            // A store without a blob log (any but Azure's) has no count; one with a log and no write counts 0.
            let count = when(ident("_storage_account").is_null(), no_count)
                .otherwise(coalesce(vec![ident("counted_writes"), lit(0i64)]))?;
            uploads
                .join_on(counted, JoinType::Left, is_same)?
                .with_column("blob_writes", count)?
                .drop_columns(&["counted_account", "counted_second", "counted_writes"])
        }
    }
}

/// Microseconds since the epoch of a time.
fn micros(time: Expr) -> Expr {
    cast(time, DataType::Int64)
}

/// Writes to each account around each second an upload connected to it.
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

/// As `write_second` of the rollup, which it is joined with.
fn network_second() -> Expr {
    second_of_time(ident("network_timestamp"))
}
