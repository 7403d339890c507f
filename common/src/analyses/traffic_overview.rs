//! Events by class and action.

use datafusion::common::Result;
use datafusion::functions_aggregate::expr_fn::sum;
use datafusion::logical_expr::ident;
use datafusion::prelude::DataFrame;

use super::{Analysis, Inputs, Locations, Requirement, Suite};

pub(super) static ANALYSIS: Analysis = Analysis {
    id: "traffic_overview",
    version: 1,
    suite: Suite::Firewall,
    title: "Events by class and action",
    rollups: &["event_bins"],
    optional_rollups: &[],
    requires: &[Requirement {
        tables: &["CommonSecurityLog"],
        columns: &["DeviceVendor", "DeviceEventClassID", "SimplifiedDeviceAction"],
    }],
    locations: Locations::Unused,
    look_back: None,
    run,
    finish: None,
    order: &[("events", true)],
    limit: None,
    companion: None,
    finding: None,
};

fn run(inputs: &Inputs<'_>) -> Result<DataFrame> {
    inputs
        .merged("event_bins")?
        .aggregate(vec![ident("event_class"), ident("action")], vec![sum(ident("events")).alias("events")])
}
