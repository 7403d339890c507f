//! Which Office account acted from which address, by day.

use datafusion::common::Result;
use datafusion::logical_expr::ident;
use datafusion::prelude::DataFrame;

use super::MeasureKind::Count;
use super::{Rollup, Shape, day_of, measure, no_parameters, office_address};
use crate::config::Config;
use crate::functions::lowered_name;

pub(super) static ROLLUP: Rollup = Rollup {
    id: "office_identities",
    version: 2,
    tables: &["OfficeActivity"],
    columns: &["TimeGenerated", "UserId", "ClientIP", "Client_IPAddress"],
    bucket_key: &["address"],
    parameters: no_parameters,
    prepare,
    shape: Shape::Groups { keys: &["day", "address", "account"], measures: &[measure("events", Count)] },
};

fn prepare(table: DataFrame, _: &Config) -> Result<DataFrame> {
    table
        .select(vec![
            day_of("TimeGenerated").alias("day"),
            office_address().alias("address"),
            lowered_name(ident("UserId")).alias("account"),
        ])?
        // An address is located whether or not an account is named beside it.
        .filter(ident("address").is_not_null())
}
