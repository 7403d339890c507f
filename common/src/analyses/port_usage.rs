//! The destination ports and protocols with the most TRAFFIC sessions.

use datafusion::common::Result;
use datafusion::prelude::DataFrame;

use super::{Analysis, Inputs, Locations, Requirement, Suite};

pub(super) static ANALYSIS: Analysis = Analysis {
    id: "port_usage",
    version: 1,
    suite: Suite::Firewall,
    title: "Ports and protocols with the most sessions",
    rollups: &["port_sessions"],
    optional_rollups: &[],
    requires: &[Requirement {
        tables: &["CommonSecurityLog"],
        columns: &["DeviceVendor", "DeviceEventClassID", "DestinationPort", "Protocol"],
    }],
    locations: Locations::Unused,
    look_back: None,
    run,
    finish: None,
    order: &[("sessions", true), ("destination_port", false), ("protocol", false)],
    limit: Some(|config| config.port_usage.limit),
    companion: None,
    finding: None,
};

fn run(inputs: &Inputs<'_>) -> Result<DataFrame> {
    inputs.merged("port_sessions")
}
