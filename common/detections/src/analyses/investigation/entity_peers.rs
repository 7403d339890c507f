//! The entity's peers: the other ends of its connections, sessions, flows and requests to storage.

use arrow::datatypes::DataType;
use datafusion::common::{JoinType, Result, internal_datafusion_err};
use datafusion::functions_aggregate::expr_fn::sum;
use datafusion::logical_expr::{cast, ident, lit, when};
use datafusion::prelude::DataFrame;

use super::super::correlation::union_all;
use super::super::{Inputs, OWN_ADDRESSES};
use super::{ACTIVITY, ActivityOf, first_seen, last_seen, total};
use hindcast_base::time::MICROS_PER_DAY;
use hindcast_functions::{canonical_address, floor_div};

/// The peers of one shard.
pub(in crate::analyses) fn run(inputs: &Inputs<'_>) -> Result<DataFrame> {
    let mut all = Vec::new();
    for activity in ACTIVITY {
        let Some(state) = inputs.whole(activity.rollup)? else { continue };
        all.push(peers(inputs, state, activity)?);
    }
    union_all(all)
}

fn peers(inputs: &Inputs<'_>, state: DataFrame, activity: &ActivityOf) -> Result<DataFrame> {
    let own = inputs
        .side(&OWN_ADDRESSES)?
        .ok_or_else(|| internal_datafusion_err!("the side table of addresses is missing"))?;
    let own = own.select(vec![ident("address").alias("own_address"), ident("day").alias("own_day")])?;
    let day = floor_div(cast(ident("hour"), DataType::Int64), MICROS_PER_DAY);
    let is_own = ident("own_address").is_not_null();
    // The entity is at one end, possibly by an address it has on that day: the other end is the peer.
    let peer = when(is_own.clone(), ident("source")).otherwise(ident("destination"))?;
    let kind = when(is_own, lit(activity.source_kind)).otherwise(lit(activity.destination_kind))?;
    let is_address = canonical_address(ident("peer")).is_not_null();
    state
        .filter(ident("destination").is_not_null())?
        .with_column("day", day)?
        .join(own, JoinType::Left, &["destination", "day"], &["own_address", "own_day"], None)?
        .with_column("peer", peer)?
        .with_column("kind", kind)?
        .filter(inputs.in_shard(ident("peer")).and(ident("peer").is_not_null()))?
        .with_column("kind", when(is_address, lit("ip")).otherwise(ident("kind"))?)?
        .aggregate(
            vec![ident("peer"), ident("kind")],
            vec![sum(ident("events")).alias("rows"), total("bytes"), first_seen(), last_seen()],
        )?
        .select(vec![
            ident("peer"),
            cast(ident("kind"), DataType::Utf8View).alias("kind"),
            lit(activity.table_in(inputs)).alias("table"),
            ident("rows"),
            ident("bytes"),
            ident("first_seen"),
            ident("last_seen"),
        ])
}
