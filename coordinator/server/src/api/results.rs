//! Result tables and findings of jobs by Arrow Flight. A ticket is the text `<job id>/<table>`. Requests of Flight SQL are
//! passed to [`SqlApi`] after the token is checked.

use std::pin::Pin;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::ipc::writer::IpcWriteOptions;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_server::FlightService;
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightEndpoint, FlightInfo,
    HandshakeRequest, HandshakeResponse, PollInfo, PutResult, SchemaAsIpc, SchemaResult, Ticket,
};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use hindcast_base::Error;
use hindcast_node::status_of;
use tonic::{Request, Response, Status, Streaming};

use super::access::AccessTokens;

use super::settings::Role;
use super::sql::{SqlApi, is_sql};
use crate::jobs::{JobManager, StoredTable};

pub(super) struct ResultsApi {
    manager: Arc<JobManager>,
    sql: SqlApi,
    tokens: Arc<AccessTokens>,
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl ResultsApi {
    pub(super) fn new(manager: Arc<JobManager>, sql: SqlApi, tokens: Arc<AccessTokens>) -> Self {
        Self { manager, sql, tokens }
    }

    async fn info(&self, id: &str, table: &str) -> Result<FlightInfo, Status> {
        let found = self.table(id, table).await?;
        let count = |rows: usize, batch: RecordBatch| async move { Ok(rows + batch.num_rows()) };
        let rows = found.batches().try_fold(0, count).await.map_err(status_of)?;
        let ticket = Ticket::new(format!("{id}/{table}"));
        let info = FlightInfo::new()
            .try_with_schema(&found.schema())
            .map_err(|error| Status::internal(error.to_string()))?;
        Ok(info
            .with_descriptor(FlightDescriptor::new_path(vec![id.to_owned(), table.to_owned()]))
            .with_endpoint(FlightEndpoint::new().with_ticket(ticket))
            .with_total_records(rows as i64))
    }

    async fn table(&self, id: &str, table: &str) -> Result<StoredTable, Status> {
        let found = self.manager.table(id, table).await.map_err(status_of)?;
        found.ok_or_else(|| status_of(Error::NotFound(format!("job {id} has no result table {table}"))))
    }
}

fn path_of(descriptor: &FlightDescriptor) -> Result<(&str, &str), Status> {
    match descriptor.path.as_slice() {
        [id, table] => Ok((id, table)),
        _ => Err(status_of(Error::Invalid("the path must be a job id and the name of a table".into()))),
    }
}

#[tonic::async_trait]
impl FlightService for ResultsApi {
    type HandshakeStream = Answers<HandshakeResponse>;
    type ListFlightsStream = Answers<FlightInfo>;
    type DoGetStream = Answers<FlightData>;
    type DoPutStream = Answers<PutResult>;
    type DoExchangeStream = Answers<FlightData>;
    type DoActionStream = Answers<arrow_flight::Result>;
    type ListActionsStream = Answers<ActionType>;

    async fn list_flights(
        &self,
        request: Request<Criteria>,
    ) -> Result<Response<Self::ListFlightsStream>, Status> {
        self.tokens.check(request.metadata(), Role::Read)?;
        let id = String::from_utf8_lossy(&request.get_ref().expression).into_owned();
        self.manager.snapshot(&id).map_err(status_of)?;
        let names = self.manager.results().tables(&id).await.map_err(status_of)?;
        let mut infos = Vec::new();
        for name in names {
            infos.push(Ok(self.info(&id, &name).await?));
        }
        Ok(Response::new(Box::pin(stream::iter(infos))))
    }

    async fn get_flight_info(
        &self,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        self.tokens.check(request.metadata(), Role::Read)?;
        if is_sql(&request.get_ref().cmd) {
            return self.sql.get_flight_info(request).await;
        }
        let (id, table) = path_of(request.get_ref())?;
        Ok(Response::new(self.info(id, table).await?))
    }

    async fn get_schema(&self, request: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        self.tokens.check(request.metadata(), Role::Read)?;
        if is_sql(&request.get_ref().cmd) {
            let info = self.sql.get_flight_info(request).await?.into_inner();
            return Ok(Response::new(SchemaResult { schema: info.schema }));
        }
        let (id, table) = path_of(request.get_ref())?;
        let schema = self.table(id, table).await?.schema();
        let options = IpcWriteOptions::default();
        let schema = SchemaAsIpc::new(&schema, &options);
        let schema = schema
            .try_into()
            .map_err(|error: arrow::error::ArrowError| Status::internal(error.to_string()))?;
        Ok(Response::new(schema))
    }

    async fn do_get(&self, request: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        self.tokens.check(request.metadata(), Role::Read)?;
        if is_sql(&request.get_ref().ticket) {
            return self.sql.do_get(request).await;
        }
        let text = String::from_utf8_lossy(&request.get_ref().ticket).into_owned();
        let (id, table) = text
            .split_once('/')
            .ok_or_else(|| status_of(Error::Invalid("the ticket must be <job id>/<table>".into())))?;
        let found = self.table(id, table).await?;
        let rows = found.batches().map_err(|error| FlightError::from(status_of(&error)));
        let encoded = FlightDataEncoderBuilder::new().with_schema(found.schema()).build(rows);
        Ok(Response::new(Box::pin(encoded.map(|data| data.map_err(Status::from)))))
    }

    async fn handshake(
        &self,
        _: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        Err(Status::unimplemented("there is no handshake: send the token as a bearer token with each call"))
    }

    async fn poll_flight_info(&self, _: Request<FlightDescriptor>) -> Result<Response<PollInfo>, Status> {
        Err(Status::unimplemented("polling is not supported: results are available once their job is done"))
    }

    /// Accepts the parameters of prepared statements, nothing else.
    async fn do_put(
        &self,
        request: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoPutStream>, Status> {
        self.tokens.check(request.metadata(), Role::Read)?;
        self.sql.do_put(request).await
    }

    async fn do_exchange(
        &self,
        _: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoExchangeStream>, Status> {
        Err(Status::unimplemented("results are read-only"))
    }

    async fn do_action(&self, request: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        self.tokens.check(request.metadata(), Role::Read)?;
        self.sql.do_action(request).await
    }

    async fn list_actions(
        &self,
        request: Request<Empty>,
    ) -> Result<Response<Self::ListActionsStream>, Status> {
        self.tokens.check(request.metadata(), Role::Read)?;
        self.sql.list_actions(request).await
    }
}
