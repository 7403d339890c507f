//! THREAT events by activity, action and severity.

use datafusion::common::Result;
use datafusion::prelude::DataFrame;

use super::{Analysis, Inputs, Locations, Requirement, Suite};

pub(super) static ANALYSIS: Analysis = Analysis {
    id: "threat_breakdown",
    version: 1,
    suite: Suite::Firewall,
    title: "Threats by activity, action and severity",
    rollups: &["threat_counts"],
    optional_rollups: &[],
    requires: &[Requirement {
        tables: &["CommonSecurityLog"],
        columns: &["DeviceVendor", "DeviceEventClassID", "Activity", "SimplifiedDeviceAction", "LogSeverity"],
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
    inputs.merged("threat_counts")
}
