//! Read-only SQL over the results and rollups of jobs, by Flight SQL, which ADBC, JDBC and other clients support.
//!
//! Ballista's own Flight SQL service is not used: it runs any statement on the workers, with tables over any file, and is
//! meant for networks where everybody is trusted.
//!
//! Each statement is planned and run in its own process (`child_process.rs`). A statement that exceeds the stack, memory or time
//! limit ends only that process.

mod bounds;
mod catalog;
mod child_process;
mod frames;
mod metadata;
mod plain;
mod processes;
mod queries;
mod report_tables;
mod statement;

use std::pin::Pin;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::sql::server::{FlightSqlService, PeekableFlightDataStream};
use arrow_flight::sql::{
    ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest,
    ActionCreatePreparedStatementResult, Any, Command, CommandGetCatalogs, CommandGetDbSchemas,
    CommandGetSqlInfo, CommandGetTableTypes, CommandGetTables, CommandPreparedStatementQuery,
    CommandStatementQuery, DoPutPreparedStatementResult, ProstMessageExt, SqlInfo, TicketStatementQuery,
};
use arrow_flight::{Action, FlightData, FlightDescriptor, FlightEndpoint, FlightInfo, Ticket};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use hindcast_base::{Error, Result as HindcastResult};
use hindcast_node::status_of;
use prost::Message;
use tonic::{Request, Response, Status};

use super::settings::SqlLimits;
use crate::jobs::JobManager;
use catalog::JobCatalog;
use frames::{Frame, Outline};
use metadata::failed;
use processes::QueryProcesses;
use statement::{Seal, Statement};

pub use child_process::answer_query;

/// Most bytes of one row of parameters, which becomes part of a handle that each request carries.
const PARAMETER_BYTES: usize = 512 << 10;

/// Answers statements and metadata requests. The caller has checked the token.
pub(super) struct SqlApi {
    manager: Arc<JobManager>,
    /// Object stores and memory for metadata requests.
    runtime: Arc<RuntimeEnv>,
    processes: QueryProcesses,
    seal: Seal,
}

type Rows = Pin<Box<dyn Stream<Item = Result<FlightData, Status>> + Send>>;

/// Whether the command of a descriptor or a ticket belongs to Flight SQL.
pub(super) fn is_sql(bytes: &[u8]) -> bool {
    Any::decode(bytes).is_ok_and(|any| any.type_url.contains("/arrow.flight.protocol.sql."))
}

impl SqlApi {
    /// # Errors
    /// If the state can't be read or written.
    pub(super) async fn new(manager: Arc<JobManager>, limits: SqlLimits) -> HindcastResult<Self> {
        let runtime =
            RuntimeEnvBuilder::new().with_object_store_registry(manager.object_stores()).build_arc()?;
        let state = manager.results().state();
        let seal = Seal::of(state).await?;
        let processes = QueryProcesses::new(limits, state.url().to_owned());
        Ok(Self { manager, runtime, processes, seal })
    }

    /// Ids of the jobs that have results, the latest first.
    fn jobs(&self) -> Vec<String> {
        self.manager.with_results()
    }

    fn latest(&self) -> String {
        self.jobs().into_iter().next().unwrap_or_default()
    }

    /// The current catalog.
    fn catalog(&self) -> JobCatalog {
        let (results, runtime) = (self.manager.results().clone(), Arc::clone(&self.runtime));
        JobCatalog { results, runtime, latest: self.latest() }
    }

    /// A statement of `sql`, with the current job of `latest`.
    fn statement(&self, sql: String) -> HindcastResult<Statement> {
        bounds::check(&sql)?;
        Ok(Statement::new(sql, self.latest()))
    }

    /// The schemas of a statement's rows and parameters, without executing it.
    async fn outline(&self, statement: &Statement) -> HindcastResult<Outline> {
        let mut frames = self.processes.start(statement, false)?;
        match frames.next().await.transpose()? {
            Some(Frame::Outline(bytes)) => {
                Outline::decode(bytes.as_slice()).map_err(|error| Error::Internal(error.to_string()))
            }
            _ => Err(Error::Internal("the process of the query sent no outline".into())),
        }
    }

