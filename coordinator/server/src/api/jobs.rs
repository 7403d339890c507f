//! The gRPC service for jobs.

use std::pin::Pin;
use std::sync::Arc;

use futures::{Stream, stream};
use hindcast_base::Error;
use hindcast_node::status_of;
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
                return Err(status_of(Error::Invalid(format!(
                    "the configuration is longer than {most} bytes, the coordinator's limits.config_bytes"
                ))));
            }
        }
        let hash = self.manager.store_config(text).await.map_err(status_of)?;
        Ok(Response::new(KeptConfig { hash }))
    }

    async fn submit(&self, request: Request<SubmitRequest>) -> Result<Response<Job>, Status> {
        let by = self.tokens.check(request.metadata(), Role::Submit)?;
        let SubmitRequest { id, scan } = request.into_inner();
        let scan = scan.ok_or_else(|| status_of(Error::Invalid("the request names no scan".into())))?;
        let job = self.manager.submit(&id, scan, &by).await;
        job.map(Response::new).map_err(status_of)
    }

    async fn get(&self, request: Request<JobId>) -> Result<Response<Job>, Status> {
        self.tokens.check(request.metadata(), Role::Read)?;
        let id = request.into_inner().id;
        let mut job = self.manager.snapshot(&id).map_err(status_of)?;
        if job.state() == JobState::Done {
            let report = self.manager.results().report(&id).await.map_err(status_of)?;
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
        let job = self.manager.cancel(&id).await.map_err(status_of)?;
        if is_open(&job) {
            let why = if job.error.is_empty() { "its end is being stored" } else { job.error.as_str() };
            let text = format!("job {id} was stopped, but has not ended yet: {why}");
            return Err(status_of(Error::Conflict(text)));
        }
        Ok(Response::new(job))
    }

    async fn watch(&self, request: Request<JobId>) -> Result<Response<Self::WatchStream>, Status> {
        self.tokens.check(request.metadata(), Role::Read)?;
        let id = request.into_inner().id;
        let changes = self.manager.watch(&id).map_err(status_of)?;
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
