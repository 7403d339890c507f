//! What is done in the tenant: addresses, users and operations by record type and operation.

use datafusion::common::Result;
use datafusion::functions_aggregate::expr_fn::{count_distinct, sum};
use datafusion::logical_expr::ident;
use datafusion::prelude::DataFrame;

use super::{Analysis, Companion, Inputs, Locations, Requirement, Suite};

/// Rows of the companion table.
const MOST_COMMON: usize = 10;

pub(super) static ANALYSIS: Analysis = Analysis {
    id: "operation_summary",
    version: 1,
    suite: Suite::Office365,
    title: "Office 365 operations",
    rollups: &["office_operations"],
    optional_rollups: &[],
    requires: &[Requirement {
        tables: &["OfficeActivity"],
        columns: &["UserType", "RecordType", "Operation", "UserId", "ClientIP"],
    }],
    locations: Locations::Unused,
    look_back: None,
    run,
    finish: None,
    order: &[("operations", true), ("record_type", false), ("operation", false)],
    limit: None,
    companion: Some(Companion { name: "common_operations", compute: most_common }),
    finding: None,
};

fn run(inputs: &Inputs<'_>) -> Result<DataFrame> {
    inputs.merged("office_operations")?.aggregate(
        vec![ident("record_type"), ident("operation")],
        vec![
            count_distinct(ident("address")).alias("distinct_ips"),
            count_distinct(ident("user")).alias("distinct_users"),
            sum(ident("events")).alias("operations"),
        ],
    )
}

fn most_common(summary: DataFrame) -> Result<DataFrame> {
    let order = ANALYSIS.order.iter().map(|(column, descending)| ident(*column).sort(!descending, false));
    summary
        .select(vec![ident("record_type"), ident("operation"), ident("operations")])?
        .sort(order.collect())?
        .limit(0, Some(MOST_COMMON))
}