    /// Runs `work` within the limits of concurrent queries and of their time.
    async fn within<T>(&self, work: impl Future<Output = HindcastResult<T>>) -> HindcastResult<T> {
        let _permit = self.processes.permit()?;
        let ended = tokio::time::timeout(self.processes.longest(), work).await;
        ended.unwrap_or_else(|_| Err(self.processes.too_long()))
    }

    async fn statement_rows(&self, handle: &[u8]) -> HindcastResult<Response<Rows>> {
        let mut frames = self.processes.start(&self.seal.open(handle)?, true)?;
        // An invalid statement fails before its first row.
        let first = frames.next().await.transpose()?;
        let rows = stream::iter(first.map(Ok)).chain(frames).map(|frame| match frame.map_err(status_of)? {
            Frame::Rows(bytes) => {
                FlightData::decode(bytes.as_slice()).map_err(|error| Status::internal(error.to_string()))
            }
            _ => Err(Status::internal("the process of the query sent an unexpected frame")),
        });
        Ok(Response::new(Box::pin(rows)))
    }
}

/// The answer that describes rows with `schema`, an Arrow IPC message, and the ticket by which they are fetched.
fn info(
    schema: bytes::Bytes,
    ticket: Vec<u8>,
    descriptor: FlightDescriptor,
) -> Result<Response<FlightInfo>, Status> {
    let endpoint = FlightEndpoint::new().with_ticket(Ticket::new(ticket));
    let info = FlightInfo { schema, ..FlightInfo::new() };
    Ok(Response::new(info.with_endpoint(endpoint).with_descriptor(descriptor)))
}

/// The answer to a metadata request, whose ticket is the command itself.
fn metadata_info(
    schema: SchemaRef,
    request: Request<FlightDescriptor>,
) -> Result<Response<FlightInfo>, Status> {
    let descriptor = request.into_inner();
    let schema = FlightInfo::new().try_with_schema(&schema).map_err(failed).map_err(status_of)?.schema;
    info(schema, descriptor.cmd.to_vec(), descriptor)
}

fn single_batch(batch: RecordBatch) -> Result<Response<Rows>, Status> {
    let encoder = FlightDataEncoderBuilder::new().with_schema(batch.schema());
    let encoded = encoder.build(stream::iter([Ok(batch)]));
    Ok(Response::new(Box::pin(encoded.map(|data| data.map_err(Status::from)))))
}

#[tonic::async_trait]
impl FlightSqlService for SqlApi {
    type FlightService = Self;

    async fn get_flight_info_statement(
        &self,
        query: CommandStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let statement = self.statement(query.query).map_err(status_of)?;
        let outline = self.outline(&statement).await.map_err(status_of)?;
        let ticket = TicketStatementQuery { statement_handle: self.seal.close(&statement) };
        info(outline.rows, ticket.as_any().encode_to_vec(), request.into_inner())
    }

    async fn do_get_statement(
        &self,
        ticket: TicketStatementQuery,
        _: Request<Ticket>,
    ) -> Result<Response<Rows>, Status> {
        self.statement_rows(&ticket.statement_handle).await.map_err(status_of)
    }

    async fn do_action_create_prepared_statement(
        &self,
        query: ActionCreatePreparedStatementRequest,
        _: Request<Action>,
    ) -> Result<ActionCreatePreparedStatementResult, Status> {
        let statement = self.statement(query.query).map_err(status_of)?;
        let outline = self.outline(&statement).await.map_err(status_of)?;
        Ok(ActionCreatePreparedStatementResult {
            prepared_statement_handle: self.seal.close(&statement),
            dataset_schema: outline.rows,
            parameter_schema: outline.parameters,
        })
    }

    async fn do_action_close_prepared_statement(
        &self,
        _: ActionClosePreparedStatementRequest,
        _: Request<Action>,
    ) -> Result<(), Status> {
        Ok(())
    }

