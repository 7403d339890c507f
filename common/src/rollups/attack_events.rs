//! Suspicious firewall rows: threats, refused sessions, large transfers and large DNS payloads.

use datafusion::common::Result;
use datafusion::logical_expr::{ident, lit};
use datafusion::prelude::DataFrame;
use serde_json::{Value, json};

use super::{Rollup, Shape, of_class, of_vendor};
use crate::config::Config;
use crate::functions::is_one_of;

pub(super) static ROLLUP: Rollup = Rollup {
    id: "attack_events",
    version: 2,
    tables: &["CommonSecurityLog"],
    columns: &[
        "TimeGenerated",
        "DeviceVendor",
        "DeviceEventClassID",
        "Activity",
        "SimplifiedDeviceAction",
        "SourceIP",
        "DestinationIP",
        "DestinationPort",
        "SentBytes",
        "ReceivedBytes",
        "ApplicationProtocol",
        "SourceUserName",
    ],
    bucket_key: &["source_ip", "destination_ip"],
    parameters,
    prepare,
    shape: Shape::Rows,
};

fn parameters(config: &Config) -> Value {
    json!({ "vendor": config.firewall.vendor, "attack_timeline": config.attack_timeline })
}

fn prepare(table: DataFrame, config: &Config) -> Result<DataFrame> {
    let limits = &config.attack_timeline;
    let sent = ident("SentBytes");
    let is_suspicious = of_class(&["THREAT"])
        .or(is_one_of(ident("SimplifiedDeviceAction"), &limits.actions))
        .or(sent.clone().gt(lit(limits.min_sent_bytes)))
        .or(ident("DestinationPort").eq(lit(53i64)).and(sent.clone().gt(lit(limits.min_dns_sent_bytes))));
    table.filter(of_vendor(config).and(is_suspicious))?.select(vec![
        ident("TimeGenerated").alias("time_generated"),
        ident("DeviceEventClassID").alias("event_class"),
        ident("Activity").alias("activity"),
        ident("SimplifiedDeviceAction").alias("action"),
        ident("SourceIP").alias("source_ip"),
        ident("DestinationIP").alias("destination_ip"),
        ident("DestinationPort").alias("destination_port"),
        sent.alias("bytes_sent"),
        ident("ReceivedBytes").alias("bytes_received"),
        ident("ApplicationProtocol").alias("application_protocol"),
        ident("SourceUserName").alias("source_user_name"),
    ])
}
