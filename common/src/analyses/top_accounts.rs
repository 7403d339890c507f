//! The busiest hours of accounts, by operation, address and client; and what they come to by account and operation.

use datafusion::common::Result;
use datafusion::functions_aggregate::expr_fn::{avg, count, sum};
use datafusion::logical_expr::{ident, lit};
use datafusion::prelude::DataFrame;

use super::{Analysis, Companion, Inputs, Locations, Requirement, Suite, time_of_hour};
use crate::functions::account_name;

pub(super) static ANALYSIS: Analysis = Analysis {
    id: "top_accounts",
    version: 1,
    suite: Suite::Office365,
    title: "Accounts with the most operations in an hour",
    rollups: &["office_accounts"],
    optional_rollups: &[],
    requires: &[Requirement {
        tables: &["OfficeActivity"],
        columns: &["UserType", "Operation", "UserId", "ClientIP", "UserAgent"],
    }],
    locations: Locations::Unused,
    look_back: None,
    run,
    finish: None,
    order: &[
        ("operations", true),
        ("user", false),
        ("operation", false),
        ("ip", false),
        ("user_agent", false),
        ("hour", false),
    ],
    limit: Some(|config| config.top_accounts.limit),
    companion: Some(Companion { name: "top_accounts_pivot", compute: pivot }),
    finding: None,
};

fn run(inputs: &Inputs<'_>) -> Result<DataFrame> {
    inputs.merged("office_accounts")?.select(vec![
        ident("user"),
        account_name(ident("user")).alias("account"),
        ident("operation"),
        ident("address").alias("ip"),
        ident("user_agent"),
        time_of_hour(ident("hour_index")).alias("hour"),
        ident("events").alias("operations"),
    ])
}

/// In long form: a row an account and operation, since operations as columns would differ from run to run.
fn pivot(top: DataFrame) -> Result<DataFrame> {
    top.aggregate(
        vec![ident("account"), ident("operation")],
        vec![
            avg(ident("operations")).alias("mean_operations"),
            sum(ident("operations")).alias("operations"),
            count(lit(1i64)).alias("rows"),
        ],
    )?
    .sort(vec![ident("account").sort(true, false), ident("operation").sort(true, false)])
}
