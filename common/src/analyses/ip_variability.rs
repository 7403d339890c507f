//! Users that do the same operation from several addresses.

use datafusion::common::Result;
use datafusion::functions_aggregate::expr_fn::{count_distinct, sum};
use datafusion::logical_expr::{ident, lit};
use datafusion::prelude::DataFrame;

use super::{Analysis, Inputs, Locations, Requirement, Suite};

pub(super) static ANALYSIS: Analysis = Analysis {
    id: "ip_variability",
    version: 1,
    suite: Suite::Office365,
    title: "Users with several addresses for an operation",
    rollups: &["office_accounts"],
    optional_rollups: &[],
    requires: &[Requirement {
        tables: &["OfficeActivity"],
        columns: &["UserType", "Operation", "UserId", "ClientIP"],
    }],
    locations: Locations::Unused,
    look_back: None,
    run,
    finish: None,
    order: &[("distinct_ips", true), ("operations", true), ("user", false), ("operation", false)],
    limit: None,
    companion: None,
    finding: None,
};

fn run(inputs: &Inputs<'_>) -> Result<DataFrame> {
    inputs
        .merged("office_accounts")?
        .aggregate(
            vec![ident("user"), ident("operation")],
            vec![
                count_distinct(ident("address")).alias("distinct_ips"),
                sum(ident("events")).alias("operations"),
            ],
        )?
        .filter(ident("distinct_ips").gt(lit(1i64)))
}
