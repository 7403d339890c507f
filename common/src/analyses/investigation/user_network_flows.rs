//! Flows between the virtual machines and the outside, by both ends. Of a user: those with an address of the user.

use datafusion::common::Result;
use datafusion::logical_expr::ident;
use datafusion::prelude::DataFrame;

use super::super::{Analysis, Inputs, Locations, Suite};
use super::{FLOWS, flows, total};

pub(super) static ANALYSIS: Analysis = Analysis {
    id: "user_network_flows",
    version: 1,
    suite: Suite::Investigation,
    title: "Network flows by both ends",
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
    let by = ["source", "target", "l7_protocol", "direction"].map(ident).into();
    flows(inputs)?.aggregate(by, vec![total("flows")])
}
