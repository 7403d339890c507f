//! Sessions of each source and destination: serves top talkers, beaconing, beacon scores and data exfiltration.

use datafusion::common::Result;
use datafusion::logical_expr::{Expr, ident, lit};
use datafusion::prelude::DataFrame;
use serde_json::{Value, json};

use super::MeasureKind::{CountOf, Max, Min, Set, Sum};
use super::{Rollup, Shape, measure, micros, of_vendor};
use crate::config::Config;
use crate::functions::{is_external, only_where, size_class};
use crate::time::MICROS_PER_SECOND;

pub(super) static ROLLUP: Rollup = Rollup {
    id: "flow_pairs",
    version: 4,
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
            // Of THREAT alone.
            measure("threat_sessions", CountOf("threat_time")),
            // Only to external addresses, which are few: no analysis asks it of others.
            measure("max_bytes_sent", Max("external_sent")),
            measure("first_seen", Min("external_time")),
            measure("last_seen", Max("external_time")),
            measure("threat_first_seen", Min("external_threat_time")),
            measure("threat_last_seen", Max("external_threat_time")),
            // Whole seconds of the sessions of both: what beacon gaps are computed from.
            measure("external_seconds", Set("external_second")),
            // And of these sessions: sum and sum of squares of their size classes, and the ports they went to.
            measure("size_classes", Sum("size_class")),
            measure("size_class_squares", Sum("size_class_squared")),
            measure("lowest_port", Min("external_port")),
            measure("highest_port", Max("external_port")),
        ],
    },
};

fn parameters(config: &Config) -> Value {
    json!({ "vendor": config.firewall.vendor, "network": config.network })
}

fn prepare(table: DataFrame, config: &Config) -> Result<DataFrame> {
    let class = || ident("DeviceEventClassID");
    let of_traffic = |column: &str| only_where(ident(column), class().eq(lit("TRAFFIC")));
    let of_threat = |column: &str| only_where(ident(column), class().eq(lit("THREAT")));
    let of_external = |value: Expr| only_where(value, is_external(ident("DestinationIP"), &config.network));
    // Null where no size is known, as sizes of which none is known add up to.
    let size = only_where(size_class(ident("SentBytes")), ident("SentBytes").is_not_null());
    let second = micros("TimeGenerated") / lit(MICROS_PER_SECOND);
    table.filter(of_vendor(config).and(class().in_list(vec![lit("TRAFFIC"), lit("THREAT")], false)))?.select(
        vec![
            ident("SourceIP").alias("source_ip"),
            ident("DestinationIP").alias("destination_ip"),
            of_traffic("SentBytes").alias("sent"),
            of_traffic("ReceivedBytes").alias("received"),
            of_traffic("TimeGenerated").alias("time"),
            of_threat("TimeGenerated").alias("threat_time"),
            of_external(of_traffic("SentBytes")).alias("external_sent"),
            of_external(of_traffic("TimeGenerated")).alias("external_time"),
            of_external(of_threat("TimeGenerated")).alias("external_threat_time"),
            of_external(second).alias("external_second"),
            of_external(size.clone()).alias("size_class"),
            of_external(size.clone() * size).alias("size_class_squared"),
            of_external(ident("DestinationPort")).alias("external_port"),
        ],
    )
}
