//! Entities that rows name together: a device and its address, an account and a device, an account and an address.
//!
//! By day, because addresses change owners. `degree` is the number of entities related to the address or account on that day in that
//! table: a proxy or a service account has many, and relates nothing.

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{JoinType, Result};
use datafusion::functions_aggregate::expr_fn::{count, sum};
use datafusion::logical_expr::{Expr, cast, ident, lit};
use datafusion::prelude::DataFrame;

use super::super::Inputs;
use super::{union_all, wanted};
use hindcast_base::entities::EntityKind;
use hindcast_base::time::MICROS_PER_DAY;
use hindcast_functions::account_name;

/// Two columns of a rollup that its rows name together.
struct Pair {
    rollup: &'static str,
    table: &'static str,
    /// The column by which the rollup is sharded: all relations of one of its values are in one shard.
    hub: (EntityKind, &'static str),
    other: (EntityKind, &'static str),
}

const ADDRESS: (EntityKind, &str) = (EntityKind::Ip, "address");
const ACCOUNT: (EntityKind, &str) = (EntityKind::User, "account");
const DEVICE: (EntityKind, &str) = (EntityKind::Device, "device");

const PAIRS: [Pair; 5] = [
    Pair { rollup: "device_addresses", table: "DeviceNetworkEvents", hub: ADDRESS, other: DEVICE },
    Pair { rollup: "device_accounts", table: "DeviceNetworkEvents", hub: ACCOUNT, other: DEVICE },
    Pair { rollup: "firewall_identities", table: "CommonSecurityLog", hub: ADDRESS, other: ACCOUNT },
    Pair { rollup: "firewall_identities", table: "CommonSecurityLog", hub: ADDRESS, other: DEVICE },
    Pair { rollup: "office_identities", table: "OfficeActivity", hub: ADDRESS, other: ACCOUNT },
];

/// The relations of one shard.
pub(in crate::analyses) fn run(inputs: &Inputs<'_>) -> Result<DataFrame> {
    let mut all = Vec::new();
    for pair in &PAIRS {
        let Some(state) = inputs.merged_if_available(pair.rollup)? else { continue };
        all.push(relations(inputs, state, pair)?);
    }
    union_all(all)
}

fn relations(inputs: &Inputs<'_>, state: DataFrame, pair: &Pair) -> Result<DataFrame> {
    let (hub_kind, hub) = pair.hub;
    let (other_kind, other) = pair.other;
    let rows = state
        .filter(ident(other).is_not_null())?
        .aggregate(
            vec![ident("day"), ident(hub).alias("name"), ident(other).alias("other_name")],
            vec![sum(ident("events")).alias("events")],
        )?
        .with_column("key", key(hub_kind, "name"))?
        .with_column("other_key", key(other_kind, "other_name"))?;
    let mut hits = rows.clone();
    for (key, kind, flag) in
        [("key", hub_kind, "is_hub_wanted"), ("other_key", other_kind, "is_other_wanted")]
    {
        let wanted = wanted(inputs, kind)?.with_column_renamed("wanted", flag)?;
        // Joins hold their left side in memory: the few wanted entities.
        hits = wanted.join(hits, JoinType::Right, &[flag], &[key], None)?;
    }
    let hits =
        hits.filter(ident("is_hub_wanted").is_not_null().or(ident("is_other_wanted").is_not_null()))?;
    let hubs = hits
        .clone()
        .select(vec![ident("day").alias("hub_day"), ident("name").alias("hub_name")])?
        .distinct()?;
    let degrees =
        hubs.join(rows, JoinType::RightSemi, &["hub_day", "hub_name"], &["day", "name"], None)?.aggregate(
            vec![ident("day").alias("hub_day"), ident("name").alias("hub_name")],
            vec![count(lit(1i64)).alias("degree")],
        )?;
    hits.join(degrees, JoinType::Inner, &["day", "name"], &["hub_day", "hub_name"], None)?.select(vec![
        lit(pair.table).alias("table"),
        time_of_day(ident("day")).alias("date"),
        lit(hub_kind.name()).alias("kind"),
        ident("name"),
        lit(other_kind.name()).alias("other_kind"),
        ident("other_name"),
        ident("events"),
        ident("degree"),
    ])
}

/// The start of a day from whole days since the epoch.
fn time_of_day(day: Expr) -> Expr {
    cast(day * lit(MICROS_PER_DAY), DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())))
}

/// The canonical name that identifies a wanted entity.
fn key(kind: EntityKind, column: &str) -> Expr {
    if kind == EntityKind::User { account_name(ident(column)) } else { ident(column) }
}
