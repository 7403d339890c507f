//! The same flows by protocol and direction.

use datafusion::common::Result;
use datafusion::logical_expr::ident;
use datafusion::prelude::DataFrame;

use super::super::{Analysis, Inputs, Locations, Suite};
use super::{FLOWS, flows, total};

pub(super) static ANALYSIS: Analysis = Analysis {
    id: "user_network_flows_totals",
    version: 1,
    suite: Suite::Investigation,
    title: "Network flows by protocol",
    rollups: &["network_flows"],
    optional_rollups: &["office_rows"],
    requires: FLOWS,
    locations: Locations::Unused,
    look_back: None,
    run,
    finish: None,
    order: &[("flows", true)],
    limit: None,
    companion: None,
    finding: None,
};

fn run(inputs: &Inputs<'_>) -> Result<DataFrame> {
    flows(inputs)?.aggregate(vec![ident("l7_protocol"), ident("direction")], vec![total("flows")])
}
