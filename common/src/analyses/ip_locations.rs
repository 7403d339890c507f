//! Where the client addresses are: the points of the map.

use datafusion::common::Result;
use datafusion::logical_expr::ident;
use datafusion::prelude::DataFrame;

use super::{Analysis, Context, Inputs, Locations, Requirement, Suite};

pub(super) static ANALYSIS: Analysis = Analysis {
    id: "ip_locations",
    version: 1,
    suite: Suite::Office365,
    title: "Places of client addresses",
    rollups: &["office_operations"],
    optional_rollups: &[],
    requires: &[Requirement { tables: &["OfficeActivity"], columns: &["UserType", "ClientIP"] }],
    locations: Locations::Required,
    look_back: None,
    run,
    finish: Some(finish),
    order: &[("ip", false)],
    limit: None,
    companion: None,
    finding: None,
};

/// The addresses of the shard's operations that the location database knows.
fn run(inputs: &Inputs<'_>) -> Result<DataFrame> {
    let addresses = inputs.merged("office_operations")?.select(vec![ident("address")])?.distinct()?;
    inputs
        .with_places(addresses)?
        .filter(ident("country_code").is_not_null().or(ident("latitude").is_not_null()))?
        .select(vec![
            ident("address").alias("ip"),
            ident("country_code"),
            ident("country"),
            ident("city"),
            ident("latitude"),
            ident("longitude"),
        ])
}

/// An address may come with operations of several shards.
fn finish(addresses: DataFrame, _: &Context<'_>) -> Result<DataFrame> {
    addresses.distinct()
}
