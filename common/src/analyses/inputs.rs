//! What an analysis is given: a shard's merged rollups, small tables beside them, and at the end what was learnt of entities.

use std::collections::{BTreeMap, BTreeSet};

use arrow::datatypes::SchemaRef;
use datafusion::common::{Result, internal_datafusion_err};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{Expr, lit};
use datafusion::prelude::DataFrame;

use super::SideTable;
use crate::config::Config;
use crate::entities::EntityKind;
use crate::functions::bucket_of;
use crate::time::Window;

/// What an analysis is given of one shard.
pub struct Inputs<'a> {
    /// Parameters of the run.
    pub config: &'a Config,
    /// Columns the lake has, by table.
    pub columns: &'a BTreeMap<String, BTreeSet<String>>,
    /// Opens the merged state of a rollup; `None` where the lake has no table for it.
    pub open: &'a dyn Fn(&str, Scope) -> Result<Option<DataFrame>>,
    /// The columns of a rollup's merged state, also where it can't be opened.
    pub schema_of: &'a dyn Fn(&str) -> Result<SchemaRef>,
    /// The session that runs the analysis.
    pub session: &'a SessionState,
    /// Opens a side table; `None` where the job was given none.
    pub open_side: &'a dyn Fn(&SideTable) -> Result<Option<DataFrame>>,
    /// What results are of.
    pub window: Window,
    /// The shard: its buckets `[from, to)`.
    pub buckets: (u8, u8),
    /// What the one entity is whose rows alone are among the inputs; absent where all rows are.
    pub investigated: Option<EntityKind>,
}

/// Which part of a rollup is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The keys of this shard.
    Shard,
    /// The keys of this shard as they are stored: a key may come several times, text may be a dictionary, and measures leave out
    /// what others say.
    Unmerged,
    /// All keys.
    Whole,
    /// The keys of this shard, of what lies before the window: of rollups that an analysis looks back at.
    Past,
}

impl Inputs<'_> {
    /// The merged state of a rollup, of this shard's keys.
    pub(super) fn merged(&self, rollup: &str) -> Result<DataFrame> {
        (self.open)(rollup, Scope::Shard)?
            .ok_or_else(|| internal_datafusion_err!("rollup {rollup} is not among the inputs"))
    }

    /// The state of a rollup as it is stored, of this shard's keys: for what comes out the same however often a key comes.
    pub(super) fn unmerged(&self, rollup: &str) -> Result<DataFrame> {
        (self.open)(rollup, Scope::Unmerged)?
            .ok_or_else(|| internal_datafusion_err!("rollup {rollup} is not among the inputs"))
    }

    /// The merged state of a rollup, of all keys; `None` where the lake has no table for it.
    pub(super) fn whole(&self, rollup: &str) -> Result<Option<DataFrame>> {
        (self.open)(rollup, Scope::Whole)
    }

    /// The merged state of a rollup, of this shard's keys; `None` where the lake has no table for it.
    pub(super) fn merged_if_there(&self, rollup: &str) -> Result<Option<DataFrame>> {
        (self.open)(rollup, Scope::Shard)
    }

    /// The merged state of a rollup of what lies before the window, of this shard's keys; `None` where nothing is looked back
    /// at. Rows of the window are in it where a folder from before the window holds them, and are in no other state then.
    pub(super) fn past(&self, rollup: &str) -> Result<Option<DataFrame>> {
        (self.open)(rollup, Scope::Past)
    }

    /// A side table, whole; `None` where the job was given none.
    pub(super) fn side(&self, table: &SideTable) -> Result<Option<DataFrame>> {
        (self.open_side)(table)
    }

    /// Whether a key is one of this shard's: for what does not come from a rollup of that key.
    pub(super) fn in_shard(&self, key: Expr) -> Expr {
        let bucket = bucket_of(vec![key]);
        bucket.clone().gt_eq(lit(self.buckets.0)).and(bucket.lt(lit(self.buckets.1)))
    }

    /// Whether the lake has a column.
    pub(super) fn has_column(&self, table: &str, column: &str) -> bool {
        self.columns.get(table).is_some_and(|columns| columns.contains(column))
    }
}

/// What is known once all shards' results are together.
pub struct Context<'a> {
    /// Parameters of the run.
    pub config: &'a Config,
    /// How common the entities of candidate rows are in the window: `kind` and `name` (text), `distinct_sources` and
    /// `total_sources` (whole numbers). An entity that is not in it was not looked for.
    pub prevalence: DataFrame,
}
