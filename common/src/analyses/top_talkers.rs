//! The pairs with the most TRAFFIC sessions.

use datafusion::common::Result;
use datafusion::logical_expr::{ident, lit};
use datafusion::prelude::DataFrame;

use super::{Analysis, Inputs, Locations, Requirement, Suite, megabytes};

pub(super) static ANALYSIS: Analysis = Analysis {
    id: "top_talkers",
    version: 1,
    suite: Suite::Firewall,
    title: "Pairs with the most sessions",
    rollups: &["external_pairs", "internal_pairs"],
    optional_rollups: &[],
    requires: &[Requirement {
        tables: &["CommonSecurityLog"],
        columns: &[
            "DeviceVendor",
            "DeviceEventClassID",
            "SourceIP",
            "DestinationIP",
            "SentBytes",
            "ReceivedBytes",
        ],
    }],
    locations: Locations::Unused,
    look_back: None,
    run,
    finish: None,
    order: &[("sessions", true), ("source_ip", false), ("destination_ip", false)],
    limit: Some(|config| config.top_talkers.limit),
    companion: None,
    finding: None,
};

fn run(inputs: &Inputs<'_>) -> Result<DataFrame> {
    let sessions = |rollup: &str| {
        inputs.merged(rollup)?.filter(ident("sessions").gt(lit(0)))?.select(vec![
            ident("source_ip"),
            ident("destination_ip"),
            ident("sessions"),
            ident("bytes_sent"),
            ident("bytes_received"),
            megabytes(ident("bytes_sent") + ident("bytes_received")).alias("total_mb"),
        ])
    };
    sessions("external_pairs")?.union(sessions("internal_pairs")?)
}
