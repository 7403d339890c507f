//! The distinct names of the investigated kind, for who mistypes one.

use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{cast, ident, lit};
use datafusion::prelude::DataFrame;

use super::super::Inputs;
use super::together;
use crate::entities::EntityKind;

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

/// One shard's names.
pub(in crate::analyses) fn run(inputs: &Inputs<'_>) -> Result<DataFrame> {
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
