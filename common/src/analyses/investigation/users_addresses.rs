//! The distinct addresses of the entity's rows of OfficeActivity: network flows are looked through for them.

use datafusion::common::Result;
use datafusion::logical_expr::ident;
use datafusion::prelude::DataFrame;

use super::super::{Analysis, Inputs, Locations, Suite};

pub(super) static ANALYSIS: Analysis = Analysis {
    id: "users_addresses",
    version: 1,
    suite: Suite::Correlation,
    title: "Addresses of Office 365 activity",
    rollups: &["office_rows"],
    optional_rollups: &[],
    requires: &[],
    locations: Locations::Unused,
    look_back: None,
    run,
    finish: None,
    order: &[("address", false)],
    limit: None,
    companion: None,
    finding: None,
};

fn run(inputs: &Inputs<'_>) -> Result<DataFrame> {
    inputs
        .merged("office_rows")?
        .filter(ident("ip").is_not_null())?
        .select(vec![ident("ip").alias("address")])?
        .distinct()
}
