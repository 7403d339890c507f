//! Inputs of an analysis: the merged rollups of a shard, small side tables, and, for its last step, the prevalence of entities.

use std::collections::{BTreeMap, BTreeSet};

use arrow::datatypes::SchemaRef;
use datafusion::common::{Result, internal_datafusion_err};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{Expr, lit};
use datafusion::prelude::DataFrame;

use super::SideTable;
use crate::config::Config;
use hindcast_base::entities::EntityKind;
use hindcast_base::time::Window;
use hindcast_functions::bucket_of;

/// Inputs of an analysis for one shard.
pub struct Inputs<'a> {
    /// Parameters of the run.
    pub config: &'a Config,
    /// Columns the lake has, by table.
    pub columns: &'a BTreeMap<String, BTreeSet<String>>,
    /// Opens the merged state of a rollup; `None` if the lake has no table for it.
    pub open: &'a dyn Fn(&str, Scope) -> Result<Option<DataFrame>>,
    /// The columns of a rollup's merged state, even if it can't be opened.
    pub schema_of: &'a dyn Fn(&str) -> Result<SchemaRef>,
    /// The session that runs the analysis.
    pub session: &'a SessionState,
    /// Opens a side table; `None` if the job has none.
    pub open_side: &'a dyn Fn(&SideTable) -> Result<Option<DataFrame>>,
    /// The window of the results.
    pub window: Window,
    /// The shard: its buckets `[from, to)`.
    pub buckets: (u16, u16),
    /// The kind of the investigated entity, if the inputs hold only its rows.
    pub investigated: Option<EntityKind>,
}

/// Which part of a rollup is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The keys of this shard.
    Shard,
    /// The keys of this shard as stored: a key may occur several times, text may be a dictionary, and measures omit values that
    /// others imply.
    Unmerged,
    /// All keys.
    Whole,
    /// The keys of this shard in the time before the window, of rollups with a look-back.
    Past,
}

impl Inputs<'_> {
    /// The merged state of a rollup, of this shard's keys.
    pub(super) fn merged(&self, rollup: &str) -> Result<DataFrame> {
        (self.open)(rollup, Scope::Shard)?
            .ok_or_else(|| internal_datafusion_err!("rollup {rollup} is not among the inputs"))
    }

    /// The state of a rollup as stored, of this shard's keys: for results that do not depend on how often a key occurs.
    pub(super) fn unmerged(&self, rollup: &str) -> Result<DataFrame> {
        (self.open)(rollup, Scope::Unmerged)?
            .ok_or_else(|| internal_datafusion_err!("rollup {rollup} is not among the inputs"))
    }

    /// The merged state of a rollup, of all keys; `None` if the lake has no table for it.
    pub(super) fn whole(&self, rollup: &str) -> Result<Option<DataFrame>> {
        (self.open)(rollup, Scope::Whole)
    }

    /// The merged state of a rollup, of this shard's keys; `None` if the lake has no table for it.
    pub(super) fn merged_if_available(&self, rollup: &str) -> Result<Option<DataFrame>> {
        (self.open)(rollup, Scope::Shard)
    }

    /// The merged state of a rollup of the time before the window, of this shard's keys; `None` without a look-back. Rows of the
    /// window that lie in a folder from before the window are in this state, and then in no other.
    pub(super) fn past(&self, rollup: &str) -> Result<Option<DataFrame>> {
        (self.open)(rollup, Scope::Past)
    }

    /// A complete side table; `None` if the job has none.
    pub(super) fn side(&self, table: &SideTable) -> Result<Option<DataFrame>> {
        (self.open_side)(table)
    }

    /// Whether a key belongs to this shard: for rows that do not come from a rollup with that key.
    pub(super) fn in_shard(&self, key: Expr) -> Expr {
        let bucket = bucket_of(vec![key]);
        bucket.clone().gt_eq(lit(self.buckets.0)).and(bucket.lt(lit(self.buckets.1)))
    }

    /// Whether the lake has a column.
    pub(super) fn has_column(&self, table: &str, column: &str) -> bool {
        self.columns.get(table).is_some_and(|columns| columns.contains(column))
    }
}

/// Inputs of the last step of an analysis, over the results of all shards.
pub struct Context<'a> {
    /// Parameters of the run.
    pub config: &'a Config,
    /// How common the entities of candidate rows are in the window: `kind` and `name` (text), `distinct_sources` and
    /// `total_sources` (whole numbers). An entity that is not in it was not searched for.
    pub prevalence: DataFrame,
}
