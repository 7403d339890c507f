//! Operations by kind, result and address.

use datafusion::common::Result;
use datafusion::logical_expr::ident;
use datafusion::prelude::DataFrame;

use super::super::{Analysis, Inputs, Locations, Suite};
use super::{OFFICE, operations};

pub(super) static ANALYSIS: Analysis = Analysis {
    id: "user_activity_breakdown",
    version: 1,
    suite: Suite::Investigation,
    title: "Operations by kind, result and address",
    rollups: &["office_rows"],
    optional_rollups: &[],
    requires: OFFICE,
    locations: Locations::Unused,
    look_back: None,
    run,
    finish: None,
    order: &[("operations", true)],
    limit: None,
    companion: None,
    finding: None,
};

fn run(inputs: &Inputs<'_>) -> Result<DataFrame> {
    let by = vec![ident("operation"), ident("result_status"), ident("ip")];
    inputs.merged("office_rows")?.aggregate(by, vec![operations()])
}
