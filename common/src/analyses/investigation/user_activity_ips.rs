//! Addresses from which each operation was done.

use datafusion::common::Result;
use datafusion::logical_expr::ident;
use datafusion::prelude::DataFrame;

use super::super::{Analysis, Inputs, Locations, Suite};
use super::{OFFICE, distinct, operations};

pub(super) static ANALYSIS: Analysis = Analysis {
    id: "user_activity_ips",
    version: 1,
    suite: Suite::Investigation,
    title: "Addresses by operation",
    rollups: &["office_rows"],
    optional_rollups: &[],
    requires: OFFICE,
    locations: Locations::Unused,
    look_back: None,
    run,
    finish: None,
    order: &[("distinct_ips", true)],
    limit: None,
    companion: None,
    finding: None,
};

fn run(inputs: &Inputs<'_>) -> Result<DataFrame> {
    let counts = vec![distinct("ip", "distinct_ips"), operations()];
    inputs.merged("office_rows")?.aggregate(vec![ident("operation")], counts)
}
