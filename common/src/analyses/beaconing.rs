//! Pairs whose sessions to an external address come at regular gaps.

use datafusion::common::Result;
use datafusion::functions::core::expr_fn::get_field;
use datafusion::functions_aggregate::expr_fn::{max, min};
use datafusion::logical_expr::{ident, lit};
use datafusion::prelude::DataFrame;

use super::{Analysis, Inputs, Locations, Requirement, Suite};
use crate::findings::{EntityKind, FindingRule, Period, Severity, Stage, technique};
use crate::functions::{beacon_gaps, sorted_distinct};

pub(super) static ANALYSIS: Analysis = Analysis {
    id: "beaconing",
    version: 1,
    suite: Suite::Firewall,
    title: "Sessions to external addresses at regular gaps",
    rollups: &["flow_pairs"],
    optional_rollups: &[],
    requires: &[Requirement {
        tables: &["CommonSecurityLog"],
        columns: &["DeviceVendor", "DeviceEventClassID", "SourceIP", "DestinationIP"],
    }],
    locations: Locations::Unused,
    run,
    finish: None,
    order: &[("jitter", false)],
    limit: None,
    companion: None,
    finding: Some(FindingRule {
        title: "Beacon to an external address",
        techniques: &[
            technique("T1071", "Application Layer Protocol"),
            technique("T1573", "Encrypted Channel"),
        ],
        stage: Stage::Beacon,
        entities: &[(EntityKind::Ip, "source_ip"), (EntityKind::Ip, "destination_ip")],
        first_seen: "_first_seen",
        last_seen: "_last_seen",
        period: Period::Window,
        is_finding: |_, _| true,
        severity: |row| match (row.integer("intervals"), row.number("jitter")) {
            (Some(intervals), Some(jitter)) if intervals >= 20 && jitter < 0.25 => Severity::High,
            (Some(intervals), _) if intervals >= 10 => Severity::Medium,
            _ => Severity::Low,
        },
        confidence: |row| {
            let regularity = 1.0 - row.number("jitter").unwrap_or(1.0).min(1.0);
            let evidence = (row.number("intervals").unwrap_or(0.0) / 20.0).min(1.0);
            (90.0 * regularity * evidence).round() as u8
        },
        explain: |row| {
            format!(
                "{} gaps of {:.1} s on average, jitter {:.3}",
                row.integer("intervals").unwrap_or_default(),
                row.number("avg_delta").unwrap_or_default(),
                row.number("jitter").unwrap_or_default(),
            )
        },
    }),
};

fn run(inputs: &Inputs<'_>) -> Result<DataFrame> {
    let parameters = &inputs.config.beaconing;
    let gap = |name: &str| get_field(ident("gaps"), name);
    inputs
        .merged("flow_pairs")?
        .aggregate(
            vec![ident("source_ip"), ident("destination_ip")],
            vec![
                sorted_distinct(ident("external_seconds")).alias("seconds"),
                min(ident("first_seen")).alias("_first_seen"),
                max(ident("last_seen")).alias("_last_seen"),
            ],
        )?
        .with_column("gaps", beacon_gaps(ident("seconds")))?
        .select(vec![
            ident("source_ip"),
            ident("destination_ip"),
            gap("avg_delta").alias("avg_delta"),
            gap("std_delta").alias("std_delta"),
            gap("min_delta").alias("min_delta"),
            gap("max_delta").alias("max_delta"),
            gap("intervals").alias("intervals"),
            gap("jitter").alias("jitter"),
            ident("_first_seen"),
            ident("_last_seen"),
        ])?
        .filter(
            ident("intervals")
                .gt_eq(lit(parameters.min_intervals))
                .and(ident("jitter").lt(lit(parameters.max_jitter))),
        )
}
