//! Office 365 operations by hour.

use datafusion::common::Result;
use datafusion::logical_expr::{ident, lit};
use datafusion::prelude::DataFrame;

use super::MeasureKind::{Count, CountOf};
use super::{Rollup, Shape, hour_of, measure, of_office_users, office_users_only};
use crate::config::Config;
use crate::functions::only_where;

pub(super) static ROLLUP: Rollup = Rollup {
    id: "office_hours",
    version: 2,
    tables: &["OfficeActivity"],
    columns: &["TimeGenerated", "UserType", "RecordType", "Operation"],
    bucket_key: &["operation"],
    parameters: office_users_only,
    prepare,
    shape: Shape::Groups {
        keys: &["hour_index", "operation"],
        measures: &[measure("events", Count), measure("sharepoint_file_events", CountOf("sharepoint_file"))],
    },
};

fn prepare(table: DataFrame, config: &Config) -> Result<DataFrame> {
    let record_type = ident("RecordType");
    let is_sharepoint_file = record_type.clone().eq(lit("SharePointFileOperation"));
    table.filter(of_office_users(config))?.select(vec![
        hour_of("TimeGenerated").alias("hour_index"),
        ident("Operation").alias("operation"),
        only_where(record_type, is_sharepoint_file).alias("sharepoint_file"),
    ])
}
