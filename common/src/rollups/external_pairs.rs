//! Sessions of each source and external destination: serves beaconing, beacon scores, data exfiltration and top talkers.

use datafusion::common::Result;
use datafusion::logical_expr::{Expr, ident};
use datafusion::prelude::DataFrame;
use serde_json::{Value, json};

use super::MeasureKind::{CountOf, Max, Min, Seconds, Sum};
use super::{Rollup, Shape, measure, of_class, of_vendor, second_of_time};
use crate::config::Config;
use crate::functions::{is_external, only_where, size_class};

/// Extremes of the times of sessions.
const ENDS: [&str; 4] = ["first_seen", "last_seen", "threat_first_seen", "threat_last_seen"];

pub(super) static ROLLUP: Rollup = Rollup {
    id: "external_pairs",
    version: 3,
    tables: &["CommonSecurityLog"],
    columns: &[
        "TimeGenerated",
        "DeviceVendor",
        "DeviceEventClassID",
        "SourceIP",
        "DestinationIP",
        "DestinationPort",
        "SentBytes",
        "ReceivedBytes",
    ],
    // By source alone: who talks to a destination is counted over shards, and a source must be in one of them only.
    bucket_key: &["source_ip"],
    parameters,
    prepare,
    shape: Shape::Groups {
        keys: &["source_ip", "destination_ip"],
        measures: &[
            // Of TRAFFIC alone.
            measure("sessions", CountOf("time")),
            measure("bytes_sent", Sum("sent")),
            measure("bytes_received", Sum("received")),
            measure("max_bytes_sent", Max("sent")),
            measure("first_seen", Min("time")),
            measure("last_seen", Max("time")),
            // Of THREAT alone.
            measure("threat_sessions", CountOf("threat_time")),
            measure("threat_first_seen", Min("threat_time")),
            measure("threat_last_seen", Max("threat_time")),
            // Whole seconds of the sessions of both: what beacon gaps are computed from.
            measure("seconds", Seconds { of: "second", ends: &ENDS }),
            // And of these sessions: sum and sum of squares of their size classes, and the ports they went to.
            measure("size_classes", Sum("size_class")),
            measure("size_class_squares", Sum("size_class_squared")),
            measure("lowest_port", Min("port")),
            measure("highest_port", Max("port")),
        ],
    },
};

/// What state of pairs depends on.
pub(super) fn parameters(config: &Config) -> Value {
    json!({ "vendor": config.firewall.vendor, "network": config.network })
}

/// The vendor's TRAFFIC and THREAT rows.
pub(super) fn sessions(table: DataFrame, config: &Config) -> Result<DataFrame> {
    let is_session = of_class(&["TRAFFIC", "THREAT"]);
    table.filter(of_vendor(config).and(is_session))
}

/// The pair a row belongs to, and what is kept of TRAFFIC whatever its destination.
pub(super) fn traffic() -> Vec<Expr> {
    vec![
        ident("SourceIP").alias("source_ip"),
        ident("DestinationIP").alias("destination_ip"),
        only_of("TRAFFIC", "SentBytes").alias("sent"),
        only_of("TRAFFIC", "ReceivedBytes").alias("received"),
        only_of("TRAFFIC", "TimeGenerated").alias("time"),
    ]
}

/// A column of rows of that class; null for others.
fn only_of(class: &str, column: &str) -> Expr {
    only_where(ident(column), of_class(&[class]))
}

fn prepare(table: DataFrame, config: &Config) -> Result<DataFrame> {
    // Null where no size is known, as sizes of which none is known add up to.
    let size = only_where(size_class(ident("SentBytes")), ident("SentBytes").is_not_null());
    let mut columns = traffic();
    columns.extend([
        only_of("THREAT", "TimeGenerated").alias("threat_time"),
        second_of_time(ident("TimeGenerated")).alias("second"),
        size.clone().alias("size_class"),
        (size.clone() * size).alias("size_class_squared"),
        ident("DestinationPort").alias("port"),
    ]);
    sessions(table, config)?.filter(is_external(ident("DestinationIP"), &config.network))?.select(columns)
}
