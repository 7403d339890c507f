//! The same flows by the hour in which they began.

use datafusion::common::Result;
use datafusion::logical_expr::ident;
use datafusion::prelude::DataFrame;

use super::super::{Analysis, Inputs, Locations, Suite};
use super::{FLOWS, flows, total};

pub(super) static ANALYSIS: Analysis = Analysis {
    id: "user_network_flows_timeline",
    version: 1,
    suite: Suite::Investigation,
    title: "Network flows over time",
    rollups: &["network_flows"],
    optional_rollups: &["office_rows"],
    requires: FLOWS,
    locations: Locations::Unused,
    look_back: None,
    run,
    finish: None,
    order: &[("hour", false)],
    limit: None,
    companion: None,
    finding: None,
};

fn run(inputs: &Inputs<'_>) -> Result<DataFrame> {
    let by = ["hour", "l7_protocol", "direction"].map(ident).into();
    flows(inputs)?.aggregate(by, vec![total("flows")])
}
