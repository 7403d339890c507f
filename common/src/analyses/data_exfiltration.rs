//! The pairs that sent the most to external addresses.

use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{cast, ident, lit, when};
use datafusion::prelude::DataFrame;

use super::{Analysis, Inputs, Locations, Requirement, Suite, megabytes};
use crate::findings::{EntityKind, FindingRule, Period, Severity, Stage, technique};
use crate::functions::round_half_up;

pub(super) static ANALYSIS: Analysis = Analysis {
    id: "data_exfiltration",
    version: 1,
    suite: Suite::Firewall,
    title: "Large transfers to external addresses",
    rollups: &["external_pairs"],
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
    order: &[("total_sent_mb", true), ("source_ip", false), ("destination_ip", false)],
    limit: Some(|config| config.data_exfiltration.limit),
    companion: None,
    finding: Some(FindingRule {
        title: "Large transfer to an external address",
        techniques: &[
            technique("T1048", "Exfiltration Over Alternative Protocol"),
            technique("T1567", "Exfiltration Over Web Service"),
        ],
        stage: Stage::Egress,
        entities: &[(EntityKind::Ip, "source_ip"), (EntityKind::Ip, "destination_ip")],
        first_seen: "first_seen",
        last_seen: "last_seen",
        period: Period::Window,
        is_finding: |_, _| true,
        severity: |row| match (row.number("total_sent_mb"), row.number("ratio")) {
            (Some(sent), Some(ratio)) if sent >= 1_000.0 && ratio >= 10.0 => Severity::High,
            (Some(sent), Some(ratio)) if sent >= 100.0 && ratio >= 2.0 => Severity::Medium,
            _ => Severity::Low,
        },
        confidence: |row| match row.number("ratio") {
            Some(ratio) if ratio >= 10.0 => 70,
            Some(ratio) if ratio >= 2.0 => 50,
            _ => 20,
        },
        explain: |row| {
            format!(
                "{:.2} MB sent and {:.2} MB received in {} sessions",
                row.number("total_sent_mb").unwrap_or_default(),
                row.number("total_received_mb").unwrap_or_default(),
                row.integer("sessions").unwrap_or_default(),
            )
        },
    }),
};

fn run(inputs: &Inputs<'_>) -> Result<DataFrame> {
    let config = inputs.config;
    let float = |column: &str| cast(ident(column), DataType::Float64);
    let ratio = when(
        ident("total_received_mb").gt(lit(0.0)),
        round_half_up(float("total_sent_mb") / float("total_received_mb"), 2),
    )
    .otherwise(ident("total_sent_mb"))?;
    inputs
        .merged("external_pairs")?
        .filter(megabytes(ident("bytes_sent")).gt(lit(config.data_exfiltration.min_sent_mb)))?
        .select(vec![
            ident("source_ip"),
            ident("destination_ip"),
            ident("sessions"),
            megabytes(ident("bytes_sent")).alias("total_sent_mb"),
            megabytes(ident("bytes_received")).alias("total_received_mb"),
            megabytes(ident("max_bytes_sent")).alias("max_single_sent_mb"),
            ident("first_seen"),
            ident("last_seen"),
        ])?
        .with_column("ratio", ratio)
}
