//! The gRPC service for jobs.

use std::pin::Pin;
use std::sync::Arc;

use futures::{Stream, stream};
use hindcast_base::Error;
use hindcast_proto::v1::jobs_server::Jobs;
use hindcast_proto::v1::{ConfigPart, Job, JobId, JobList, JobState, KeptConfig, ListRequest, SubmitRequest};
use tonic::{Request, Response, Status, Streaming};

use super::access::AccessTokens;
use super::settings::{Limits, Role};
use crate::jobs::{JobManager, is_open};

pub(super) struct JobsApi {
    manager: Arc<JobManager>,
    tokens: Arc<AccessTokens>,
    limits: Limits,
}

impl JobsApi {
    pub(super) fn new(manager: Arc<JobManager>, tokens: Arc<AccessTokens>, limits: Limits) -> Self {
        Self { manager, tokens, limits }
    }
}

/// The gRPC status of an error.
pub(super) fn status_of(error: &Error) -> Status {
    match error {
        Error::Config(text) => Status::invalid_argument(text.clone()),
        Error::Denied(text) => Status::permission_denied(text.clone()),
        Error::Storage { .. } => Status::unavailable(error.to_string()),
        Error::Busy(text) => Status::resource_exhausted(text.clone()),
        other => Status::internal(other.to_string()),
    }
}

fn unknown(id: &str) -> Status {
    Status::not_found(format!("there is no job {id}"))
}

#[tonic::async_trait]
impl Jobs for JobsApi {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<Job, Status>> + Send>>;

    async fn keep_config(
        &self,
        request: Request<Streaming<ConfigPart>>,
    ) -> Result<Response<KeptConfig>, Status> {
        self.tokens.check(request.metadata(), Role::Submit)?;
        let mut parts = request.into_inner();
        let mut text = Vec::new();
        while let Some(part) = parts.message().await? {
            text.extend(part.text);
            let most = self.limits.config_bytes;
            if text.len() > most {
                return Err(Status::invalid_argument(format!(
                    "the configuration is longer than {most} bytes, the coordinator's limits.config_bytes"
                )));
            }
        }
        let hash = self.manager.store_config(text).await.map_err(|error| status_of(&error))?;
        Ok(Response::new(KeptConfig { hash }))
    }

    async fn submit(&self, request: Request<SubmitRequest>) -> Result<Response<Job>, Status> {
        let by = self.tokens.check(request.metadata(), Role::Submit)?;
        let SubmitRequest { id, scan } = request.into_inner();
        let scan = scan.ok_or_else(|| Status::invalid_argument("the request names no scan"))?;
        let job = self.manager.submit(&id, scan, &by).await;
        job.map(Response::new).map_err(|error| status_of(&error))
    }

    async fn get(&self, request: Request<JobId>) -> Result<Response<Job>, Status> {
        self.tokens.check(request.metadata(), Role::Read)?;
        let id = request.into_inner().id;
        let mut job = self.manager.snapshot(&id).ok_or_else(|| unknown(&id))?;
        if job.state() == JobState::Done {
            let report = self.manager.results().report(&id).await.map_err(|error| status_of(&error))?;
            job.report = report.unwrap_or_default();
        }
        Ok(Response::new(job))
    }

    async fn list(&self, request: Request<ListRequest>) -> Result<Response<JobList>, Status> {
        self.tokens.check(request.metadata(), Role::Read)?;
        Ok(Response::new(JobList { jobs: self.manager.list() }))
    }

    async fn cancel(&self, request: Request<JobId>) -> Result<Response<Job>, Status> {
        self.tokens.check(request.metadata(), Role::Submit)?;
        let id = request.into_inner().id;
        self.manager.snapshot(&id).ok_or_else(|| unknown(&id))?;
        let job = self.manager.cancel(&id).await.map_err(|error| status_of(&error))?;
        if is_open(&job) {
            let why = if job.error.is_empty() { "its end is being stored" } else { job.error.as_str() };
            return Err(Status::aborted(format!("job {id} was stopped, but has not ended yet: {why}")));
        }
        Ok(Response::new(job))
    }

    async fn watch(&self, request: Request<JobId>) -> Result<Response<Self::WatchStream>, Status> {
        self.tokens.check(request.metadata(), Role::Read)?;
        let id = request.into_inner().id;
        let changes = self.manager.watch(&id).ok_or_else(|| unknown(&id))?;
        // The current state, then each change. The last one is the end of the job.
        let states = stream::unfold(Some((changes, true)), |state| async move {
            let (mut changes, is_first) = state?;
            if !is_first {
                changes.changed().await.ok()?;
            }
            let job = changes.borrow_and_update().clone();
            let next = is_open(&job).then_some((changes, false));
            Some((Ok(job), next))
        });
        Ok(Response::new(Box::pin(states)))
    }
}
