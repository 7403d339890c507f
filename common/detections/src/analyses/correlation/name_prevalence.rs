//! The number of sources that talk to each wanted host name, and of all sources that talk to any. Each shard counts its sources; sums
//! over shards are exact, because the rows of a source lie in one shard, whatever rollup they are in. The row without a name counts all
//! sources.

use arrow::datatypes::DataType;
use datafusion::common::{JoinType, Result, ScalarValue};
use datafusion::functions_aggregate::expr_fn::count_distinct;
use datafusion::logical_expr::{cast, ident, lit};
use datafusion::prelude::DataFrame;

use super::super::{Inputs, Scope};
use super::{union_all, wanted};
use hindcast_base::entities::EntityKind;

/// The counts of one shard.
pub(in crate::analyses) fn run(inputs: &Inputs<'_>) -> Result<DataFrame> {
    let mut states = Vec::new();
    for rollup in ["named_pairs", "device_named_pairs"] {
        if let Some(state) = (inputs.open)(rollup, Scope::Unmerged)? {
            states.push(state.select(vec![
                cast(ident("destination_name"), DataType::Utf8View).alias("name"),
                cast(ident("source_ip"), DataType::Utf8View).alias("source"),
            ])?);
        }
    }
    let pairs = union_all(states)?;
    let sources = count_distinct(ident("source")).alias("sources");
    let no_name = lit(ScalarValue::try_from(&DataType::Utf8View)?).alias("name");
    let of_all =
        pairs.clone().aggregate(vec![], vec![sources.clone()])?.select(vec![no_name, ident("sources")])?;
    // The join holds the few wanted names in memory, and drops other pairs before grouping.
    let of_named = wanted(inputs, EntityKind::Url)?
        .select(vec![cast(ident("wanted"), DataType::Utf8View).alias("wanted")])?
        .join(pairs, JoinType::RightSemi, &["wanted"], &["name"], None)?
        .aggregate(vec![ident("name")], vec![sources])?;
    of_named.union(of_all)
}
