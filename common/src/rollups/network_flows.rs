//! Allowed flows between virtual machines and the outside, by hour. Computed of an entity's rows only.

use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::logical_expr::{Expr, cast, ident, lit, when};
use datafusion::prelude::DataFrame;

use super::MeasureKind::Sum;
use super::{Rollup, Shape, measure, no_parameters};
use crate::config::Config;
use crate::functions::{address_or_text, floor_div};
use crate::time::MICROS_PER_HOUR;

pub(super) static ROLLUP: Rollup = Rollup {
    id: "network_flows",
    version: 2,
    tables: &["AzureNetworkAnalytics_CL"],
    columns: &[
        "TimeGenerated",
        "FlowStartTime",
        "VMIPAddress",
        "SrcIP",
        "AllExtIPs",
        "DestIP",
        "L7Protocol",
        "FlowDirection",
        "AllowedOutFlows",
        "AllowedInFlows",
    ],
    bucket_key: &["l7_protocol"],
    parameters: no_parameters,
    prepare,
    shape: Shape::Groups {
        keys: &["hour", "source", "target", "external", "l7_protocol", "direction"],
        measures: &[measure("flows", Sum("flows"))],
    },
};

fn prepare(table: DataFrame, _: &Config) -> Result<DataFrame> {
    let start_us = cast(coalesce(vec![ident("FlowStartTime"), ident("TimeGenerated")]), DataType::Int64);
    let hour = super::time_of(floor_div(start_us, MICROS_PER_HOUR) * lit(MICROS_PER_HOUR));
    let counted = |column: &str| coalesce(vec![ident(column), lit(0i64)]);
    table.select(vec![
        hour.alias("hour"),
        source()?.alias("source"),
        target()?.alias("target"),
        outside().alias("external"),
        ident("L7Protocol").alias("l7_protocol"),
        ident("FlowDirection").alias("direction"),
        (counted("AllowedOutFlows") + counted("AllowedInFlows")).alias("flows"),
    ])
}

/// Where a flow comes from: the machine where it is outbound, else the outside.
pub(super) fn source() -> Result<Expr> {
    by_direction(inside(), outside())
}

/// Where a flow goes to.
pub(super) fn target() -> Result<Expr> {
    by_direction(outside(), inside())
}

fn by_direction(outbound: Expr, inbound: Expr) -> Result<Expr> {
    let is_outbound = cast(ident("FlowDirection"), DataType::Utf8View).eq(lit("O"));
    when(is_outbound, outbound).otherwise(inbound)
}

fn inside() -> Expr {
    first_of("VMIPAddress", "SrcIP")
}

fn outside() -> Expr {
    first_of("AllExtIPs", "DestIP")
}

fn first_of(preferred: &str, other: &str) -> Expr {
    let text = |column: &str| cast(address_or_text(ident(column)), DataType::Utf8View);
    coalesce(vec![text(preferred), text(other)])
}
