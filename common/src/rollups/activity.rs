//! What an entity's rows of each table are, by hour: what was done, between whom, how much. Computed of an entity's rows
//! only: of all rows it would be as large as its table.

use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue};
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::logical_expr::{Expr, Operator, binary_expr, cast, ident, lit};
use datafusion::prelude::DataFrame;

use super::MeasureKind::{Count, Max, Min, Sum};
use super::network_flows::{source, target};
use super::{Measure, Rollup, Shape, floor_time, measure, no_parameters};
use crate::config::Config;
use crate::functions::{address_or_text, canonical_address, canonical_host, lowered_name};
use crate::time::MICROS_PER_HOUR;

pub(super) static FILES: Rollup = activity(
    "file_activity",
    &["DeviceFileEvents"],
    &["Timestamp", "DeviceName", "ActionType", "FileSize"],
    |table, _| {
        rows(table, "Timestamp", text("ActionType"), host("DeviceName"), no_text()?, ident("FileSize"))
    },
);

pub(super) static PROCESSES: Rollup = activity(
    "process_activity",
    &["DeviceProcessEvents"],
    &["Timestamp", "DeviceName", "FileName"],
    |table, _| rows(table, "Timestamp", text("FileName"), host("DeviceName"), no_text()?, no_number()),
);

pub(super) static CONNECTIONS: Rollup = activity(
    "connection_activity",
    &["DeviceNetworkEvents"],
    &["Timestamp", "DeviceName", "RemoteIP", "RemoteUrl", "RemotePort", "BytesSent"],
    |table, _| {
        let port = cast(ident("RemotePort"), DataType::Utf8View);
        let what = binary_expr(lit("port "), Operator::StringConcat, port);
        let remote = coalesce(vec![
            plain(canonical_address(ident("RemoteIP"))),
            plain(lowered_name(ident("RemoteUrl"))),
        ]);
        rows(table, "Timestamp", what, host("DeviceName"), remote, ident("BytesSent"))
    },
);

pub(super) static BLOBS: Rollup = activity(
    "blob_activity",
    &["StorageBlobLogs", "BlobServiceLogs"],
    &["TimeGenerated", "CallerIpAddress", "AccountName", "OperationName", "RequestBodySize"],
    |table, _| {
        let account = plain(lowered_name(ident("AccountName")));
        let size = ident("RequestBodySize");
        rows(table, "TimeGenerated", text("OperationName"), address("CallerIpAddress"), account, size)
    },
);

pub(super) static AUDITS: Rollup =
    activity("audit_activity", &["AuditLogs"], &["TimeGenerated", "OperationName"], |table, _| {
        rows(table, "TimeGenerated", text("OperationName"), no_text()?, no_text()?, no_number())
    });

pub(super) static SESSIONS: Rollup = activity(
    "session_activity",
    &["CommonSecurityLog"],
    &["TimeGenerated", "DeviceEventClassID", "SourceIP", "DestinationIP", "SentBytes", "ReceivedBytes"],
    |table, _| {
        let counted = |column: &str| coalesce(vec![ident(column), lit(0i64)]);
        let bytes = counted("SentBytes") + counted("ReceivedBytes");
        let class = text("DeviceEventClassID");
        rows(table, "TimeGenerated", class, address("SourceIP"), address("DestinationIP"), bytes)
    },
);

pub(super) static OFFICE: Rollup = activity(
    "office_activity",
    &["OfficeActivity"],
    &["TimeGenerated", "Operation", "UserId"],
    |table, _| {
        let user = plain(lowered_name(ident("UserId")));
        rows(table, "TimeGenerated", text("Operation"), user, no_text()?, no_number())
    },
);

pub(super) static FLOWS: Rollup = activity(
    "flow_activity",
    &["AzureNetworkAnalytics_CL"],
    &["TimeGenerated", "L7Protocol", "FlowDirection", "VMIPAddress", "SrcIP", "AllExtIPs", "DestIP"],
    |table, _| rows(table, "TimeGenerated", text("L7Protocol"), source()?, target()?, no_number()),
);

const MEASURES: &[Measure] = &[
    measure("events", Count),
    measure("bytes", Sum("bytes")),
    measure("first_seen", Min("time")),
    measure("last_seen", Max("time")),
];

const fn activity(
    id: &'static str,
    tables: &'static [&'static str],
    columns: &'static [&'static str],
    prepare: fn(DataFrame, &Config) -> Result<DataFrame>,
) -> Rollup {
    Rollup {
        id,
        version: 2,
        tables,
        columns,
        bucket_key: &["what"],
        parameters: no_parameters,
        prepare,
        shape: Shape::Groups { keys: &["hour", "what", "source", "destination"], measures: MEASURES },
    }
}

fn rows(
    table: DataFrame,
    time: &str,
    what: Expr,
    source: Expr,
    destination: Expr,
    bytes: Expr,
) -> Result<DataFrame> {
    table.select(vec![
        floor_time(time, MICROS_PER_HOUR).alias("hour"),
        what.alias("what"),
        source.alias("source"),
        destination.alias("destination"),
        bytes.alias("bytes"),
        ident(time).alias("time"),
    ])
}

fn plain(text: Expr) -> Expr {
    cast(text, DataType::Utf8View)
}

fn text(column: &str) -> Expr {
    plain(ident(column))
}

fn host(column: &str) -> Expr {
    plain(canonical_host(ident(column)))
}

fn address(column: &str) -> Expr {
    plain(address_or_text(ident(column)))
}

fn no_text() -> Result<Expr> {
    Ok(lit(ScalarValue::try_from(&DataType::Utf8View)?))
}

fn no_number() -> Expr {
    lit(ScalarValue::Int64(None))
}
