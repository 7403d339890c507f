//! The number of sources that talk to each wanted address, and of all sources. Each shard counts its sources; sums over shards are
//! exact, because a source lies in one shard of each rollup. The row without a name counts all sources.

use arrow::datatypes::DataType;
use datafusion::common::{JoinType, Result, ScalarValue};
use datafusion::functions_aggregate::expr_fn::{count, count_distinct};
use datafusion::logical_expr::{cast, ident, lit};
use datafusion::prelude::DataFrame;

use super::super::Inputs;
use super::wanted;
use hindcast_base::entities::EntityKind;
use hindcast_functions::{Interner, canonical_address, first_of, paired, second_of};

/// The counts of one shard.
pub(in crate::analyses) fn run(inputs: &Inputs<'_>) -> Result<DataFrame> {
    let (names, sources) = (Interner::default(), Interner::default());
    let pairs_of = |rollup: &str| {
        inputs.unmerged(rollup)?.select(vec![
            names.numbers_of(canonical_address(ident("destination_ip"))).alias("number"),
            sources.numbers_of(ident("source_ip")).alias("source"),
        ])
    };
    let pairs = pairs_of("external_pairs")?.union(pairs_of("internal_pairs")?)?;
    let wanted =
        wanted(inputs, EntityKind::Ip)?.select(vec![names.numbers_of(ident("wanted")).alias("wanted")])?;
    // The join holds the few wanted addresses in memory, and drops other pairs before grouping.
    let of_named = wanted
        .join(pairs, JoinType::RightSemi, &["wanted"], &["number"], None)?
        .aggregate(vec![paired(ident("number"), ident("source")).alias("pair")], vec![])?
        .aggregate(
            vec![first_of(ident("pair")).alias("number")],
            // A null is not a source.
            vec![count(second_of(ident("pair"))).alias("sources")],
        )?
        .select(vec![names.texts_of(ident("number")).alias("name"), ident("sources")])?;
    let no_name = lit(ScalarValue::try_from(&DataType::Utf8View)?).alias("name");
    let address = cast(ident("address"), DataType::Utf8View);
    let of_all = inputs
        .unmerged("firewall_identities")?
        .aggregate(vec![], vec![count_distinct(address).alias("sources")])?
        .select(vec![no_name, ident("sources")])?;
    of_named.union(of_all)
}
