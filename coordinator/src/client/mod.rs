//! A person's side of a coordinator: submits jobs, watches them, fetches what they found.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow_flight::Ticket;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_client::FlightServiceClient;
use futures::{StreamExt, TryStreamExt, stream};
use hindcast_common::cluster::{Tls, check_plain_text, connect_endpoint};
use hindcast_common::{Error, Result};
use hindcast_proto::v1::jobs_client::JobsClient;
use hindcast_proto::v1::{ConfigPart, Job, JobId, JobState, ListRequest, ScanRequest, SubmitRequest};
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use crate::jobs::{FINDINGS, SUPPRESSED, is_open};
use crate::output::findings_of_batches;
use crate::scan::{Report, ResultTable, ScanResult};

/// Largest answer taken.
const ANSWER_BYTES: usize = 64 << 20;
/// Longest configuration that is part of a request.
const INLINE_CONFIG_BYTES: usize = 64 << 10;
/// Bytes of one part of a longer one.
const CONFIG_PART_BYTES: usize = 64 << 10;
/// Times in a row that a coordinator may not answer before it is given up: it may be starting again.
const ATTEMPTS: u32 = 40;
/// Longest wait between them.
const LONGEST_BACK_OFF: Duration = Duration::from_secs(5);

/// How to reach a coordinator.
#[derive(Debug, Clone, clap::Args)]
pub struct Connection {
    /// Address of a coordinator: HOST:PORT
    #[arg(long, value_name = "URL")]
    pub coordinator: String,
    #[command(flatten)]
    pub credentials: Credentials,
}

/// What a person shows to a coordinator.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Credentials {
    /// Folder of ca.crt, tls.crt and tls.key
    #[arg(long, value_name = "DIR")]
    pub tls: Option<PathBuf>,
    /// File with the bearer token [or the environment variable HINDCAST_TOKEN]
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Speak in plain text with a coordinator that is not on this machine
    #[arg(long)]
    pub insecure: bool,
}

type Authorised = InterceptedService<Channel, Bearer>;

/// A connected client. Clones share the connection.
#[derive(Clone)]
pub struct Client {
    jobs: JobsClient<Authorised>,
    results: FlightServiceClient<Authorised>,
    /// Hashes of the configurations that the coordinator was given.
    kept: Arc<Mutex<BTreeSet<String>>>,
}

/// Adds the token to each call. It is not shown by `Debug`.
#[derive(Clone)]
struct Bearer(Option<MetadataValue<Ascii>>);

impl tonic::service::Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> std::result::Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            request.metadata_mut().insert("authorization", value.clone());
        }
        Ok(request)
    }
}

impl Client {
    /// A client of the coordinator at `address`; it connects with the first call.
    ///
    /// # Errors
    /// [`Error::Config`] where certificates, token or address can't be used.
    pub fn new(address: &str, credentials: &Credentials) -> Result<Self> {
        let tls = credentials.tls.as_deref().map(Tls::load).transpose()?;
        check_plain_text(address, tls.as_ref(), credentials.insecure)?;
        let channel = connect_endpoint(address, tls.as_ref(), false)?.connect_lazy();
        let bearer = Bearer(token(credentials)?);
        let jobs = JobsClient::with_interceptor(channel.clone(), bearer.clone());
        let results = FlightServiceClient::with_interceptor(channel, bearer);
        Ok(Self {
            jobs: jobs.max_decoding_message_size(ANSWER_BYTES),
            results: results.max_decoding_message_size(ANSWER_BYTES),
            kept: Arc::default(),
        })
    }

    /// Submits a scan under a new id. Tried again while the coordinator can't be reached: the id makes it one job.
    ///
    /// # Errors
    /// [`Error::Config`] where the coordinator refuses it.
    pub async fn submit(&mut self, mut scan: ScanRequest) -> Result<Job> {
        if scan.config.len() > INLINE_CONFIG_BYTES {
            scan.config_hash = self.keep_config(&scan.config).await?;
            scan.config = String::new();
        }
        if scan.detections.len() > INLINE_CONFIG_BYTES {
            scan.detections_hash = self.keep_config(&scan.detections).await?;
            scan.detections = String::new();
        }
        let id = uuid::Uuid::now_v7().to_string();
        let mut failures = 0;
        loop {
            let request = SubmitRequest { id: id.clone(), scan: Some(scan.clone()) };
            match self.jobs.submit(request).await {
                Ok(job) => return Ok(job.into_inner()),
                Err(status) => back_off(status, &mut failures).await?,
            }
        }
    }

