//! State of a case's rows: several units, which are cut, shuffled and united at random, as files, dates and attempts would be.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::{Result as PlanResult, internal_datafusion_err};
use datafusion::logical_expr::{ident, lit};
use datafusion::prelude::{DataFrame, SessionContext};

use super::rng::SeededRng;
use super::rows::{TableRows, taken};
use hindcast_base::Result;
use hindcast_base::time::Window;
use hindcast_detections::analyses::Scope;
use hindcast_detections::analyses::open_states;
use hindcast_detections::config::Config;
use hindcast_detections::rollups::{BUCKET_COLUMN, Rollup};
use hindcast_lake::{TableSpec, canonical_schema};

/// Number of units that rows are split into.
const UNITS: usize = 3;
/// Number of in-memory tables that the state of one rollup is read from.
const SOURCES: usize = 3;

/// The state of several rollups.
pub(super) struct States<'a> {
    session: &'a SessionContext,
    rng: &'a SeededRng,
    of_window: BTreeMap<&'static str, Stored>,
    past: BTreeMap<&'static str, Stored>,
}

/// The state of one rollup, by units.
struct Stored {
    rollup: &'static Rollup,
    schema: SchemaRef,
    units: Vec<RecordBatch>,
}

/// The inputs of states.
pub(super) struct Source<'a> {
    pub(super) session: &'a SessionContext,
    pub(super) config: &'a Config,
    pub(super) rng: &'a SeededRng,
    pub(super) tables: &'a BTreeMap<String, TableRows>,
}

impl<'a> States<'a> {
    /// Without any state.
    pub(super) fn new(source: &Source<'a>) -> Self {
        Self { session: source.session, rng: source.rng, of_window: BTreeMap::new(), past: BTreeMap::new() }
    }

    /// Adds the state of `rollup` over the rows of `window`.
    ///
    /// # Errors
    /// If the rollup's plan fails.
    pub(super) async fn add(
        &mut self,
        source: &Source<'a>,
        rollup: &'static Rollup,
        window: &Window,
    ) -> Result<()> {
        if !self.of_window.contains_key(rollup.id) {
            let stored = source.state_of(rollup, window).await?;
            self.of_window.insert(rollup.id, stored);
        }
        Ok(())
    }

    /// Adds the state of `rollup` over the rows of `past`, which lies before the window.
    ///
    /// # Errors
    /// If the rollup's plan fails.
    pub(super) async fn add_past(
        &mut self,
        source: &Source<'a>,
        rollup: &'static Rollup,
        past: &Window,
    ) -> Result<()> {
        let stored = source.state_of(rollup, past).await?;
        self.past.insert(rollup.id, stored);
        Ok(())
    }

    /// The state of a rollup as an analysis opens it; `None` if there is none.
    pub(super) fn open(&self, id: &str, scope: Scope, buckets: (u16, u16)) -> PlanResult<Option<DataFrame>> {
        let states = if scope == Scope::Past { &self.past } else { &self.of_window };
        let Some(stored) = states.get(id) else { return Ok(None) };
        let (from, to) = buckets;
        let states = self.united(stored)?;
        let states = match scope {
            Scope::Whole => states,
            Scope::Shard | Scope::Unmerged | Scope::Past => {
                states.filter(ident(BUCKET_COLUMN).gt_eq(lit(from)).and(ident(BUCKET_COLUMN).lt(lit(to))))?
            }
        };
        open_states(stored.rollup, states, scope).map(Some)
    }

    /// The states of all units, cut into pieces, shuffled, and united in pairs.
    fn united(&self, stored: &Stored) -> PlanResult<DataFrame> {
        let rng = self.rng;
        let mut pieces = Vec::new();
        for unit in &stored.units {
            let cut = rng.below(unit.num_rows() + 1);
            pieces.extend([unit.slice(0, cut), unit.slice(cut, unit.num_rows() - cut)]);
        }
        rng.shuffle(&mut pieces);
        let mut frames = Vec::new();
        for mut source in rng.split(pieces, SOURCES) {
            // A table needs at least one batch for its columns.
            source.push(RecordBatch::new_empty(stored.schema.clone()));
            frames.push(self.session.read_batches(source)?);
        }
        while frames.len() > 1 {
            let first = frames.swap_remove(rng.below(frames.len()));
            let second = frames.swap_remove(rng.below(frames.len()));
            frames.push(first.union(second)?);
        }
        frames.pop().ok_or_else(|| internal_datafusion_err!("rollup {} has no state", stored.rollup.id))
    }
}

impl<'a> Source<'a> {
    /// Whether the case has rows of a table that the rollup reads.
    pub(super) fn has_table_of(&self, rollup: &Rollup) -> bool {
        self.table_of(rollup).is_some()
    }

    fn table_of(&self, rollup: &Rollup) -> Option<&'a TableRows> {
        rollup.tables.iter().find_map(|table| self.tables.get(*table))
    }

    /// The state of `rollup` over the rows of `window`, by unit; empty state if the table has no rows.
    async fn state_of(&self, rollup: &'static Rollup, window: &Window) -> Result<Stored> {
        let (spec, rows) = match self.table_of(rollup) {
            Some(table) => (table.spec, table.within(window)?),
            None => {
                let spec =
                    rollup.tables.iter().find_map(|name| self.config.detections.tables().by_name(name));
                let spec = spec
                    .ok_or_else(|| internal_datafusion_err!("rollup {} reads no known table", rollup.id))?;
                (spec, RecordBatch::new_empty(canonical_schema(spec, &all_columns(spec))))
            }
        };
        let mut columns = rollup.columns_read(self.config);
        columns.push(spec.time_column);
        let read = canonical_schema(spec, &columns);
        let indices = read.fields().iter().map(|field| rows.schema().index_of(field.name()));
        let indices = indices.collect::<Result<Vec<usize>, _>>().map_err(datafusion_error)?;
        let rows = rows.project(&indices).map_err(datafusion_error)?;
        let mut schema = None;
        let mut units = Vec::new();
        for mut numbers in self.rng.split(0..rows.num_rows(), UNITS) {
            self.rng.shuffle(&mut numbers);
            let second = numbers.split_off(self.rng.below(numbers.len() + 1));
            let batches = [taken(&rows, numbers)?, taken(&rows, second)?];
            let state = rollup.build(self.session.read_batches(batches)?, self.config)?;
            schema = Some(std::sync::Arc::clone(state.schema().inner()));
            units.extend(state.collect().await?);
        }
        let schema = schema.ok_or_else(|| internal_datafusion_err!("no unit was built"))?;
        Ok(Stored { rollup, schema, units })
    }
}

fn all_columns(spec: &TableSpec) -> Vec<&'static str> {
    spec.columns.iter().map(|column| column.name).collect()
}

fn datafusion_error(error: arrow::error::ArrowError) -> hindcast_base::Error {
    hindcast_base::Error::Engine(error.into())
}
