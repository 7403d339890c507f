//! Events by time bin and class.

use datafusion::common::Result;
use datafusion::functions_aggregate::expr_fn::sum;
use datafusion::logical_expr::ident;
use datafusion::prelude::DataFrame;

use super::{Analysis, Inputs, Locations, Requirement, Suite};

pub(super) static ANALYSIS: Analysis = Analysis {
    id: "event_timeline",
    version: 1,
    suite: Suite::Firewall,
    title: "Events over time by class",
    rollups: &["event_bins"],
    optional_rollups: &[],
    requires: &[Requirement {
        tables: &["CommonSecurityLog"],
        columns: &["DeviceVendor", "DeviceEventClassID"],
    }],
    locations: Locations::Unused,
    look_back: None,
    run,
    finish: None,
    order: &[("time_bin", false)],
    limit: None,
    companion: None,
    finding: None,
};

fn run(inputs: &Inputs<'_>) -> Result<DataFrame> {
    inputs
        .merged("event_bins")?
        .aggregate(vec![ident("time_bin"), ident("event_class")], vec![sum(ident("events")).alias("events")])
}