    /// Gives the coordinator a configuration that is too long for a request; gives the hash that requests name it by.
    async fn keep_config(&mut self, config: &str) -> Result<String> {
        let hash = blake3::hash(config.as_bytes()).to_hex().to_string();
        if self.kept.lock().await.contains(&hash) {
            return Ok(hash);
        }
        let mut failures = 0;
        loop {
            let parts: Vec<ConfigPart> = config
                .as_bytes()
                .chunks(CONFIG_PART_BYTES)
                .map(|part| ConfigPart { text: part.to_vec() })
                .collect();
            match self.jobs.keep_config(stream::iter(parts)).await {
                Ok(kept) => {
                    let hash = kept.into_inner().hash;
                    self.kept.lock().await.insert(hash.clone());
                    return Ok(hash);
                }
                Err(status) => back_off(status, &mut failures).await?,
            }
        }
    }

    /// A job as it stands, with its report where it is done.
    ///
    /// # Errors
    /// Where there is none, or the coordinator refuses or does not answer.
    pub async fn get(&mut self, id: &str) -> Result<Job> {
        let mut failures = 0;
        loop {
            match self.jobs.get(JobId { id: id.to_owned() }).await {
                Ok(job) => return Ok(job.into_inner()),
                Err(status) => back_off(status, &mut failures).await?,
            }
        }
    }

    /// All jobs, newest first.
    ///
    /// # Errors
    /// Where the coordinator refuses or does not answer.
    pub async fn list(&mut self) -> Result<Vec<Job>> {
        let listed = self.jobs.list(ListRequest {}).await.map_err(error_of)?;
        Ok(listed.into_inner().jobs)
    }

    /// Ends a job.
    ///
    /// # Errors
    /// Where there is none, or the coordinator refuses or does not answer.
    pub async fn cancel(&mut self, id: &str) -> Result<Job> {
        let job = self.jobs.cancel(JobId { id: id.to_owned() }).await.map_err(error_of)?;
        Ok(job.into_inner())
    }

    /// Tells `seen` of every change of a job until it has ended; gives it as it ended. A coordinator that starts again in
    /// between is waited for.
    ///
    /// # Errors
    /// Where there is no such job, or the coordinator refuses or stays away.
    pub async fn watch(&mut self, id: &str, mut seen: impl FnMut(&Job)) -> Result<Job> {
        let mut failures = 0;
        loop {
            match self.jobs.watch(JobId { id: id.to_owned() }).await {
                Ok(changes) => {
                    let mut changes = changes.into_inner();
                    while let Some(Ok(job)) = changes.next().await {
                        failures = 0;
                        seen(&job);
                        if !is_open(&job) {
                            return Ok(job);
                        }
                    }
                    back_off(Status::unavailable("the coordinator went away"), &mut failures).await?;
                }
                Err(status) => back_off(status, &mut failures).await?,
            }
        }
    }

    /// All a job that is done has found.
    ///
    /// # Errors
    /// Where its results can't be fetched.
    pub async fn result(&mut self, id: &str) -> Result<ScanResult> {
        let report: Report = self.report(id).await?;
        let mut tables = Vec::new();
        for name in &report.tables {
            tables.push(ResultTable::held(name, &self.table(id, name).await?)?);
        }
        let findings = findings_of_batches(&self.table(id, FINDINGS).await?)?;
        let suppressed = findings_of_batches(&self.table(id, SUPPRESSED).await?)?;
        Ok(ScanResult { tables, findings, suppressed, report, rollups: Vec::new() })
    }

    /// The report of a job that is done.
    ///
    /// # Errors
    /// Where it can't be fetched, or is of another kind.
    pub async fn report<T: DeserializeOwned>(&mut self, id: &str) -> Result<T> {
        let job = self.get(id).await?;
        serde_json::from_str(&job.report)
            .map_err(|error| Error::Internal(format!("the report of job {id} can't be read: {error}")))
    }

    /// A table of a job. A coordinator that starts again meanwhile is waited for, and asked anew.
    async fn table(&mut self, id: &str, name: &str) -> Result<Vec<RecordBatch>> {
        let mut failures = 0;
        loop {
            match self.table_at_once(id, name).await {
                Ok(batches) => return Ok(batches),
                Err(status) => back_off(status, &mut failures).await?,
            }
        }
    }

