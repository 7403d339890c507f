//! The state files of one rollup, or the file of a side table, as a table.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DFSchema, Result};
use datafusion::datasource::TableType;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::prelude::{DataFrame, SessionContext};

use hindcast_detections::analyses::state_schema;
use hindcast_detections::config::Config;
use hindcast_detections::rollups::Rollup;
use hindcast_lake::{Location, StateFile, state_scan};

/// A table of state files with the same schema.
#[derive(Debug)]
pub(super) struct StateTable {
    state: Location,
    schema: SchemaRef,
    files: Vec<StateFile>,
    reads_keys_first: bool,
}

impl StateTable {
    /// A table of `files` with `schema` in the folder `state`.
    pub(super) fn new(schema: SchemaRef, state: Location, files: Vec<StateFile>) -> Self {
        Self { state, schema, files, reads_keys_first: false }
    }

    /// Reads the columns of filters first, and others only of the rows that pass: for filters that few rows pass.
    pub(super) fn reading_keys_first(self) -> Self {
        Self { reads_keys_first: true, ..self }
    }
}

/// A query for the merged state of a rollup's `files` in the folder `state`.
///
/// # Errors
/// If the state's URL or the rollup's plan can't be used.
pub fn merged_state(
    rollup: &Rollup,
    config: &Config,
    state: &Location,
    files: Vec<StateFile>,
    session: &SessionContext,
) -> hindcast_base::Result<DataFrame> {
    let schema = state_schema(rollup, config, session)?;
    let table = StateTable::new(schema, state.clone(), files);
    Ok(rollup.merge(session.read_table(Arc::new(table))?)?)
}

#[async_trait]
impl TableProvider for StateTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        // The scan prunes row groups with the filters; the plan above applies them.
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if self.files.is_empty() {
            let schema = match projection {
                Some(columns) => Arc::new(self.schema.project(columns)?),
                None => Arc::clone(&self.schema),
            };
            return Ok(Arc::new(EmptyExec::new(schema)));
        }
        let predicate = match conjunction(filters.to_vec()) {
            Some(filter) => {
                let schema = DFSchema::try_from(Arc::clone(&self.schema))?;
                Some(session.create_physical_expr(filter, &schema)?)
            }
            None => None,
        };
        state_scan(&self.state, &self.schema, &self.files, projection, predicate, self.reads_keys_first)
    }
}
