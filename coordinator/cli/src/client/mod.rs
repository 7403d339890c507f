//! The client of a coordinator: submits jobs, watches them and fetches their results.

mod waiting;

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
use hindcast_base::retry::COORDINATOR;
use hindcast_base::{Error, ErrorKind, Result};
use hindcast_node::{Tls, TlsFault, check_plain_text, connect_endpoint, kind_of, message_of};
use hindcast_proto::v1::jobs_client::JobsClient;
use hindcast_proto::v1::{ConfigPart, Job, JobId, JobState, ListRequest, ScanRequest, SubmitRequest};
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use hindcast_report::output::findings_of_batches;
use hindcast_scan::{Report, ResultTable, ScanResult};
use hindcast_server::jobs::{FINDINGS, SUPPRESSED, error_kind_of, is_open};

use waiting::Waiting;

/// Largest accepted answer, in bytes.
const ANSWER_BYTES: usize = 64 << 20;
/// Longest configuration that is sent inside a request; longer ones are uploaded first.
const INLINE_CONFIG_BYTES: usize = 64 << 10;
/// Bytes of one part of an uploaded configuration.
const CONFIG_PART_BYTES: usize = 64 << 10;

/// How to reach a coordinator.
#[derive(Debug, Clone, clap::Args)]
pub struct Connection {
    /// Address of a coordinator: HOST:PORT
    #[arg(long, value_name = "URL")]
    pub coordinator: String,
    #[command(flatten)]
    pub credentials: Credentials,
}

/// Credentials for a coordinator.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Credentials {
    /// Folder with ca.crt, tls.crt and tls.key
    #[arg(long, value_name = "DIR")]
    pub tls: Option<PathBuf>,
    /// File with the bearer token [default: the environment variable HINDCAST_TOKEN]
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Allow plain text to a coordinator that is not on this machine
    #[arg(long)]
    pub insecure: bool,
}

type AuthorizedChannel = InterceptedService<Channel, Bearer>;

/// A connected client. Clones share the connection.
#[derive(Clone)]
pub struct Client {
    jobs: JobsClient<AuthorizedChannel>,
    results: FlightServiceClient<AuthorizedChannel>,
    address: Arc<str>,
    /// Hashes of the configurations that were uploaded.
    uploaded: Arc<Mutex<BTreeSet<String>>>,
}

