//! What each Office 365 account did, from which address, with which client, by hour: serves address variability, accounts
//! in several places and the busiest accounts.

use datafusion::common::Result;
use datafusion::logical_expr::ident;
use datafusion::prelude::DataFrame;

use super::MeasureKind::{Count, Max, Min};
use super::{
    Rollup, Shape, hour_of, measure, named_agent, of_office_users, office_address, office_users_only,
};
use crate::config::Config;
use crate::functions::lowered_name;

pub(super) static ROLLUP: Rollup = Rollup {
    id: "office_accounts",
    version: 2,
    tables: &["OfficeActivity"],
    columns: &[
        "TimeGenerated",
        "UserType",
        "Operation",
        "UserId",
        "ClientIP",
        "Client_IPAddress",
        "UserAgent",
    ],
    bucket_key: &["user"],
    parameters: office_users_only,
    prepare,
    shape: Shape::Groups {
        keys: &["user", "operation", "address", "user_agent", "hour_index"],
        measures: &[
            measure("events", Count),
            measure("first_seen", Min("time")),
            measure("last_seen", Max("time")),
        ],
    },
};

fn prepare(table: DataFrame, config: &Config) -> Result<DataFrame> {
    table.filter(of_office_users(config))?.select(vec![
        lowered_name(ident("UserId")).alias("user"),
        ident("Operation").alias("operation"),
        office_address().alias("address"),
        named_agent().alias("user_agent"),
        hour_of("TimeGenerated").alias("hour_index"),
        ident("TimeGenerated").alias("time"),
    ])
}
