//! The distinct names of the investigated kind, for suggestions after a typing error.

use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{cast, ident, lit};
use datafusion::prelude::DataFrame;

use super::super::Inputs;
use super::union_all;
use hindcast_base::entities::EntityKind;

/// The columns of the rollups that relate entities, with the kind of entity they name.
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

/// The names of one shard.
pub(in crate::analyses) fn run(inputs: &Inputs<'_>) -> Result<DataFrame> {
    let mut all = Vec::new();
    for (rollup, kind, column) in COLUMNS {
        let Some(state) = inputs.merged_if_available(rollup)? else { continue };
        let is_investigated = lit(inputs.investigated == Some(kind));
        all.push(
            state
                .filter(is_investigated.and(ident(column).is_not_null()))?
                .select(vec![cast(ident(column), DataType::Utf8View).alias("name")])?
                .distinct()?,
        );
    }
    union_all(all)
}
