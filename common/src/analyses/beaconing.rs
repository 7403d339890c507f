//! Pairs whose sessions to an external address come at regular gaps.

use datafusion::common::Result;
use datafusion::logical_expr::ident;
use datafusion::prelude::DataFrame;

use super::beacon_pairs::{
    confidence, gap, is_in_beaconing, pairs, severity, with_own_scores, with_prevalence,
};
use super::{Analysis, Context, Inputs, Locations, Requirement, Suite};
use crate::entities::EntityKind;
use crate::findings::{FindingRule, Period, Stage, technique};

pub(super) static ANALYSIS: Analysis = Analysis {
    id: "beaconing",
    version: 2,
    suite: Suite::Firewall,
    title: "Sessions to external addresses at regular gaps",
    rollups: &["external_pairs"],
    optional_rollups: &[],
    requires: &[Requirement {
        tables: &["CommonSecurityLog"],
        columns: &["DeviceVendor", "DeviceEventClassID", "SourceIP", "DestinationIP"],
    }],
    locations: Locations::Unused,
    look_back: None,
    run,
    finish: Some(finish),
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
        severity: |row| severity(row, "_score"),
        confidence: |row| confidence(row, "_score"),
        explain: |row| {
            format!(
                "{} gaps of {:.1} s on average, jitter {:.3}, beacon score {:.2}",
                row.integer("intervals").unwrap_or_default(),
                row.number("avg_delta").unwrap_or_default(),
                row.number("jitter").unwrap_or_default(),
                row.number("_score").unwrap_or_default(),
            )
        },
    }),
};

fn run(inputs: &Inputs<'_>) -> Result<DataFrame> {
    let listed = pairs(inputs)?.filter(is_in_beaconing(inputs.config))?;
    with_own_scores(listed, inputs.config, 0.0)?.select(vec![
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
        ident("_own_score"),
    ])
}

/// Adds the score that severity and confidence come from, hidden: the table keeps the notebook's columns.
fn finish(listed: DataFrame, context: &Context<'_>) -> Result<DataFrame> {
    with_prevalence(listed, context.prevalence.clone())?
        .with_column_renamed("score", "_score")?
        .drop_columns(&["destination_sources", "prevalence_score"])
}
