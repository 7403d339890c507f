//! Pairs that keep time with an external address, scored as beacons by timing, sizes, coverage and prevalence.

use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{cast, ident, lit};
use datafusion::prelude::DataFrame;

use super::beacon_pairs::{
    confidence, gap, is_in_beaconing, pairs, severity, with_own_scores, with_prevalence,
};
use super::{Analysis, Context, Inputs, Locations, Requirement, Suite};
use crate::entities::EntityKind;
use crate::findings::{FindingRule, Period, Stage, technique};

pub(super) static ANALYSIS: Analysis = Analysis {
    id: "beacon_scores",
    version: 2,
    suite: Suite::Firewall,
    title: "Sessions to external addresses that keep time, scored as beacons",
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
    order: &[("score", true)],
    limit: None,
    companion: None,
    finding: Some(FindingRule {
        title: "Beacon to an external address, with jitter or missing beats",
        techniques: &[
            technique("T1071", "Application Layer Protocol"),
            technique("T1573", "Encrypted Channel"),
        ],
        stage: Stage::Beacon,
        entities: &[(EntityKind::Ip, "source_ip"), (EntityKind::Ip, "destination_ip")],
        first_seen: "first_seen",
        last_seen: "last_seen",
        period: Period::Window,
        // A pair that `beaconing` lists is that one's finding.
        is_finding: |row, config| {
            row.integer("_in_beaconing") == Some(0)
                && row.number("score").is_some_and(|score| score >= config.beacon_scores.min_score)
        },
        severity: |row| severity(row, "score"),
        confidence: |row| confidence(row, "score"),
        explain: |row| {
            format!(
                "{} beats every {:.1} s, {} missed; timing {:.2}, coverage {:.2}, destination of {} sources, score {:.2}",
                row.integer("beats").unwrap_or_default(),
                row.number("interval_s").unwrap_or_default(),
                row.integer("missed_beats").unwrap_or_default(),
                row.number("timing_score").unwrap_or_default(),
                row.number("coverage_score").unwrap_or_default(),
                row.integer("destination_sources").unwrap_or_default(),
                row.number("score").unwrap_or_default(),
            )
        },
    }),
};

fn run(inputs: &Inputs<'_>) -> Result<DataFrame> {
    let parameters = &inputs.config.beacon_scores;
    let fewest_gaps = parameters.min_beats - 1;
    let candidates = pairs(inputs)?
        .filter(gap("intervals").gt_eq(lit(fewest_gaps)))?
        .with_column("_in_beaconing", cast(is_in_beaconing(inputs.config), DataType::Int64))?;
    with_own_scores(candidates, inputs.config, parameters.min_timing)?
        .filter(
            ident("beats")
                .gt_eq(lit(parameters.min_beats))
                .and(ident("timing_score").gt_eq(lit(parameters.min_timing))),
        )?
        .drop_columns(&[
            "seconds",
            "gaps",
            "rhythm",
            "size_classes",
            "size_class_squares",
            "lowest_port",
            "highest_port",
            "first_seen",
            "threat_first_seen",
            "last_seen",
            "threat_last_seen",
        ])
}

fn finish(candidates: DataFrame, context: &Context<'_>) -> Result<DataFrame> {
    let columns = [
        "source_ip",
        "destination_ip",
        "sessions",
        "interval_s",
        "second_interval_s",
        "beats",
        "missed_beats",
        "timing_score",
        "size_score",
        "coverage_score",
        "prevalence_score",
        "service_factor",
        "score",
        "destination_sources",
        "destination_port",
        "known_service",
        "first_seen",
        "last_seen",
        "_in_beaconing",
    ];
    with_prevalence(candidates, context.prevalence.clone())?
        .with_column_renamed("_first_seen", "first_seen")?
        .with_column_renamed("_last_seen", "last_seen")?
        .select_columns(&columns)
}
