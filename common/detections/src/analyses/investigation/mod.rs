//! The analyses of an investigation that are written in Rust. They run over the rows of one entity, as the other suites' analyses do.

pub(super) mod entity_activity;
pub(super) mod entity_peers;

use datafusion::functions_aggregate::expr_fn::{max, min, sum};
use datafusion::logical_expr::{Expr, ident};

use super::Inputs;

/// A rollup of activity, its table, and the kinds of its two ends if they are not addresses.
struct ActivityOf {
    rollup: &'static str,
    table: &'static str,
    source_kind: &'static str,
    destination_kind: &'static str,
}

const fn activity_of(
    rollup: &'static str,
    table: &'static str,
    source_kind: &'static str,
    destination_kind: &'static str,
) -> ActivityOf {
    ActivityOf { rollup, table, source_kind, destination_kind }
}

static ACTIVITY: &[ActivityOf] = &[
    activity_of("audit_activity", "AuditLogs", "user", "user"),
    activity_of("blob_activity", "StorageBlobLogs", "ip", "storage_account"),
    activity_of("connection_activity", "DeviceNetworkEvents", "device", "url"),
    activity_of("file_activity", "DeviceFileEvents", "device", "device"),
    activity_of("flow_activity", "AzureNetworkAnalytics_CL", "ip", "ip"),
    activity_of("office_activity", "OfficeActivity", "user", "user"),
    activity_of("process_activity", "DeviceProcessEvents", "device", "device"),
    activity_of("session_activity", "CommonSecurityLog", "ip", "ip"),
];

impl ActivityOf {
    /// The table's name in the lake.
    fn table_in(&self, inputs: &Inputs<'_>) -> &'static str {
        match self.table {
            "StorageBlobLogs" if !inputs.columns.contains_key(self.table) => "BlobServiceLogs",
            table => table,
        }
    }
}

fn total(column: &str) -> Expr {
    sum(ident(column)).alias(column)
}

fn first_seen() -> Expr {
    min(ident("first_seen")).alias("first_seen")
}

fn last_seen() -> Expr {
    max(ident("last_seen")).alias("last_seen")
}
