//! How many sources talk to each wanted address, of all sources. Each shard counts its own; the sums over shards are exact,
//! since a source lies in one shard of either rollup. The row without a name counts all.

use arrow::datatypes::DataType;
use datafusion::common::{JoinType, Result, ScalarValue};
use datafusion::functions_aggregate::expr_fn::count_distinct;
use datafusion::logical_expr::{Expr, cast, ident, lit};
use datafusion::prelude::DataFrame;

use super::super::{Analysis, Inputs, Locations, Suite};
use super::wanted;
use crate::entities::EntityKind;
use crate::functions::canonical_address;

pub(super) static ANALYSIS: Analysis = Analysis {
    id: "prevalence",
    version: 1,
    suite: Suite::Correlation,
    title: "Sources by destination",
    rollups: &["flow_pairs", "firewall_identities"],
    optional_rollups: &[],
    requires: &[],
    locations: Locations::Unused,
    run,
    finish: None,
    order: &[("name", false)],
    limit: None,
    companion: None,
    finding: None,
};

fn run(inputs: &Inputs<'_>) -> Result<DataFrame> {
    let text = |expression: Expr| cast(expression, DataType::Utf8View);
    let of_wanted = inputs
        .unmerged("flow_pairs")?
        .select(vec![
            text(ident("source_ip")).alias("source_ip"),
            text(canonical_address(ident("destination_ip"))).alias("name"),
        ])?
        .join(wanted(inputs, EntityKind::Ip)?, JoinType::LeftSemi, &["name"], &["wanted"], None)?
        .aggregate(vec![ident("name")], vec![count_distinct(ident("source_ip")).alias("sources")])?;
    let no_name = lit(ScalarValue::try_from(&DataType::Utf8View)?).alias("name");
    let of_all = inputs
        .unmerged("firewall_identities")?
        .aggregate(vec![], vec![count_distinct(text(ident("address"))).alias("sources")])?
        .select(vec![no_name, ident("sources")])?;
    of_wanted.union(of_all)
}
