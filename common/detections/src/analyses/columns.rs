//! The columns of state, merged rollups and results, from their plans over tables without rows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::{Result, internal_datafusion_err};
use datafusion::datasource::empty::EmptyTable;
use datafusion::error::DataFusionError;
use datafusion::prelude::{DataFrame, SessionContext};

use super::{Analysis, Inputs, Scope, SideTable};
use crate::config::Config;
use crate::rollups::Rollup;
use hindcast_base::entities::EntityKind;
use hindcast_base::time::Window;
use hindcast_functions::BUCKETS;
use hindcast_lake::canonical_schema;

/// Column of merged rows with the analysis that a row belongs to.
pub const ANALYSIS_COLUMN: &str = "analysis";
/// Column of merged rows with the reason why a shard has no result.
pub const FAULT_COLUMN: &str = "merge_fault";
/// Columns of merged rows that belong to no analysis. No result may have such a column.
pub(crate) const RESERVED_COLUMNS: [&str; 2] = [ANALYSIS_COLUMN, FAULT_COLUMN];

/// The inputs of a run for which the plan of an analysis is built, without rows.
pub struct Available<'a> {
    /// The session in which plans are built.
    pub session: SessionContext,
    /// Parameters.
    pub config: &'a Config,
    /// Columns the lake has, by table.
    pub columns: &'a BTreeMap<String, BTreeSet<String>>,
    /// Whether there is state of a rollup in a scope.
    pub has_state: &'a dyn Fn(&str, Scope) -> bool,
    /// Whether there is a side table of that name.
    pub has_side_table: &'a dyn Fn(&str) -> bool,
    /// The window of the run.
    pub window: Window,
    /// The kind of the one entity whose rows are read; `None` if all rows are read.
    pub investigated: Option<EntityKind>,
}

impl Available<'_> {
    /// The columns of one shard's result of `analysis`.
    ///
    /// # Errors
    /// If its plan can't be built.
    pub fn columns_of(&self, analysis: &Analysis) -> Result<SchemaRef> {
        let session = &self.session;
        let empty = |id: &str, scope| without_rows(rollup(self.config, id)?, self.config, session, scope);
        let open = |id: &str, scope| (self.has_state)(id, scope).then(|| empty(id, scope)).transpose();
        let open_side = |table: &SideTable| {
            let is_given = (self.has_side_table)(table.name);
            is_given.then(|| session.read_table(Arc::new(EmptyTable::new(table.schema())))).transpose()
        };
        let inputs = Inputs {
            config: self.config,
            columns: self.columns,
            open: &open,
            schema_of: &|id| merged_columns(id, self.config, session),
            session: &session.state(),
            open_side: &open_side,
            window: self.window,
            buckets: (0, BUCKETS),
            investigated: self.investigated,
        };
        Ok(Arc::clone(analysis.run(&inputs)?.schema().inner()))
    }
}

/// The columns of one shard's result of an analysis, if the lake has everything that it reads.
///
/// # Errors
/// If its plan can't be built.
pub(crate) fn result_columns(analysis: &Analysis, config: &Config) -> Result<SchemaRef> {
    let available = Available {
        session: SessionContext::new(),
        config,
        columns: &BTreeMap::new(),
        has_state: &|id, _| analysis.rollups.iter().chain(analysis.optional_rollups).any(|read| *read == id),
        has_side_table: &|_| true,
        window: Window { from_us: 0, to_us: 0 },
        investigated: None,
    };
    available.columns_of(analysis)
}

/// The columns of the merged rows of the rollup `id`.
///
/// # Errors
/// If there is no such rollup, or its plan can't be built.
pub fn merged_columns(id: &str, config: &Config, session: &SessionContext) -> Result<SchemaRef> {
    let merged = without_rows(rollup(config, id)?, config, session, Scope::Shard)?;
    Ok(Arc::clone(merged.schema().inner()))
}

/// The schema of a rollup's state, from its own plan.
pub fn state_schema(rollup: &Rollup, config: &Config, session: &SessionContext) -> Result<SchemaRef> {
    if let Some(schema) = rollup.state_schema.get() {
        return Ok(Arc::clone(schema));
    }
    let spec = rollup
        .tables
        .iter()
        .find_map(|name| config.detections.tables().by_name(name))
        .ok_or_else(|| DataFusionError::Internal(format!("rollup {} reads no known table", rollup.id)))?;
    let columns = rollup.columns_read(config);
    let table = session.read_table(Arc::new(EmptyTable::new(canonical_schema(spec, &columns))))?;
    let schema = Arc::clone(rollup.build(table, config)?.schema().inner());
    Ok(Arc::clone(rollup.state_schema.get_or_init(|| schema)))
}

/// A rollup's stored states in the form in which an analysis opens them.
pub fn open_states(rollup: &Rollup, states: DataFrame, scope: Scope) -> Result<DataFrame> {
    if scope == Scope::Unmerged { Ok(states) } else { rollup.merge(states) }
}

/// A rollup as an analysis opens it, without rows.
fn without_rows(
    rollup: &Rollup,
    config: &Config,
    session: &SessionContext,
    scope: Scope,
) -> Result<DataFrame> {
    let table = EmptyTable::new(state_schema(rollup, config, session)?);
    open_states(rollup, session.read_table(Arc::new(table))?, scope)
}

/// The analysis `id` of the run.
///
/// # Errors
/// If there is none.
pub fn analysis(config: &Config, id: &str) -> Result<&'static Analysis> {
    config.detections.by_id(id).ok_or_else(|| internal_datafusion_err!("there is no analysis {id}"))
}

/// The rollup `id` of the run.
///
/// # Errors
/// If there is none.
pub fn rollup(config: &Config, id: &str) -> Result<&'static Rollup> {
    config.detections.rollup(id).ok_or_else(|| internal_datafusion_err!("there is no rollup {id}"))
}