    async fn do_put_prepared_statement_query(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<DoPutPreparedStatementResult, Status> {
        let mut statement = self.seal.open(&query.prepared_statement_handle).map_err(status_of)?;
        let (mut row, mut data, mut bytes) = (Vec::new(), request.into_inner(), 0);
        while let Some(part) = data.try_next().await? {
            // The descriptor of the first message is for this service.
            let part = FlightData { flight_descriptor: None, ..part };
            bytes += part.encoded_len();
            if bytes > PARAMETER_BYTES {
                return Err(status_of(Error::Invalid(format!(
                    "the parameters have more than {PARAMETER_BYTES} bytes"
                ))));
            }
            row.push(part);
        }
        statement.bind(&row);
        // The process of the query checks them.
        self.outline(&statement).await.map_err(status_of)?;
        let handle = self.seal.close(&statement);
        Ok(DoPutPreparedStatementResult { prepared_statement_handle: Some(handle) })
    }

    async fn get_flight_info_prepared_statement(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let statement = self.seal.open(&query.prepared_statement_handle).map_err(status_of)?;
        let outline = self.outline(&statement).await.map_err(status_of)?;
        let descriptor = request.into_inner();
        info(outline.rows, descriptor.cmd.to_vec(), descriptor)
    }

    async fn do_get_prepared_statement(
        &self,
        query: CommandPreparedStatementQuery,
        _: Request<Ticket>,
    ) -> Result<Response<Rows>, Status> {
        self.statement_rows(&query.prepared_statement_handle).await.map_err(status_of)
    }

    async fn get_flight_info_catalogs(
        &self,
        query: CommandGetCatalogs,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        metadata_info(query.into_builder().schema(), request)
    }

    async fn do_get_catalogs(
        &self,
        query: CommandGetCatalogs,
        _: Request<Ticket>,
    ) -> Result<Response<Rows>, Status> {
        single_batch(metadata::catalogs(query).map_err(status_of)?)
    }

    async fn get_flight_info_schemas(
        &self,
        query: CommandGetDbSchemas,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        metadata_info(query.into_builder().schema(), request)
    }

    async fn do_get_schemas(
        &self,
        query: CommandGetDbSchemas,
        _: Request<Ticket>,
    ) -> Result<Response<Rows>, Status> {
        single_batch(metadata::schemas(self, query).map_err(status_of)?)
    }

    async fn get_flight_info_tables(
        &self,
        query: CommandGetTables,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        metadata_info(query.into_builder().schema(), request)
    }

    async fn do_get_tables(
        &self,
        query: CommandGetTables,
        _: Request<Ticket>,
    ) -> Result<Response<Rows>, Status> {
        single_batch(self.within(metadata::tables(self, query)).await.map_err(status_of)?)
    }

    async fn get_flight_info_table_types(
        &self,
        query: CommandGetTableTypes,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        metadata_info(query.into_builder().schema(), request)
    }

    async fn do_get_table_types(
        &self,
        query: CommandGetTableTypes,
        _: Request<Ticket>,
    ) -> Result<Response<Rows>, Status> {
        single_batch(metadata::table_types(query).map_err(status_of)?)
    }

    async fn get_flight_info_sql_info(
        &self,
        query: CommandGetSqlInfo,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        metadata_info(query.into_builder(&metadata::sql_info().map_err(status_of)?).schema(), request)
    }

    async fn do_get_sql_info(
        &self,
        query: CommandGetSqlInfo,
        _: Request<Ticket>,
    ) -> Result<Response<Rows>, Status> {
        single_batch(
            query
                .into_builder(&metadata::sql_info().map_err(status_of)?)
                .build()
                .map_err(failed)
                .map_err(status_of)?,
        )
    }

    async fn get_flight_info_fallback(
        &self,
        _: Command,
        _: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        Err(Status::unimplemented("only queries and requests for catalogs, schemas and tables are supported"))
    }

    async fn register_sql_info(&self, _: i32, _: &SqlInfo) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tickets_of_flight_sql_are_recognized() {
        let sql = TicketStatementQuery { statement_handle: b"any".as_slice().into() };
        assert!(is_sql(&sql.as_any().encode_to_vec()));
        for other in ["", "01a20ac3-32dc-7536-81c3-a2ae14b70c83/findings", "\n\u{3}abc"] {
            assert!(!is_sql(other.as_bytes()), "{other}");
        }
    }
}
