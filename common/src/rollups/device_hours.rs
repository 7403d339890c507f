//! Bytes sent by device and hour.

use datafusion::common::Result;
use datafusion::logical_expr::ident;
use datafusion::prelude::DataFrame;

use super::MeasureKind::Sum;
use super::{Rollup, Shape, hour_of, measure, no_parameters};
use crate::config::Config;

pub(super) static ROLLUP: Rollup = Rollup {
    id: "device_hours",
    version: 2,
    tables: &["DeviceNetworkEvents"],
    columns: &["Timestamp", "DeviceName", "BytesSent"],
    bucket_key: &["device_name"],
    parameters: no_parameters,
    prepare,
    shape: Shape::Groups {
        keys: &["device_name", "hour_index"],
        measures: &[measure("bytes_sent", Sum("sent"))],
    },
};

fn prepare(table: DataFrame, _: &Config) -> Result<DataFrame> {
    table.select(vec![
        ident("DeviceName").alias("device_name"),
        // Whole hours since the epoch: windows over it count missing hours.
        hour_of("Timestamp").alias("hour_index"),
        ident("BytesSent").alias("sent"),
    ])
}