    async fn table_at_once(&mut self, id: &str, name: &str) -> std::result::Result<Vec<RecordBatch>, Status> {
        let ticket = Ticket::new(format!("{id}/{name}"));
        let data = self.results.do_get(ticket).await?.into_inner();
        let mut rows = FlightRecordBatchStream::new_from_flight_data(data.map_err(Into::into));
        let mut batches = Vec::new();
        while let Some(batch) = rows.next().await {
            batches.push(batch.map_err(|error| match error {
                FlightError::Tonic(status) => *status,
                other => Status::data_loss(format!("fetching {name}: {other}")),
            })?);
        }
        match (batches.is_empty(), rows.schema()) {
            (true, Some(schema)) => Ok(vec![RecordBatch::new_empty(schema.clone())]),
            (true, None) => Err(Status::data_loss(format!("fetching {name}: it came without a schema"))),
            (false, _) => Ok(batches),
        }
    }
}

/// Fails where a job that has ended has no result, as it failed.
///
/// # Errors
/// [`Error::Config`] where the request was to blame, else [`Error::Internal`].
pub fn check_done(job: &Job) -> Result<()> {
    match job.state() {
        JobState::Done => Ok(()),
        JobState::Cancelled => Err(Error::Internal(format!("job {} was cancelled", job.id))),
        _ if job.is_bad_request => Err(Error::Config(job.error.clone())),
        _ => Err(Error::Internal(job.error.clone())),
    }
}

fn token(credentials: &Credentials) -> Result<Option<MetadataValue<Ascii>>> {
    let text = match &credentials.token_file {
        Some(path) => std::fs::read_to_string(path)
            .map_err(|error| Error::Config(format!("reading the token {}: {error}", path.display())))?,
        None => std::env::var("HINDCAST_TOKEN").unwrap_or_default(),
    };
    if text.trim().is_empty() {
        return Ok(None);
    }
    let mut value: MetadataValue<Ascii> = format!("Bearer {}", text.trim())
        .parse()
        .map_err(|_| Error::Config("the token has characters a header can't carry".into()))?;
    value.set_sensitive(true);
    Ok(Some(value))
}

/// Waits before another try, or fails where another can't help.
async fn back_off(status: Status, failures: &mut u32) -> Result<()> {
    *failures += 1;
    if !is_away(&status) || is_refused(&status) || *failures >= ATTEMPTS {
        return Err(error_of(status));
    }
    tracing::debug!(%status, failures, "the coordinator does not answer");
    tokio::time::sleep((Duration::from_millis(100) * 2u32.pow((*failures).min(10))).min(LONGEST_BACK_OFF))
        .await;
    Ok(())
}

/// Whether there was no answer, or one that broke off: then the cause is that of the connection.
fn is_away(status: &Status) -> bool {
    match status.code() {
        Code::Unavailable | Code::Unknown | Code::DeadlineExceeded => true,
        Code::Internal | Code::Cancelled => std::error::Error::source(status).is_some(),
        _ => false,
    }
}

/// Whether the other side turned the connection down for its certificates: it will again.
fn is_refused(status: &Status) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(status);
    while let Some(current) = cause {
        let told = current.to_string();
        if ["certificate", "Certificate", "HandshakeFailure", "UnknownIssuer", "InvalidMessage"]
            .iter()
            .any(|sign| told.contains(sign))
        {
            return true;
        }
        cause = current.source();
    }
    false
}

fn error_of(status: Status) -> Error {
    let mut told = status.message().to_owned();
    let mut cause = std::error::Error::source(&status);
    while let Some(current) = cause {
        let part = current.to_string();
        if !told.contains(&part) {
            told = format!("{told}: {part}");
        }
        cause = current.source();
    }
    match status.code() {
        Code::InvalidArgument | Code::NotFound => Error::Config(told),
        Code::Unauthenticated | Code::PermissionDenied => {
            Error::Config(format!("the coordinator refuses: {told}"))
        }
        Code::OutOfRange => Error::Config(format!(
            "a message between here and the coordinator is too long: {told}; limits.request_bytes of the coordinator bounds \
             requests, its limits.message_bytes and {ANSWER_BYTES} bytes here bound answers"
        )),
        // It has answered: what was asked for is not done yet, or came to nothing.
        Code::Aborted | Code::DataLoss => Error::Internal(told),
        Code::ResourceExhausted => Error::Busy(format!("the coordinator takes no more: {told}")),
        _ => Error::Internal(format!("the coordinator does not answer: {told}")),
    }
}
