//! Sessions of each source and destination that is not external: serves top talkers, and with those of external destinations
//! ([`super::external_pairs`]) prevalence. They are many, and nothing else is asked of them.

use datafusion::common::Result;
use datafusion::logical_expr::ident;
use datafusion::prelude::DataFrame;

use super::MeasureKind::{CountOf, Sum};
use super::external_pairs::{parameters, sessions, traffic};
use super::{Rollup, Shape, measure};
use crate::config::Config;
use crate::functions::is_external;

pub(super) static ROLLUP: Rollup = Rollup {
    id: "internal_pairs",
    version: 1,
    tables: &["CommonSecurityLog"],
    columns: &[
        "TimeGenerated",
        "DeviceVendor",
        "DeviceEventClassID",
        "SourceIP",
        "DestinationIP",
        "SentBytes",
        "ReceivedBytes",
    ],
    // As those of external destinations.
    bucket_key: &["source_ip"],
    parameters,
    prepare,
    shape: Shape::Groups {
        keys: &["source_ip", "destination_ip"],
        measures: &[
            // Of TRAFFIC alone: none for a pair that has threats only.
            measure("sessions", CountOf("time")),
            measure("bytes_sent", Sum("sent")),
            measure("bytes_received", Sum("received")),
        ],
    },
};

fn prepare(table: DataFrame, config: &Config) -> Result<DataFrame> {
    // What is no address is not external either.
    let is_internal = is_external(ident("DestinationIP"), &config.network).is_not_true();
    sessions(table, config)?.filter(is_internal)?.select(traffic())
}
