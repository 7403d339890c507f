//! Suspicious firewall rows in order of time, and a line that sums them up.

use datafusion::common::Result;
use datafusion::functions_aggregate::expr_fn::{count, count_distinct, max, min};
use datafusion::logical_expr::{ident, lit};
use datafusion::prelude::DataFrame;

use super::{Analysis, Companion, Inputs, Locations, Requirement, Suite};

pub(super) static ANALYSIS: Analysis = Analysis {
    id: "attack_timeline",
    version: 1,
    suite: Suite::Firewall,
    title: "Suspicious events over time",
    rollups: &["attack_events"],
    optional_rollups: &[],
    requires: &[Requirement {
        tables: &["CommonSecurityLog"],
        columns: &[
            "DeviceVendor",
            "DeviceEventClassID",
            "SimplifiedDeviceAction",
            "SourceIP",
            "DestinationIP",
        ],
    }],
    locations: Locations::Unused,
    look_back: None,
    run,
    finish: None,
    order: &[("time_generated", false)],
    limit: None,
    companion: Some(Companion { name: "attack_timeline_summary", compute: summary }),
    finding: None,
};

fn run(inputs: &Inputs<'_>) -> Result<DataFrame> {
    inputs.merged("attack_events")
}

fn summary(timeline: DataFrame) -> Result<DataFrame> {
    timeline.aggregate(
        vec![],
        vec![
            count(lit(1i64)).alias("events"),
            min(ident("time_generated")).alias("first_seen"),
            max(ident("time_generated")).alias("last_seen"),
            count_distinct(ident("source_ip")).alias("distinct_sources"),
            count_distinct(ident("destination_ip")).alias("distinct_destinations"),
        ],
    )
}
