//! Results and rollups of jobs by SQL, over Flight SQL: what ADBC, JDBC and other clients speak. Only reading.
//!
//! Ballista has a Flight SQL service of its own, which is not used: it runs any statement on the workers, with tables over
//! any file, and is meant for networks where everybody is trusted.

mod catalog;
mod metadata;
mod plain;
mod queries;
mod statement;
mod told;

use std::pin::Pin;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::ipc::writer::IpcWriteOptions;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use arrow_flight::sql::server::{FlightSqlService, PeekableFlightDataStream};
use arrow_flight::sql::{
    ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest,
    ActionCreatePreparedStatementResult, Any, Command, CommandGetCatalogs, CommandGetDbSchemas,
    CommandGetSqlInfo, CommandGetTableTypes, CommandGetTables, CommandPreparedStatementQuery,
    CommandStatementQuery, DoPutPreparedStatementResult, ProstMessageExt, SqlInfo, TicketStatementQuery,
};
use arrow_flight::{
    Action, FlightData, FlightDescriptor, FlightEndpoint, FlightInfo, IpcMessage, SchemaAsIpc, Ticket,
};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use hindcast_common::Result as HindcastResult;
use prost::Message;
use tonic::{Request, Response, Status};

use super::settings::SqlLimits;
use crate::jobs::JobBoard;
use metadata::failed;
use queries::{Queries, status_of_engine};
use statement::Statement;

/// Answers statements and what clients ask of a database. Whoever calls has checked who asks.
pub(super) struct SqlApi {
    queries: Queries,
}

type Rows = Pin<Box<dyn Stream<Item = Result<FlightData, Status>> + Send>>;

/// Whether a descriptor's command or a ticket is one of Flight SQL.
pub(super) fn is_sql(bytes: &[u8]) -> bool {
    Any::decode(bytes).is_ok_and(|any| any.type_url.contains("/arrow.flight.protocol.sql."))
}

impl SqlApi {
    /// # Errors
    /// Where memory and scratch space for queries can't be set up.
    pub(super) fn new(board: Arc<JobBoard>, limits: SqlLimits) -> HindcastResult<Self> {
        Ok(Self { queries: Queries::new(board, limits)? })
    }

    async fn statement_rows(&self, handle: &[u8]) -> Result<Response<Rows>, Status> {
        let rows = self.queries.rows(&Statement::from_handle(handle)?).await?;
        let schema = rows.schema();
        let rows = rows.map_err(|error| FlightError::from(status_of_engine(error)));
        let encoded = FlightDataEncoderBuilder::new().with_schema(schema).build(rows);
        Ok(Response::new(Box::pin(encoded.map_err(Status::from))))
    }
}

/// Where rows of `schema` are fetched: here, by a ticket.
fn info(schema: &Schema, ticket: Vec<u8>, asked: FlightDescriptor) -> Result<Response<FlightInfo>, Status> {
    let info = FlightInfo::new().try_with_schema(schema).map_err(failed)?;
    let endpoint = FlightEndpoint::new().with_ticket(Ticket::new(ticket));
    Ok(Response::new(info.with_endpoint(endpoint).with_descriptor(asked)))
}

/// An answer about the database is asked for again by the command itself.
fn same_again(schema: SchemaRef, request: Request<FlightDescriptor>) -> Result<Response<FlightInfo>, Status> {
    let asked = request.into_inner();
    info(&schema, asked.cmd.to_vec(), asked)
}

fn one(batch: RecordBatch) -> Result<Response<Rows>, Status> {
    let encoder = FlightDataEncoderBuilder::new().with_schema(batch.schema());
    let encoded = encoder.build(stream::iter([Ok(batch)]));
    Ok(Response::new(Box::pin(encoded.map(|data| data.map_err(Status::from)))))
}

fn encoded(schema: &Schema) -> Result<bytes::Bytes, Status> {
    let message = IpcMessage::try_from(SchemaAsIpc::new(schema, &IpcWriteOptions::default()));
    message.map(|IpcMessage(bytes)| bytes).map_err(failed)
}

#[tonic::async_trait]
impl FlightSqlService for SqlApi {
    type FlightService = Self;

    async fn get_flight_info_statement(
        &self,
        query: CommandStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let statement = self.queries.statement(query.query);
        let outline = self.queries.outline(&statement).await?;
        let ticket = TicketStatementQuery { statement_handle: statement.to_handle() };
        info(&outline.rows, ticket.as_any().encode_to_vec(), request.into_inner())
    }

