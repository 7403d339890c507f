//! Which account was active on which device, by day.

use datafusion::common::Result;
use datafusion::logical_expr::ident;
use datafusion::prelude::DataFrame;

use super::MeasureKind::Count;
use super::{Rollup, Shape, day_of, measure, no_parameters};
use crate::config::Config;
use crate::functions::{canonical_host, lowered_name};

pub(super) static ROLLUP: Rollup = Rollup {
    id: "device_accounts",
    version: 2,
    tables: &["DeviceNetworkEvents"],
    columns: &["Timestamp", "DeviceName", "InitiatingProcessAccountName"],
    bucket_key: &["account"],
    parameters: no_parameters,
    prepare,
    shape: Shape::Groups { keys: &["day", "account", "device"], measures: &[measure("events", Count)] },
};

fn prepare(table: DataFrame, _: &Config) -> Result<DataFrame> {
    table
        .select(vec![
            day_of("Timestamp").alias("day"),
            lowered_name(ident("InitiatingProcessAccountName")).alias("account"),
            canonical_host(ident("DeviceName")).alias("device"),
        ])?
        .filter(ident("account").is_not_null().and(ident("device").is_not_null()))
}
