//! Events by time bin, class and action: serves the traffic overview and the event timeline.

use datafusion::common::Result;
use datafusion::logical_expr::ident;
use datafusion::prelude::DataFrame;
use serde_json::{Value, json};

use super::MeasureKind::Count;
use super::{Rollup, Shape, floor_time, measure, of_vendor};
use crate::config::Config;
use crate::time::MICROS_PER_SECOND;

pub(super) static ROLLUP: Rollup = Rollup {
    id: "event_bins",
    version: 2,
    tables: &["CommonSecurityLog"],
    columns: &["TimeGenerated", "DeviceVendor", "DeviceEventClassID", "SimplifiedDeviceAction"],
    bucket_key: &["event_class"],
    parameters,
    prepare,
    shape: Shape::Groups {
        keys: &["time_bin", "event_class", "action"],
        measures: &[measure("events", Count)],
    },
};

fn parameters(config: &Config) -> Value {
    json!({ "vendor": config.firewall.vendor, "bin_minutes": config.event_timeline.bin_minutes })
}

fn prepare(table: DataFrame, config: &Config) -> Result<DataFrame> {
    let bin_us = config.event_timeline.bin_minutes * 60 * MICROS_PER_SECOND;
    table.filter(of_vendor(config))?.select(vec![
        floor_time("TimeGenerated", bin_us).alias("time_bin"),
        ident("DeviceEventClassID").alias("event_class"),
        ident("SimplifiedDeviceAction").alias("action"),
    ])
}