    async fn do_get_statement(
        &self,
        ticket: TicketStatementQuery,
        _: Request<Ticket>,
    ) -> Result<Response<Rows>, Status> {
        self.statement_rows(&ticket.statement_handle).await
    }

    async fn do_action_create_prepared_statement(
        &self,
        query: ActionCreatePreparedStatementRequest,
        _: Request<Action>,
    ) -> Result<ActionCreatePreparedStatementResult, Status> {
        let statement = self.queries.statement(query.query);
        let outline = self.queries.outline(&statement).await?;
        Ok(ActionCreatePreparedStatementResult {
            prepared_statement_handle: statement.to_handle(),
            dataset_schema: encoded(&outline.rows)?,
            parameter_schema: encoded(&outline.parameters)?,
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
        let mut statement = Statement::from_handle(&query.prepared_statement_handle)?;
        let data = request.into_inner().map_err(FlightError::from);
        let mut rows = FlightRecordBatchStream::new_from_flight_data(data);
        let mut bound = None;
        while let Some(batch) = rows.try_next().await.map_err(failed)? {
            if bound.replace(batch).is_some() {
                return Err(Status::invalid_argument("give one row of parameters"));
            }
        }
        let bound = bound.ok_or_else(|| Status::invalid_argument("give one row of parameters"))?;
        statement.bind(&bound)?;
        Ok(DoPutPreparedStatementResult { prepared_statement_handle: Some(statement.to_handle()) })
    }

    async fn get_flight_info_prepared_statement(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let statement = Statement::from_handle(&query.prepared_statement_handle)?;
        let outline = self.queries.outline(&statement).await?;
        same_again(outline.rows, request)
    }

    async fn do_get_prepared_statement(
        &self,
        query: CommandPreparedStatementQuery,
        _: Request<Ticket>,
    ) -> Result<Response<Rows>, Status> {
        self.statement_rows(&query.prepared_statement_handle).await
    }

    async fn get_flight_info_catalogs(
        &self,
        query: CommandGetCatalogs,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        same_again(query.into_builder().schema(), request)
    }

    async fn do_get_catalogs(
        &self,
        query: CommandGetCatalogs,
        _: Request<Ticket>,
    ) -> Result<Response<Rows>, Status> {
        one(metadata::catalogs(query)?)
    }

    async fn get_flight_info_schemas(
        &self,
        query: CommandGetDbSchemas,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        same_again(query.into_builder().schema(), request)
    }

    async fn do_get_schemas(
        &self,
        query: CommandGetDbSchemas,
        _: Request<Ticket>,
    ) -> Result<Response<Rows>, Status> {
        one(metadata::schemas(&self.queries, query)?)
    }

    async fn get_flight_info_tables(
        &self,
        query: CommandGetTables,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        same_again(query.into_builder().schema(), request)
    }

    async fn do_get_tables(
        &self,
        query: CommandGetTables,
        _: Request<Ticket>,
    ) -> Result<Response<Rows>, Status> {
        one(self.queries.within(metadata::tables(&self.queries, query)).await?)
    }

    async fn get_flight_info_table_types(
        &self,
        query: CommandGetTableTypes,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        same_again(query.into_builder().schema(), request)
    }

    async fn do_get_table_types(
        &self,
        query: CommandGetTableTypes,
        _: Request<Ticket>,
    ) -> Result<Response<Rows>, Status> {
        one(metadata::table_types(query)?)
    }

    async fn get_flight_info_sql_info(
        &self,
        query: CommandGetSqlInfo,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        same_again(query.into_builder(&metadata::sql_info()?).schema(), request)
    }

    async fn do_get_sql_info(
        &self,
        query: CommandGetSqlInfo,
        _: Request<Ticket>,
    ) -> Result<Response<Rows>, Status> {
        one(query.into_builder(&metadata::sql_info()?).build().map_err(failed)?)
    }

    async fn get_flight_info_fallback(
        &self,
        _: Command,
        _: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        Err(Status::unimplemented(
            "only queries, and what catalogs, schemas and tables there are, are answered",
        ))
    }

    async fn register_sql_info(&self, _: i32, _: &SqlInfo) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_tickets_are_told_apart() {
        let sql = TicketStatementQuery { statement_handle: b"any".as_slice().into() };
        assert!(is_sql(&sql.as_any().encode_to_vec()));
        for other in ["", "01a20ac3-32dc-7536-81c3-a2ae14b70c83/findings", "\n\u{3}abc"] {
            assert!(!is_sql(other.as_bytes()), "{other}");
        }
    }
}