/// Adds the token to each call. The token is not part of `Debug` output.
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
    /// A client of the coordinator at `address`, which connects with its first call.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the certificates, the token or the address can't be used.
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
            address: address.into(),
            uploaded: Arc::default(),
        })
    }

    /// Submits a scan under a new id. Retries while the coordinator can't be reached; the id makes sure that it is one job.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the coordinator refuses it.
    pub async fn submit(&mut self, mut scan: ScanRequest) -> Result<Job> {
        if scan.config.len() > INLINE_CONFIG_BYTES {
            scan.config_hash = self.upload_config(&scan.config).await?;
            scan.config = String::new();
        }
        if scan.detections.len() > INLINE_CONFIG_BYTES {
            scan.detections_hash = self.upload_config(&scan.detections).await?;
            scan.detections = String::new();
        }
        let id = uuid::Uuid::now_v7().to_string();
        let submit = || {
            let (mut jobs, request) =
                (self.jobs.clone(), SubmitRequest { id: id.clone(), scan: Some(scan.clone()) });
            async move { jobs.submit(request).await }
        };
        Ok(self.until_answered(submit).await?.into_inner())
    }

    /// Uploads a configuration that is too long for a request. Returns the hash by which requests reference it.
    async fn upload_config(&mut self, config: &str) -> Result<String> {
        let hash = blake3::hash(config.as_bytes()).to_hex().to_string();
        if self.uploaded.lock().await.contains(&hash) {
            return Ok(hash);
        }
        let upload = || {
            let mut jobs = self.jobs.clone();
            let parts = config.as_bytes().chunks(CONFIG_PART_BYTES);
            let parts: Vec<ConfigPart> = parts.map(|part| ConfigPart { text: part.to_vec() }).collect();
            async move { jobs.keep_config(stream::iter(parts)).await }
        };
        let hash = self.until_answered(upload).await?.into_inner().hash;
        self.uploaded.lock().await.insert(hash.clone());
        Ok(hash)
    }

    /// The current state of a job, with its report if it is done.
    ///
    /// # Errors
    /// If the job does not exist, or the coordinator refuses or does not answer.
    pub async fn get(&mut self, id: &str) -> Result<Job> {
        let get = || {
            let (mut jobs, id) = (self.jobs.clone(), JobId { id: id.to_owned() });
            async move { jobs.get(id).await }
        };
        Ok(self.until_answered(get).await?.into_inner())
    }

    /// All jobs, newest first.
    ///
    /// # Errors
    /// If the coordinator refuses or does not answer.
    pub async fn list(&mut self) -> Result<Vec<Job>> {
        let listed = self.jobs.list(ListRequest {}).await.map_err(error_of)?;
        Ok(listed.into_inner().jobs)
    }

    /// Cancels a job.
    ///
    /// # Errors
    /// If the job does not exist, or the coordinator refuses or does not answer.
    pub async fn cancel(&mut self, id: &str) -> Result<Job> {
        let job = self.jobs.cancel(JobId { id: id.to_owned() }).await.map_err(error_of)?;
        Ok(job.into_inner())
    }

    /// Calls `on_change` for every change of a job until the job has ended. Returns the ended job. If the coordinator restarts
    /// in between, the client waits for it.
    ///
    /// # Errors
    /// If the job does not exist, or the coordinator refuses or does not answer.
    pub async fn watch(&mut self, id: &str, mut on_change: impl FnMut(&Job)) -> Result<Job> {
        let (mut waits, address) = (COORDINATOR.waits(), Arc::clone(&self.address));
        let mut waiting = Waiting::new(&address);
        loop {
            let status = match self.jobs.watch(JobId { id: id.to_owned() }).await {
                Ok(changes) => {
                    let mut changes = changes.into_inner();
                    while let Some(Ok(job)) = changes.next().await {
                        (waits, waiting) = (COORDINATOR.waits(), Waiting::new(&address));
                        on_change(&job);
                        if !is_open(&job) {
                            return Ok(job);
                        }
                    }
                    Status::unavailable("the coordinator closed the connection")
                }
                Err(status) => status,
            };
            match waits.next() {
                Some(wait) if may_answer_later(&status) => {
                    waiting.add(&status, wait);
                    tokio::time::sleep(wait).await;
                }
                _ => return Err(error_of(status)),
            }
        }
    }

    /// All results of a finished job.
    ///
    /// # Errors
    /// If the results can't be fetched.
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

    /// The report of a finished job.
    ///
    /// # Errors
    /// If the report can't be fetched or parsed.
    pub async fn report<T: DeserializeOwned>(&mut self, id: &str) -> Result<T> {
        let job = self.get(id).await?;
        serde_json::from_str(&job.report)
            .map_err(|error| Error::Data(format!("the report of job {id} can't be read: {error}")))
    }

    /// A table of a job. If the coordinator restarts meanwhile, the client waits for it and fetches the table again.
    async fn table(&mut self, id: &str, name: &str) -> Result<Vec<RecordBatch>> {
        self.until_answered(|| self.try_table(id, name)).await
    }

    /// The answer of `call`, which is retried while the coordinator can't be reached: it may be restarting.
    async fn until_answered<T, F: Future<Output = std::result::Result<T, Status>>>(
        &self,
        call: impl FnMut() -> F,
    ) -> Result<T> {
        let mut waiting = Waiting::new(&self.address);
        let on_retry = |status: &Status, wait: Duration| waiting.add(status, wait);
        COORDINATOR.retry(call, may_answer_later, on_retry).await.map_err(error_of)
    }

    async fn try_table(&self, id: &str, name: &str) -> std::result::Result<Vec<RecordBatch>, Status> {
        let ticket = Ticket::new(format!("{id}/{name}"));
        let data = self.results.clone().do_get(ticket).await?.into_inner();
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
            (true, None) => Err(Status::data_loss(format!("fetching {name}: the answer has no schema"))),
            (false, _) => Ok(batches),
        }
    }
}

/// Fails unless an ended job is done.
///
/// # Errors
/// An error of the kind that ended the job.
pub fn check_done(job: &Job) -> Result<()> {
    match job.state() {
        JobState::Done => Ok(()),
        JobState::Cancelled => Err(Error::Conflict(format!("job {} was cancelled", job.id))),
        _ => Err(Error::of_kind(error_kind_of(job.error_kind()), job.error.clone())),
    }
}

