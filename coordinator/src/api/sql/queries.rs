//! Plans and runs queries over the results of jobs: only reading, and within bounds of memory, time, rows and number.

use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::common::{Result as EngineResult, plan_err};
use datafusion::error::DataFusionError;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::parser::Statement as Parsed;
use datafusion::sql::sqlparser::ast;
use futures::TryStreamExt;
use hindcast_common::{Error, Result};
use tokio::sync::mpsc::Sender;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Status;

use super::catalog::{CATALOG, JobCatalog, LATEST};
use super::plain::{sent, sent_schema};
use super::statement::Statement;
use crate::api::jobs::status_of;
use crate::api::settings::SqlLimits;
use crate::jobs::JobBoard;

/// Result batches that may wait for a slow reader.
const WAITING_BATCHES: usize = 2;

/// Functions that make much of little: a row of theirs may be larger than all memory, and is not counted as it is made.
const UNBOUNDED_FUNCTIONS: [&str; 7] =
    ["array_repeat", "array_resize", "generate_series", "lpad", "range", "repeat", "rpad"];

/// Answers queries.
pub(super) struct Queries {
    board: Arc<JobBoard>,
    runtime: Arc<RuntimeEnv>,
    limits: SqlLimits,
    running: Arc<Semaphore>,
}

/// What a query gives and takes.
pub(super) struct Outline {
    pub(super) rows: SchemaRef,
    pub(super) parameters: Schema,
}

impl Queries {
    /// # Errors
    /// Where the memory and scratch space can't be set up.
    pub(super) fn new(board: Arc<JobBoard>, limits: SqlLimits) -> Result<Self> {
        // Memory of its own: a query must not take what jobs need.
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(FairSpillPool::new(limits.memory_bytes)))
            .with_max_temp_directory_size(limits.scratch_bytes)
            .with_object_store_registry(board.object_stores())
            .build_arc()?;
        let running = Arc::new(Semaphore::new(limits.concurrent));
        Ok(Self { board, runtime, limits, running })
    }

    /// The catalog of which `latest` is a certain job.
    pub(super) fn catalog(&self, latest: String) -> JobCatalog {
        JobCatalog { board: Arc::clone(&self.board), runtime: Arc::clone(&self.runtime), latest }
    }

    /// The catalog as it is now.
    pub(super) fn catalog_now(&self) -> JobCatalog {
        self.catalog(self.latest())
    }

    /// Ids of the jobs that have results, the one that ended last first.
    pub(super) fn jobs(&self) -> Vec<String> {
        self.board.with_results()
    }

    fn latest(&self) -> String {
        self.board.with_results().into_iter().next().unwrap_or_default()
    }

    /// A statement of `sql`, for which `latest` is what it is now.
    pub(super) fn statement(&self, sql: String) -> Statement {
        Statement::new(sql, self.latest())
    }

    /// Lets `work` be one of the queries that run, for as long as they may.
    pub(super) async fn within<T>(&self, work: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
        let _permit = self.permit()?;
        let ended = tokio::time::timeout(self.longest(), work).await;
        ended.unwrap_or_else(|_| Err(status_of_engine(too_long(&self.limits))))
    }

    /// What a statement gives and takes, without running it.
    pub(super) async fn outline(&self, statement: &Statement) -> Result<Outline, Status> {
        self.within(async {
            let (_, plan) = self.plan(statement).await?;
            let mut fields: Vec<_> =
                plan.get_parameter_fields().map_err(status_of_engine)?.into_iter().collect();
            // They are called $1, $2 and so on; ten of them are in order by length first.
            fields.sort_by_key(|(name, _)| (name.len(), name.clone()));
            let parameter = |(name, field): (String, Option<Arc<Field>>)| {
                field.map_or(Field::new(&name, arrow::datatypes::DataType::Utf8, true), |field| {
                    Field::new(&name, field.data_type().clone(), true)
                })
            };
            let parameters = Schema::new(fields.into_iter().map(parameter).collect::<Vec<_>>());
            Ok(Outline { rows: sent_schema(plan.schema().as_arrow()), parameters })
        })
        .await
    }

    /// Runs a statement. What goes wrong on the way comes through the stream.
    pub(super) async fn rows(&self, statement: &Statement) -> Result<SendableRecordBatchStream, Status> {
        let permit = self.permit()?;
        let planned = tokio::time::timeout(self.longest(), self.plan(statement)).await;
        let (session, plan) = planned.unwrap_or_else(|_| Err(status_of_engine(too_long(&self.limits))))?;
        let schema = sent_schema(plan.schema().as_arrow());
        let mut rows = RecordBatchReceiverStreamBuilder::new(Arc::clone(&schema), WAITING_BATCHES);
        let (sender, limits) = (rows.tx(), self.limits.clone());
        // A task of its own, so that a reader who stops reading does not hold a place for ever.
        rows.spawn(async move {
            let run = run(session, plan, schema, sender, limits.rows);
            let ended = tokio::time::timeout(Duration::from_secs(limits.seconds), run).await;
            drop::<OwnedSemaphorePermit>(permit);
            ended.unwrap_or_else(|_| Err(too_long(&limits)))
        });
        Ok(rows.build())
    }

    fn permit(&self) -> Result<OwnedSemaphorePermit, Status> {
        Arc::clone(&self.running).try_acquire_owned().map_err(|_| {
            Status::resource_exhausted(format!(
                "{} queries are running: try again later",
                self.limits.concurrent
            ))
        })
    }

    fn longest(&self) -> Duration {
        Duration::from_secs(self.limits.seconds)
    }

    async fn plan(&self, statement: &Statement) -> Result<(SessionContext, LogicalPlan), Status> {
        let session = self.session(statement.latest.clone());
        let plan = plan_query(&session, &statement.sql).await.map_err(status_of_engine)?;
        let plan = match statement.values()? {
            Some(values) => plan.with_param_values(values).map_err(status_of_engine)?,
            None => plan,
        };
        Ok((session, plan))
    }

    fn session(&self, latest: String) -> SessionContext {
        let config = SessionConfig::new()
            .with_target_partitions(1)
            .with_create_default_catalog_and_schema(false)
            .with_default_catalog_and_schema(CATALOG, LATEST)
            .with_information_schema(false);
        let session = SessionContext::new_with_config_rt(config, Arc::clone(&self.runtime));
        session.register_catalog(CATALOG, Arc::new(self.catalog(latest)));
        for name in UNBOUNDED_FUNCTIONS {
            session.deregister_udf(name);
        }
        session
    }
}

