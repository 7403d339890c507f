//! Sessions of each source and destination by event class: serves top talkers, beaconing and data exfiltration.

use datafusion::common::Result;
use datafusion::logical_expr::{Expr, ident, lit};
use datafusion::prelude::DataFrame;
use serde_json::{Value, json};

use super::MeasureKind::{Count, Max, Min, Set, Sum};
use super::{Rollup, Shape, measure, micros, of_vendor};
use crate::config::Config;
use crate::functions::{is_external, only_where, size_class};
use crate::time::MICROS_PER_SECOND;

pub(super) static ROLLUP: Rollup = Rollup {
    id: "flow_pairs",
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
        keys: &["source_ip", "destination_ip", "event_class"],
        measures: &[
            measure("sessions", Count),
            measure("bytes_sent", Sum("sent")),
            measure("bytes_received", Sum("received")),
            measure("max_bytes_sent", Max("sent")),
            measure("first_seen", Min("time")),
            measure("last_seen", Max("time")),
            // Whole seconds of the sessions to external addresses: what beacon gaps are computed from.
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
    let class = ident("DeviceEventClassID");
    let of_external = |value: Expr| only_where(value, is_external(ident("DestinationIP"), &config.network));
    let size = size_class(ident("SentBytes"));
    let second = micros("TimeGenerated") / lit(MICROS_PER_SECOND);
    table
        .filter(of_vendor(config).and(class.clone().in_list(vec![lit("TRAFFIC"), lit("THREAT")], false)))?
        .select(vec![
            ident("SourceIP").alias("source_ip"),
            ident("DestinationIP").alias("destination_ip"),
            class.alias("event_class"),
            ident("SentBytes").alias("sent"),
            ident("ReceivedBytes").alias("received"),
            ident("TimeGenerated").alias("time"),
            of_external(second).alias("external_second"),
            of_external(size.clone()).alias("size_class"),
            of_external(size.clone() * size).alias("size_class_squared"),
            of_external(ident("DestinationPort")).alias("external_port"),
        ])
}
