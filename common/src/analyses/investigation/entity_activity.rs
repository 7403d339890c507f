//! What was done, hour by hour and table by table.

use datafusion::common::Result;
use datafusion::functions_aggregate::expr_fn::sum;
use datafusion::logical_expr::{ident, lit};
use datafusion::prelude::DataFrame;

use super::super::{Analysis, Inputs, Locations, Suite};
use super::{ACTIVITY, ACTIVITY_ROLLUPS, first_seen, last_seen, together, total};

pub(super) static ANALYSIS: Analysis = Analysis {
    id: "entity_activity",
    version: 1,
    suite: Suite::Investigation,
    title: "Activity over time",
    rollups: &[],
    optional_rollups: ACTIVITY_ROLLUPS,
    requires: &[],
    locations: Locations::Unused,
    look_back: None,
    run,
    finish: None,
    order: &[("hour", false), ("table", false)],
    limit: None,
    companion: None,
    finding: None,
};

fn run(inputs: &Inputs<'_>) -> Result<DataFrame> {
    let mut all = Vec::new();
    for activity in ACTIVITY {
        let Some(state) = inputs.merged_if_there(activity.rollup)? else { continue };
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
    together(all)
}
