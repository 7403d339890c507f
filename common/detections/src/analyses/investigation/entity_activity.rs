//! The entity's activity by hour and table.

use datafusion::common::Result;
use datafusion::functions_aggregate::expr_fn::sum;
use datafusion::logical_expr::{ident, lit};
use datafusion::prelude::DataFrame;

use super::super::Inputs;
use super::super::correlation::union_all;
use super::{ACTIVITY, first_seen, last_seen, total};

/// The activity of one shard.
pub(in crate::analyses) fn run(inputs: &Inputs<'_>) -> Result<DataFrame> {
    let mut all = Vec::new();
    for activity in ACTIVITY {
        let Some(state) = inputs.merged_if_available(activity.rollup)? else { continue };
        all.push(
            state
                .aggregate(
                    vec![ident("hour"), ident("what")],
                    vec![sum(ident("events")).alias("rows"), total("bytes"), first_seen(), last_seen()],
                )?
                .select(vec![
                    ident("hour"),
                    lit(activity.table_in(inputs)).alias("table"),
                    ident("what"),
                    ident("rows"),
                    ident("bytes"),
                    ident("first_seen"),
                    ident("last_seen"),
                ])?,
        );
    }
    union_all(all)
}
