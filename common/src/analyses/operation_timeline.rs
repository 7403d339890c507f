//! Operations over time.

use datafusion::common::Result;
use datafusion::logical_expr::ident;
use datafusion::prelude::DataFrame;

use super::{Analysis, Inputs, Locations, Requirement, Suite, time_of_hour};

pub(super) static ANALYSIS: Analysis = Analysis {
    id: "operation_timeline",
    version: 1,
    suite: Suite::Office365,
    title: "Office 365 operations by hour",
    rollups: &["office_hours"],
    optional_rollups: &[],
    requires: &[Requirement {
        tables: &["OfficeActivity"],
        columns: &["UserType", "RecordType", "Operation"],
    }],
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
    inputs.merged("office_hours")?.select(vec![
        time_of_hour(ident("hour_index")).alias("hour"),
        ident("operation"),
        ident("events").alias("operations"),
        ident("sharepoint_file_events").alias("sharepoint_file_operations"),
    ])
}