fn token(credentials: &Credentials) -> Result<Option<MetadataValue<Ascii>>> {
    let text = match &credentials.token_file {
        Some(path) => std::fs::read_to_string(path)
            .map_err(|error| Error::Invalid(format!("reading the token {}: {error}", path.display())))?,
        None => std::env::var("HINDCAST_TOKEN").unwrap_or_default(),
    };
    if text.trim().is_empty() {
        return Ok(None);
    }
    let mut value: MetadataValue<Ascii> = format!("Bearer {}", text.trim())
        .parse()
        .map_err(|_| Error::Invalid("the token has characters that are not allowed in a header".into()))?;
    value.set_sensitive(true);
    Ok(Some(value))
}

/// Whether another attempt may get an answer.
fn may_answer_later(status: &Status) -> bool {
    kind_of(status) == ErrorKind::Unavailable && TlsFault::of(status).is_none()
}

/// The error of a status, with what the user can do about it.
fn error_of(status: Status) -> Error {
    let (kind, text) = (kind_of(&status), message_of(&status));
    let text = match kind {
        ErrorKind::Denied => format!("the coordinator refuses: {text}"),
        ErrorKind::Busy => format!("the coordinator is busy: {text}"),
        ErrorKind::Unavailable => match TlsFault::of(&status) {
            Some(fault) => format!("the coordinator does not answer: {fault}"),
            None => format!("the coordinator does not answer: {text}"),
        },
        ErrorKind::InvalidInput if status.code() == Code::OutOfRange => format!(
            "a message to or from the coordinator is too long: {text}; the coordinator's limits.request_bytes limits requests, \
             and its limits.message_bytes and this client's {ANSWER_BYTES} bytes limit answers"
        ),
        ErrorKind::InvalidInput
        | ErrorKind::NotFound
        | ErrorKind::Conflict
        | ErrorKind::Data
        | ErrorKind::Internal => text,
    };
    Error::of_kind(kind, text)
}

#[cfg(test)]
mod tests {
    use hindcast_node::status_of;
    use hindcast_proto::v1;

    use super::*;

    #[test]
    fn errors_of_the_coordinator_keep_their_kind() {
        for kind in ErrorKind::ALL {
            let received = error_of(status_of(Error::of_kind(kind, "the lake s3://b/l")));
            assert_eq!(received.kind(), kind);
            assert!(received.to_string().ends_with("the lake s3://b/l"), "{received}");
        }
    }

    #[test]
    fn only_a_coordinator_that_does_not_answer_is_called_again() {
        for kind in ErrorKind::ALL {
            let status = status_of(Error::of_kind(kind, "text"));
            assert_eq!(may_answer_later(&status), kind == ErrorKind::Unavailable, "{kind:?}");
        }
        assert!(may_answer_later(&Status::unknown("broken pipe")));
        assert!(!may_answer_later(&Status::unauthenticated("no token")));
    }

    #[test]
    fn a_message_that_is_too_long_names_the_limits() {
        let error = error_of(Status::out_of_range("decoded message length too large"));
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("limits.request_bytes"), "{error}");
    }

    #[test]
    fn a_job_that_is_not_done_fails_with_the_kind_that_ended_it() {
        let job = |state: JobState, kind: v1::ErrorKind| Job {
            id: "one".into(),
            state: state.into(),
            error: "there is no lake".into(),
            error_kind: kind.into(),
            ..Job::default()
        };
        assert!(check_done(&job(JobState::Done, v1::ErrorKind::Unspecified)).is_ok());
        let failed = check_done(&job(JobState::Failed, v1::ErrorKind::InvalidInput)).unwrap_err();
        assert_eq!(
            (failed.kind(), failed.to_string().as_str()),
            (ErrorKind::InvalidInput, "there is no lake")
        );
        let unreadable = check_done(&job(JobState::Unreadable, v1::ErrorKind::Unspecified)).unwrap_err();
        assert_eq!(unreadable.kind(), ErrorKind::Internal);
        let cancelled = check_done(&job(JobState::Cancelled, v1::ErrorKind::Unspecified)).unwrap_err();
        assert_eq!(
            (cancelled.kind(), cancelled.to_string().as_str()),
            (ErrorKind::Conflict, "job one was cancelled")
        );
    }
}
