//! What an investigation of one entity shows, over the rows that are the entity's. The other suites' analyses run on the
//! same rows.

mod entity_activity;
mod entity_peers;
mod known_names;
mod user_activity;
mod user_activity_breakdown;
mod user_activity_ips;
mod user_activity_map;
mod user_activity_timeline;
mod user_network_flows;
mod user_network_flows_timeline;
mod user_network_flows_totals;
mod users_addresses;

use datafusion::common::{JoinType, Result};
use datafusion::functions_aggregate::expr_fn::{count, count_distinct, max, min, sum};
use datafusion::logical_expr::{Expr, cast, ident, lit};
use datafusion::prelude::DataFrame;

use arrow::datatypes::DataType;

use super::{Analysis, Inputs, Requirement};

/// The analyses of an investigation, in the order of reports.
pub static INVESTIGATION: &[&Analysis] = &[
    &entity_activity::ANALYSIS,
    &entity_peers::ANALYSIS,
    &user_activity::ANALYSIS,
    &user_activity_breakdown::ANALYSIS,
    &user_activity_ips::ANALYSIS,
    &user_activity_timeline::ANALYSIS,
    &user_activity_map::ANALYSIS,
    &user_network_flows::ANALYSIS,
    &user_network_flows_totals::ANALYSIS,
    &user_network_flows_timeline::ANALYSIS,
];

/// Analyses of the suites that say how rare something is among the rows of all: of one entity's alone all is rare.
pub static OF_ALL_ROWS: &[&str] = &["rare_combinations"];

/// What an investigation asks of the rollups to find its rows.
pub(super) static QUESTIONS: &[&Analysis] = &[&known_names::ANALYSIS, &users_addresses::ANALYSIS];

/// Names of the investigated kind that rows of the window have.
pub static KNOWN_NAMES: &Analysis = &known_names::ANALYSIS;
/// Addresses of the entity's rows of OfficeActivity.
pub static USERS_ADDRESSES: &Analysis = &users_addresses::ANALYSIS;

/// A rollup of activity, the table it is of, and what its ends are where they are no address.
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

const ACTIVITY_ROLLUPS: &[&str] = &[
    "audit_activity",
    "blob_activity",
    "connection_activity",
    "file_activity",
    "flow_activity",
    "office_activity",
    "process_activity",
    "session_activity",
];

const OFFICE: &[Requirement] =
    &[Requirement { tables: &["OfficeActivity"], columns: &["Operation", "UserId"] }];
const FLOWS: &[Requirement] =
    &[Requirement { tables: &["AzureNetworkAnalytics_CL"], columns: &["FlowDirection"] }];

impl ActivityOf {
    /// The table's name, as the lake has it.
    fn table_in(&self, inputs: &Inputs<'_>) -> &'static str {
        match self.table {
            "StorageBlobLogs" if !inputs.columns.contains_key(self.table) => "BlobServiceLogs",
            table => table,
        }
    }
}

/// How many rows there are.
fn operations() -> Expr {
    count(lit(1i64)).alias("operations")
}

/// Rows with the place of their column `ip` beside them.
fn with_places(inputs: &Inputs<'_>, rows: DataFrame) -> Result<DataFrame> {
    let rows = rows.with_column("address", cast(ident("ip"), DataType::Utf8View))?;
    inputs.with_places(rows)
}

/// The flows of the entity's rows; of a user, those with the addresses at which the user was seen in the cloud.
fn flows(inputs: &Inputs<'_>) -> Result<DataFrame> {
    let flows = inputs.merged("network_flows")?;
    if inputs.investigated != Some(crate::entities::EntityKind::User) {
        return Ok(flows);
    }
    let seen_at = match inputs.whole("office_rows")? {
        Some(rows) => rows.select(vec![cast(ident("ip"), DataType::Utf8View).alias("seen_at")])?,
        None => return flows.filter(lit(false)),
    };
    flows.join(seen_at, JoinType::LeftSemi, &["external"], &["seen_at"], None)
}

/// Rows of the same table in one frame.
fn together(frames: Vec<DataFrame>) -> Result<DataFrame> {
    let mut frames = frames.into_iter();
    let first = frames.next().ok_or_else(|| {
        datafusion::common::internal_datafusion_err!("the lake has no table that names entities")
    })?;
    frames.try_fold(first, |all, frame| all.union(frame))
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

fn distinct(column: &str, name: &str) -> Expr {
    count_distinct(ident(column)).alias(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn analyses_that_need_the_rows_of_all_are_of_a_suite() {
        for id in OF_ALL_ROWS {
            assert!(super::super::ANALYSES.iter().any(|analysis| analysis.id == *id), "{id}");
        }
    }
}
