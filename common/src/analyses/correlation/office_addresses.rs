//! The distinct client addresses of OfficeActivity: what the location database is asked for.

use datafusion::common::Result;
use datafusion::logical_expr::ident;
use datafusion::prelude::DataFrame;

use super::super::{Analysis, Inputs, Locations, Suite};

pub(super) static ANALYSIS: Analysis = Analysis {
    id: "office_addresses",
    version: 1,
    suite: Suite::Correlation,
    title: "Client addresses of Office 365",
    rollups: &["office_identities"],
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
    inputs.merged("office_identities")?.select(vec![ident("address")])?.distinct()
}
