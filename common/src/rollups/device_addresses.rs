//! Which device had which address, by day.

use datafusion::common::Result;
use datafusion::logical_expr::ident;
use datafusion::prelude::DataFrame;

use super::MeasureKind::Count;
use super::{Rollup, Shape, day_of, measure, no_parameters};
use crate::config::Config;
use crate::functions::{canonical_address, canonical_host};

pub(super) static ROLLUP: Rollup = Rollup {
    id: "device_addresses",
    version: 2,
    tables: &["DeviceNetworkEvents"],
    columns: &["Timestamp", "DeviceName", "LocalIP"],
    bucket_key: &["address"],
    parameters: no_parameters,
    prepare,
    shape: Shape::Groups { keys: &["day", "address", "device"], measures: &[measure("events", Count)] },
};

fn prepare(table: DataFrame, _: &Config) -> Result<DataFrame> {
    table
        .select(vec![
            day_of("Timestamp").alias("day"),
            canonical_address(ident("LocalIP")).alias("address"),
            canonical_host(ident("DeviceName")).alias("device"),
        ])?
        .filter(ident("address").is_not_null().and(ident("device").is_not_null()))
}
