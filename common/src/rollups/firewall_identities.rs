//! Which user and host the firewall saw behind which address, by day; also addresses with neither, so that all sources can
//! be counted.

use datafusion::common::Result;
use datafusion::logical_expr::ident;
use datafusion::prelude::DataFrame;

use super::MeasureKind::Count;
use super::{Rollup, Shape, day_of, measure, of_vendor, vendor_only};
use crate::config::Config;
use crate::functions::{canonical_address, canonical_host, lowered_name};

pub(super) static ROLLUP: Rollup = Rollup {
    id: "firewall_identities",
    version: 2,
    tables: &["CommonSecurityLog"],
    columns: &["TimeGenerated", "DeviceVendor", "SourceIP", "SourceUserName", "SourceHostName"],
    bucket_key: &["address"],
    parameters: vendor_only,
    prepare,
    shape: Shape::Groups {
        keys: &["day", "address", "account", "device"],
        measures: &[measure("events", Count)],
    },
};

fn prepare(table: DataFrame, config: &Config) -> Result<DataFrame> {
    table
        .filter(of_vendor(config))?
        .select(vec![
            day_of("TimeGenerated").alias("day"),
            canonical_address(ident("SourceIP")).alias("address"),
            lowered_name(ident("SourceUserName")).alias("account"),
            canonical_host(ident("SourceHostName")).alias("device"),
        ])?
        .filter(ident("address").is_not_null())
}
