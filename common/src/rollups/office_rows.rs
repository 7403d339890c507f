//! The rows of OfficeActivity. Computed of an entity's rows only.

use datafusion::common::Result;
use datafusion::logical_expr::ident;
use datafusion::prelude::DataFrame;

use super::{Rollup, Shape, no_parameters, office_address};
use crate::config::Config;
use crate::functions::lowered_name;

pub(super) static ROLLUP: Rollup = Rollup {
    id: "office_rows",
    version: 1,
    tables: &["OfficeActivity"],
    columns: &[
        "TimeGenerated",
        "Operation",
        "RecordType",
        "OfficeWorkload",
        "ResultStatus",
        "UserId",
        "ClientIP",
        "Client_IPAddress",
        "UserAgent",
        "OfficeObjectId",
    ],
    bucket_key: &["operation"],
    parameters: no_parameters,
    prepare,
    shape: Shape::Rows,
};

fn prepare(table: DataFrame, _: &Config) -> Result<DataFrame> {
    table.select(vec![
        ident("TimeGenerated").alias("time"),
        ident("Operation").alias("operation"),
        ident("RecordType").alias("record_type"),
        ident("OfficeWorkload").alias("workload"),
        ident("ResultStatus").alias("result_status"),
        lowered_name(ident("UserId")).alias("user"),
        office_address().alias("ip"),
        ident("UserAgent").alias("user_agent"),
        ident("OfficeObjectId").alias("object"),
    ])
}
