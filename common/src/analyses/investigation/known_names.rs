//! The distinct names of the investigated kind, for who mistypes one.

use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{cast, ident, lit};
use datafusion::prelude::DataFrame;

use super::super::{Analysis, Inputs, Locations, Suite};
use super::together;
use crate::entities::EntityKind;

pub(super) static ANALYSIS: Analysis = Analysis {
    id: "known_names",
    version: 1,
    suite: Suite::Correlation,
    title: "Names that rows have",
    rollups: &[],
    optional_rollups: &["device_addresses", "device_accounts", "firewall_identities", "office_identities"],
    requires: &[],
    locations: Locations::Unused,
    look_back: None,
    run,
    finish: None,
    order: &[("name", false)],
    limit: None,
    companion: None,
    finding: None,
};

/// The columns of the rollups that tie entities, by what they name.
const COLUMNS: [(&str, EntityKind, &str); 9] = [
    ("device_addresses", EntityKind::Ip, "address"),
    ("device_addresses", EntityKind::Device, "device"),
    ("device_accounts", EntityKind::User, "account"),
    ("device_accounts", EntityKind::Device, "device"),
    ("firewall_identities", EntityKind::Ip, "address"),
    ("firewall_identities", EntityKind::User, "account"),
    ("firewall_identities", EntityKind::Device, "device"),
    ("office_identities", EntityKind::Ip, "address"),
    ("office_identities", EntityKind::User, "account"),
];

fn run(inputs: &Inputs<'_>) -> Result<DataFrame> {
    let mut all = Vec::new();
    for (rollup, kind, column) in COLUMNS {
        let Some(state) = inputs.merged_if_there(rollup)? else { continue };
        let is_asked = lit(inputs.investigated == Some(kind));
        all.push(
            state
                .filter(is_asked.and(ident(column).is_not_null()))?
                .select(vec![cast(ident(column), DataType::Utf8View).alias("name")])?
                .distinct()?,
        );
    }
    together(all)
}
