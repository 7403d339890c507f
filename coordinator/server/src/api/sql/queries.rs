//! Plans and runs one read-only query over the results of jobs, within limits of memory and rows. Its process enforces the other limits.

use std::io;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use arrow::ipc::writer::IpcWriteOptions;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use arrow_flight::{IpcMessage, SchemaAsIpc};
use datafusion::common::{Result as EngineResult, plan_err};
use datafusion::error::DataFusionError;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::parser::Statement as Parsed;
use datafusion::sql::sqlparser::ast;
use futures::{StreamExt, TryStreamExt, future};
use hindcast_base::{Error, Result};
use prost::Message;

use super::catalog::{CATALOG, JobCatalog, LATEST};
use super::frames::{FRAME_BYTES, Frame, Outline, QueryRequest};
use super::metadata::failed;
use super::plain::{sent, sent_schema};
use crate::jobs::JobResults;
use hindcast_node::status_of;

/// Rows of a record batch: few, because expressions may make rows long.
const BATCH_ROWS: usize = 2_048;
/// Bytes that a sort reserves for merging its spilled runs.
const SORT_RESERVATION_BYTES: usize = 1 << 20;

/// Functions whose results may be very long. Queries that use them are refused.
const UNBOUNDED_FUNCTIONS: [&str; 7] =
    ["array_repeat", "array_resize", "generate_series", "lpad", "range", "repeat", "rpad"];

/// Plans the requested statement and, if requested, runs it. Passes the frames of the answer to `write`.
///
/// # Errors
/// The error for the client.
pub(super) async fn answer(
    request: &QueryRequest,
    results: JobResults,
    runtime: Arc<RuntimeEnv>,
    mut write: impl FnMut(Frame) -> io::Result<()>,
) -> Result<()> {
    let session = session(JobCatalog { results, runtime, latest: request.statement.latest.clone() });
    let plan = plan_query(&session, &request.statement.sql).await.map_err(error_of_query)?;
    let unwritten = |error: io::Error| Error::Internal(format!("answering a query: {error}"));
    if !request.execute {
        let parameters = parameters_of(&plan)?;
        // Refuse invalid parameter values when they are bound.
        let plan = with_values(plan, request).await?;
        let rows = sent_schema(plan.schema().as_arrow());
        let outline = Outline { rows: encoded(&rows)?, parameters: encoded(&parameters)? };
        return write(Frame::Outline(outline.encode_to_vec())).map_err(unwritten);
    }
    let plan = with_values(plan, request).await?;
    let schema = sent_schema(plan.schema().as_arrow());
    let rows = session.execute_logical_plan(plan).await.map_err(error_of_query)?;
    let rows = rows.execute_stream().await.map_err(error_of_query)?;
    let (mut count, most) = (0, request.rows);
    let target = Arc::clone(&schema);
    let rows = rows.and_then(move |batch| {
        count += batch.num_rows() as u64;
        future::ready(within(count, most).and_then(|()| Ok(sent(&batch, &target)?)))
    });
    let rows = rows.map_err(|error| FlightError::from(status_of(error_of_query(error))));
    let mut data = FlightDataEncoderBuilder::new().with_schema(schema).build(rows.boxed());
    while let Some(data) = data.try_next().await.map_err(failed)? {
        let bytes = data.encode_to_vec();
        if bytes.len() > FRAME_BYTES {
            return Err(Error::Busy(format!("a row of the result is longer than {FRAME_BYTES} bytes")));
        }
        write(Frame::Rows(bytes)).map_err(unwritten)?;
    }
    Ok(())
}

fn within(rows: u64, most: u64) -> EngineResult<()> {
    if rows <= most {
        return Ok(());
    }
    Err(DataFusionError::ResourcesExhausted(format!(
        "the result has more than {most} rows: narrow the query or add LIMIT"
    )))
}

async fn with_values(plan: LogicalPlan, request: &QueryRequest) -> Result<LogicalPlan> {
    match request.statement.values().await? {
        Some(values) => plan.with_param_values(values).map_err(error_of_query),
        None => Ok(plan),
    }
}

/// The parameters of a plan, as the columns of one row.
fn parameters_of(plan: &LogicalPlan) -> Result<Schema> {
    let mut fields: Vec<_> = plan.get_parameter_fields().map_err(error_of_query)?.into_iter().collect();
    // Their names are $1, $2, …, $10: sort by length first.
    fields.sort_by_key(|(name, _)| (name.len(), name.clone()));
    let parameter = |(name, field): (String, Option<Arc<Field>>)| {
        let data_type = field.map_or(DataType::Utf8, |field| field.data_type().clone());
        Field::new(&name, data_type, true)
    };
    Ok(Schema::new(fields.into_iter().map(parameter).collect::<Vec<_>>()))
}

fn encoded(schema: &Schema) -> Result<bytes::Bytes> {
    let message = IpcMessage::try_from(SchemaAsIpc::new(schema, &IpcWriteOptions::default()));
    message.map(|IpcMessage(bytes)| bytes).map_err(failed)
}

fn session(catalog: JobCatalog) -> SessionContext {
    let config = SessionConfig::new()
        .with_target_partitions(1)
        .with_batch_size(BATCH_ROWS)
        .with_sort_spill_reservation_bytes(SORT_RESERVATION_BYTES)
        .with_create_default_catalog_and_schema(false)
        .with_default_catalog_and_schema(CATALOG, LATEST)
        .with_information_schema(false);
    let session = SessionContext::new_with_config_rt(config, Arc::clone(&catalog.runtime));
    session.register_catalog(CATALOG, Arc::new(catalog));
    for name in UNBOUNDED_FUNCTIONS {
        session.deregister_udf(name);
    }
    session
}

/// The plan of `sql`, which may only be a query.
async fn plan_query(session: &SessionContext, sql: &str) -> EngineResult<LogicalPlan> {
    let state = session.state();
    let parsed = state.sql_to_statement(sql, &state.config().options().sql_parser.dialect)?;
    if !matches!(&parsed, Parsed::Statement(statement) if matches!(**statement, ast::Statement::Query(_))) {
        return plan_err!("only SELECT is supported: results are read-only");
    }
    let plan = state.statement_to_plan(parsed).await?;
    let only_reading =
        SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    only_reading.verify_plan(&plan)?;
    Ok(plan)
}

/// The error of a query that the engine refused or could not run. Most of these are errors of the statement.
pub(super) fn error_of_query(error: DataFusionError) -> Error {
    let text = error.strip_backtrace();
    match error.find_root() {
        DataFusionError::ResourcesExhausted(_) => Error::Busy(text),
        DataFusionError::Internal(_) | DataFusionError::IoError(_) => Error::Internal(text),
        DataFusionError::ObjectStore(_) => Error::Unavailable(text),
        DataFusionError::External(other) => match other.downcast_ref::<Error>() {
            Some(own) => Error::of_kind(own.kind(), own.to_string()),
            None => Error::Internal(text),
        },
        _ => Error::Invalid(text),
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
