//! DNS sessions of each source and destination.

use datafusion::common::Result;
use datafusion::logical_expr::{ident, lit};
use datafusion::prelude::DataFrame;

use super::MeasureKind::{Count, CountOf, Max, Min, Sum};
use super::{Rollup, Shape, measure, of_vendor, vendor_only};
use crate::config::{Config, Patterns};
use crate::functions::matches;

pub(super) static ROLLUP: Rollup = Rollup {
    id: "dns_pairs",
    version: 1,
    tables: &["CommonSecurityLog"],
    columns: &[
        "TimeGenerated",
        "DeviceVendor",
        "DestinationPort",
        "ApplicationProtocol",
        "SourceIP",
        "DestinationIP",
        "SentBytes",
        "ReceivedBytes",
    ],
    bucket_key: &["source_ip"],
    parameters: vendor_only,
    prepare,
    shape: Shape::Groups {
        keys: &["source_ip", "destination_ip"],
        measures: &[
            measure("queries", Count),
            measure("queries_with_sent", CountOf("sent")),
            measure("bytes_sent", Sum("sent")),
            measure("bytes_received", Sum("received")),
            measure("max_bytes_sent", Max("sent")),
            measure("first_seen", Min("time")),
            measure("last_seen", Max("time")),
        ],
    },
};

fn prepare(table: DataFrame, config: &Config) -> Result<DataFrame> {
    let is_dns = ident("DestinationPort")
        .eq(lit(53i64))
        .or(matches(ident("ApplicationProtocol"), &Patterns::containing("dns")));
    table.filter(of_vendor(config).and(is_dns))?.select(vec![
        ident("SourceIP").alias("source_ip"),
        ident("DestinationIP").alias("destination_ip"),
        ident("SentBytes").alias("sent"),
        ident("ReceivedBytes").alias("received"),
        ident("TimeGenerated").alias("time"),
    ])
}
