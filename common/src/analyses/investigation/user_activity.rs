//! The Office 365 rows themselves.

use datafusion::common::Result;
use datafusion::logical_expr::{Expr, ident};
use datafusion::prelude::DataFrame;

use super::super::{Analysis, Inputs, Locations, Suite};
use super::{OFFICE, with_places};

pub(super) static ANALYSIS: Analysis = Analysis {
    id: "user_activity",
    version: 1,
    suite: Suite::Investigation,
    title: "Office 365 rows",
    rollups: &["office_rows"],
    optional_rollups: &[],
    requires: OFFICE,
    locations: Locations::Optional,
    look_back: None,
    run,
    finish: None,
    order: &[("time", false)],
    limit: None,
    companion: None,
    finding: None,
};

fn run(inputs: &Inputs<'_>) -> Result<DataFrame> {
    let named: Vec<Expr> = [
        "time",
        "operation",
        "record_type",
        "workload",
        "result_status",
        "user",
        "ip",
        "user_agent",
        "object",
        "country",
        "city",
    ]
    .map(ident)
    .into();
    with_places(inputs, inputs.merged("office_rows")?)?.select(named)
}
