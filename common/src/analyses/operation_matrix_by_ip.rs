//! Operations by the address they come from.

use datafusion::common::Result;
use datafusion::functions_aggregate::expr_fn::sum;
use datafusion::logical_expr::ident;
use datafusion::prelude::DataFrame;

use super::{Analysis, Inputs, Locations, Requirement, Suite};

pub(super) static ANALYSIS: Analysis = Analysis {
    id: "operation_matrix_by_ip",
    version: 1,
    suite: Suite::Office365,
    title: "Office 365 operations by address",
    rollups: &["office_operations"],
    optional_rollups: &[],
    requires: &[Requirement { tables: &["OfficeActivity"], columns: &["UserType", "Operation", "ClientIP"] }],
    locations: Locations::Optional,
    look_back: None,
    run,
    finish: None,
    order: &[("ip", false), ("country_code", false), ("operation", false)],
    limit: None,
    companion: None,
    finding: None,
};

fn run(inputs: &Inputs<'_>) -> Result<DataFrame> {
    inputs.with_places(inputs.merged("office_operations")?)?.aggregate(
        vec![ident("address").alias("ip"), ident("country_code"), ident("operation")],
        vec![sum(ident("events")).alias("operations")],
    )
}