/// The plan of `sql`, which may only be a query.
async fn plan_query(session: &SessionContext, sql: &str) -> EngineResult<LogicalPlan> {
    let state = session.state();
    let parsed = state.sql_to_statement(sql, &state.config().options().sql_parser.dialect)?;
    if !matches!(&parsed, Parsed::Statement(statement) if matches!(**statement, ast::Statement::Query(_))) {
        return plan_err!("only SELECT is answered: results are only read");
    }
    let plan = state.statement_to_plan(parsed).await?;
    let only_reading =
        SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    only_reading.verify_plan(&plan)?;
    Ok(plan)
}

async fn run(
    session: SessionContext,
    plan: LogicalPlan,
    schema: SchemaRef,
    sender: Sender<EngineResult<arrow::array::RecordBatch>>,
    most_rows: usize,
) -> EngineResult<()> {
    let mut rows = session.execute_logical_plan(plan).await?.execute_stream().await?;
    let mut count = 0;
    while let Some(batch) = rows.try_next().await? {
        count += batch.num_rows();
        if count > most_rows {
            return Err(DataFusionError::ResourcesExhausted(format!(
                "the query has more than {most_rows} rows: narrow it or add LIMIT"
            )));
        }
        // A reader that has gone wants no more.
        if sender.send(Ok(sent(&batch, &schema)?)).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

fn too_long(limits: &SqlLimits) -> DataFusionError {
    DataFusionError::ResourcesExhausted(format!("the query took longer than {} seconds", limits.seconds))
}

/// An error of the engine as clients tell it apart.
pub(super) fn status_of_engine(error: DataFusionError) -> Status {
    let text = error.strip_backtrace();
    match error.find_root() {
        DataFusionError::ResourcesExhausted(_) => Status::resource_exhausted(text),
        DataFusionError::Internal(_) | DataFusionError::IoError(_) => Status::internal(text),
        DataFusionError::ObjectStore(_) => Status::unavailable(text),
        DataFusionError::External(other) => match other.downcast_ref::<Error>() {
            Some(error) => status_of(error),
            None => Status::internal(text),
        },
        _ => Status::invalid_argument(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_queries_are_planned() {
        let session = SessionContext::new();
        assert!(plan_query(&session, "WITH a AS (SELECT 1 AS n) SELECT n FROM a").await.is_ok());
        for sql in [
            "CREATE TABLE t AS SELECT 1",
            "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'",
            "COPY (SELECT 1) TO '/tmp/out.csv' STORED AS CSV",
            "INSERT INTO t VALUES (1)",
            "DROP TABLE t",
            "SET datafusion.execution.batch_size = 1",
            "SELECT 1 INTO t",
            "EXPLAIN SELECT 1",
            "SHOW TABLES",
            "SELECT 1; SELECT 2",
            "SELECT * FROM '/etc/passwd'",
            "SELECT * FROM read_csv('/etc/passwd')",
            "",
        ] {
            assert!(plan_query(&session, sql).await.is_err(), "{sql}");
        }
    }
}
