//! DNS traffic by source, with the sizes that betray a tunnel.

use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::functions_aggregate::expr_fn::{count, max, min, sum};
use datafusion::logical_expr::{cast, ident, lit};
use datafusion::prelude::DataFrame;

use super::{Analysis, Inputs, Locations, Requirement, Suite};
use crate::findings::{EntityKind, FindingRule, Period, Severity, Stage, technique};

pub(super) static ANALYSIS: Analysis = Analysis {
    id: "dns_tunneling",
    version: 1,
    suite: Suite::Firewall,
    title: "DNS payload sizes by source",
    rollups: &["dns_pairs"],
    optional_rollups: &[],
    requires: &[Requirement {
        tables: &["CommonSecurityLog"],
        columns: &[
            "DeviceVendor",
            "DestinationPort",
            "ApplicationProtocol",
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
    order: &[("avg_sent_bytes", true)],
    limit: None,
    companion: None,
    finding: Some(FindingRule {
        title: "DNS payloads large enough for a tunnel",
        techniques: &[technique("T1071.004", "Application Layer Protocol: DNS")],
        stage: Stage::Beacon,
        entities: &[(EntityKind::Ip, "source_ip")],
        first_seen: "_first_seen",
        last_seen: "_last_seen",
        period: Period::Window,
        is_finding: |row, config| {
            row.number("avg_sent_bytes")
                .is_some_and(|average| average > config.dns_tunneling.max_average_bytes)
        },
        severity: |row| {
            if row.integer("query_count").is_some_and(|queries| queries >= 100) {
                Severity::High
            } else {
                Severity::Medium
            }
        },
        confidence: |row| row.integer("query_count").map_or(50, |queries| (50 + queries / 10).min(85) as u8),
        explain: |row| {
            format!(
                "{} queries averaging {:.0} bytes sent, to {} destinations",
                row.integer("query_count").unwrap_or_default(),
                row.number("avg_sent_bytes").unwrap_or_default(),
                row.integer("distinct_destinations").unwrap_or_default(),
            )
        },
    }),
};

fn run(inputs: &Inputs<'_>) -> Result<DataFrame> {
    let average =
        cast(ident("total_bytes_sent"), DataType::Float64) / cast(ident("with_sent"), DataType::Float64);
    inputs
        .merged("dns_pairs")?
        .aggregate(
            vec![ident("source_ip")],
            vec![
                sum(ident("queries")).alias("query_count"),
                sum(ident("bytes_sent")).alias("total_bytes_sent"),
                sum(ident("bytes_received")).alias("total_bytes_received"),
                sum(ident("queries_with_sent")).alias("with_sent"),
                max(ident("max_bytes_sent")).alias("max_sent_bytes"),
                // The pairs are distinct, so counting the named ones counts destinations.
                count(ident("destination_ip")).alias("distinct_destinations"),
                min(ident("first_seen")).alias("_first_seen"),
                max(ident("last_seen")).alias("_last_seen"),
            ],
        )?
        .filter(ident("query_count").gt_eq(lit(inputs.config.dns_tunneling.min_queries)))?
        .select(vec![
            ident("source_ip"),
            ident("query_count"),
            ident("total_bytes_sent"),
            ident("total_bytes_received"),
            average.alias("avg_sent_bytes"),
            ident("max_sent_bytes"),
            ident("distinct_destinations"),
            ident("_first_seen"),
            ident("_last_seen"),
        ])
}
