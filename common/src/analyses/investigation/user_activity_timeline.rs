//! Operations by hour.

use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{cast, ident, lit};
use datafusion::prelude::DataFrame;

use super::super::{Analysis, Inputs, Locations, Suite, time_of_micros};
use super::{OFFICE, operations};
use crate::functions::floor_div;
use crate::time::MICROS_PER_HOUR;

pub(super) static ANALYSIS: Analysis = Analysis {
    id: "user_activity_timeline",
    version: 1,
    suite: Suite::Investigation,
    title: "Operations over time",
    rollups: &["office_rows"],
    optional_rollups: &[],
    requires: OFFICE,
    locations: Locations::Unused,
    look_back: None,
    run,
    finish: None,
    order: &[("hour", false), ("operation", false)],
    limit: None,
    companion: None,
    finding: None,
};

fn run(inputs: &Inputs<'_>) -> Result<DataFrame> {
    let time_us = cast(ident("time"), DataType::Int64);
    let hour = time_of_micros(floor_div(time_us, MICROS_PER_HOUR) * lit(MICROS_PER_HOUR));
    inputs
        .merged("office_rows")?
        .with_column("hour", hour)?
        .aggregate(vec![ident("hour"), ident("operation")], vec![operations()])
}
