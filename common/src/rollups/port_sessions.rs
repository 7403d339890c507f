//! TRAFFIC sessions by destination port and protocol.

use datafusion::common::Result;
use datafusion::logical_expr::ident;
use datafusion::prelude::DataFrame;

use super::MeasureKind::Count;
use super::{Rollup, Shape, measure, of_class, of_vendor, vendor_only};
use crate::config::Config;

pub(super) static ROLLUP: Rollup = Rollup {
    id: "port_sessions",
    version: 1,
    tables: &["CommonSecurityLog"],
    columns: &["TimeGenerated", "DeviceVendor", "DeviceEventClassID", "DestinationPort", "Protocol"],
    bucket_key: &["destination_port"],
    parameters: vendor_only,
    prepare,
    shape: Shape::Groups { keys: &["destination_port", "protocol"], measures: &[measure("sessions", Count)] },
};

fn prepare(table: DataFrame, config: &Config) -> Result<DataFrame> {
    table
        .filter(of_vendor(config).and(of_class(&["TRAFFIC"])))?
        .select(vec![ident("DestinationPort").alias("destination_port"), ident("Protocol").alias("protocol")])
}
