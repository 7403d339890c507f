//! Who did which Office 365 operation, from where and with what: serves whatever is told by operation. By operation and
//! not by account, since the addresses and accounts of one operation are to be counted in one shard.

use datafusion::common::Result;
use datafusion::logical_expr::ident;
use datafusion::prelude::DataFrame;

use super::MeasureKind::{Count, Max, Min};
use super::{Rollup, Shape, measure, named_agent, of_office_users, office_address, office_users_only};
use crate::config::Config;
use crate::functions::lowered_name;

pub(super) static ROLLUP: Rollup = Rollup {
    id: "office_operations",
    version: 1,
    tables: &["OfficeActivity"],
    columns: &[
        "TimeGenerated",
        "UserType",
        "RecordType",
        "Operation",
        "UserId",
        "ClientIP",
        "Client_IPAddress",
        "UserAgent",
    ],
    bucket_key: &["operation"],
    parameters: office_users_only,
    prepare,
    shape: Shape::Groups {
        keys: &["record_type", "operation", "user", "address", "user_agent"],
        measures: &[
            measure("events", Count),
            measure("first_seen", Min("time")),
            measure("last_seen", Max("time")),
        ],
    },
};

fn prepare(table: DataFrame, config: &Config) -> Result<DataFrame> {
    table.filter(of_office_users(config))?.select(vec![
        ident("RecordType").alias("record_type"),
        ident("Operation").alias("operation"),
        lowered_name(ident("UserId")).alias("user"),
        office_address().alias("address"),
        named_agent().alias("user_agent"),
        ident("TimeGenerated").alias("time"),
    ])
}
