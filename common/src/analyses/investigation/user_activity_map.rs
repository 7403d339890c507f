//! Addresses of Office 365 activity, and where they are.

use datafusion::common::{Result, internal_datafusion_err};
use datafusion::logical_expr::{Expr, ident};
use datafusion::prelude::DataFrame;

use super::super::{Analysis, Inputs, Locations, Suite};
use super::{OFFICE, operations, with_places};

pub(super) static ANALYSIS: Analysis = Analysis {
    id: "user_activity_map",
    version: 1,
    suite: Suite::Investigation,
    title: "Addresses and places",
    rollups: &["office_rows"],
    optional_rollups: &[],
    requires: OFFICE,
    locations: Locations::Optional,
    look_back: None,
    run,
    finish: None,
    order: &[("operations", true)],
    limit: None,
    companion: None,
    finding: None,
};

fn run(inputs: &Inputs<'_>) -> Result<DataFrame> {
    let rows = inputs.whole("office_rows")?;
    let rows =
        rows.ok_or_else(|| internal_datafusion_err!("the rows of OfficeActivity are not among the inputs"))?;
    // Rows are sharded by operation, addresses by themselves.
    let addresses = rows
        .filter(ident("ip").is_not_null().and(inputs.in_shard(ident("ip"))))?
        .aggregate(vec![ident("ip")], vec![operations()])?;
    let named: Vec<Expr> = ["ip", "country", "city", "latitude", "longitude", "operations"].map(ident).into();
    with_places(inputs, addresses)?.select(named)
}
