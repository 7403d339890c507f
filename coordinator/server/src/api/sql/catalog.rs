//! Jobs as an SQL catalog: one schema per job that has results, named by its id, and `latest` for the job that ended last.
//!
//! A table is read when a query names it. Queries can't name anything else: no file, no URL, no lake.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::catalog::{CatalogProvider, SchemaProvider, TableProvider};
use datafusion::common::Result;
use datafusion::datasource::MemTable;
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use futures::TryStreamExt;
use hindcast_base::Error;
use hindcast_detections::config::Config;
use hindcast_engine::{merged_state, state_version};
use hindcast_lake::task_session;

use super::report_tables::{REPORT_TABLES, report_table};
use crate::jobs::{JobResults, StoredTable};
use hindcast_scan::Report;

/// The only catalog.
pub(super) const CATALOG: &str = "hindcast";
/// The schema of the job that ended last.
pub(super) const LATEST: &str = "latest";
/// Prefix of the tables of rollups.
const ROLLUP_PREFIX: &str = "rollup_";

/// All jobs that have results.
pub(super) struct JobCatalog {
    pub(super) results: JobResults,
    pub(super) runtime: Arc<RuntimeEnv>,
    /// The job that `latest` stands for.
    pub(super) latest: String,
}

/// The tables of one job.
pub(super) struct JobTables {
    results: JobResults,
    runtime: Arc<RuntimeEnv>,
    id: String,
}

impl fmt::Debug for JobCatalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JobCatalog")
    }
}

impl fmt::Debug for JobTables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JobTables({})", self.id)
    }
}

impl JobCatalog {
    /// The tables of the job of the schema `name`. The job need not exist.
    pub(super) fn tables(&self, name: &str) -> JobTables {
        let id = if name == LATEST { &self.latest } else { name };
        JobTables { results: self.results.clone(), runtime: Arc::clone(&self.runtime), id: id.to_owned() }
    }
}

impl CatalogProvider for JobCatalog {
    fn schema_names(&self) -> Vec<String> {
        vec![LATEST.to_owned()]
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        Some(Arc::new(self.tables(name)))
    }
}

impl JobTables {
    /// Names of all tables, sorted.
    pub(super) async fn names(&self) -> hindcast_base::Result<Vec<String>> {
        if !self.results.exist(&self.id).await? {
            return Ok(Vec::new());
        }
        let mut names = self.results.tables(&self.id).await?;
        names.extend(REPORT_TABLES.iter().map(|name| (*name).to_owned()));
        let rollups = self.results.rollups(&self.id).await?;
        names.extend(rollups.iter().map(|files| format!("{ROLLUP_PREFIX}{}", files.rollup)));
        names.sort();
        Ok(names)
    }

    async fn find(&self, name: &str) -> hindcast_base::Result<Option<Arc<dyn TableProvider>>> {
        if !self.results.exist(&self.id).await? {
            return Ok(None);
        }
        if let Some(id) = name.strip_prefix(ROLLUP_PREFIX) {
            return self.rollup(id).await;
        }
        if REPORT_TABLES.contains(&name) {
            let rows = report_table(name, &self.report().await?)?;
            return Ok(Some(Arc::new(MemTable::try_new(rows.schema(), vec![vec![rows]])?)));
        }
        let Some(table) = self.results.table(&self.id, name).await? else { return Ok(None) };
        let rows = StoredRows { schema: table.schema(), table };
        Ok(Some(Arc::new(StreamingTable::try_new(rows.table.schema(), vec![Arc::new(rows)])?)))
    }

    async fn report(&self) -> hindcast_base::Result<Report> {
        let text = self.results.report(&self.id).await?.unwrap_or_default();
        serde_json::from_str(&text)
            .map_err(|error| Error::Data(format!("the report of job {} can't be read: {error}", self.id)))
    }

    /// The merged state of a rollup over the window of the job.
    async fn rollup(&self, id: &str) -> hindcast_base::Result<Option<Arc<dyn TableProvider>>> {
        let found = self.results.rollups(&self.id).await?.into_iter().find(|files| files.rollup == id);
        let Some(files) = found else { return Ok(None) };
        let parameters = self.report().await?.parameters;
        let config: Config = serde_json::from_value(parameters).map_err(|error| {
            Error::Data(format!("the parameters of job {} can't be read: {error}", self.id))
        })?;
        let Some(rollup) = config.detections.rollup(id) else { return Ok(None) };
        if files.made_by != state_version(rollup) {
            return Err(Error::Invalid(format!(
                "the state of {id} that job {} used was written by another version: scan again",
                self.id
            )));
        }
        let session = task_session(Arc::clone(&self.runtime));
        let state = merged_state(rollup, &config, self.results.state(), files.files, &session)?;
        Ok(Some(state.into_view()))
    }
}

/// A result table, read from the store each time it is scanned.
#[derive(Debug)]
struct StoredRows {
    schema: SchemaRef,
    table: StoredTable,
}

impl PartitionStream for StoredRows {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let rows = self.table.batches().map_err(DataFusionError::from);
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), rows))
    }
}

#[async_trait]
impl SchemaProvider for JobTables {
    fn table_names(&self) -> Vec<String> {
        Vec::new()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        self.find(name).await.map_err(|error| match error {
            Error::Engine(error) => error,
            other => DataFusionError::External(Box::new(other)),
        })
    }

    /// Not used: queries look tables up by `table`.
    fn table_exist(&self, _: &str) -> bool {
        false
    }
}
