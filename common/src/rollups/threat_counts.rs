//! THREAT events by activity, action and severity.

use datafusion::common::Result;
use datafusion::logical_expr::ident;
use datafusion::prelude::DataFrame;

use super::MeasureKind::Count;
use super::{Rollup, Shape, measure, of_class, of_vendor, vendor_only};
use crate::config::Config;

pub(super) static ROLLUP: Rollup = Rollup {
    id: "threat_counts",
    version: 1,
    tables: &["CommonSecurityLog"],
    columns: &[
        "TimeGenerated",
        "DeviceVendor",
        "DeviceEventClassID",
        "Activity",
        "SimplifiedDeviceAction",
        "LogSeverity",
    ],
    bucket_key: &["activity"],
    parameters: vendor_only,
    prepare,
    shape: Shape::Groups { keys: &["activity", "action", "severity"], measures: &[measure("events", Count)] },
};

fn prepare(table: DataFrame, config: &Config) -> Result<DataFrame> {
    table.filter(of_vendor(config).and(of_class(&["THREAT"])))?.select(vec![
        ident("Activity").alias("activity"),
        ident("SimplifiedDeviceAction").alias("action"),
        ident("LogSeverity").alias("severity"),
    ])
}
