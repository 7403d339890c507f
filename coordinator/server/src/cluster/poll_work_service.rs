//! The service that workers poll for tasks. An idle worker gets its answer when there is work, so that many idle workers
//! cost little: otherwise each would poll twenty times per second.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use ballista_core::serde::protobuf::scheduler_grpc_server::SchedulerGrpc;
use ballista_core::serde::protobuf::{
    CancelJobParams, CancelJobResult, CleanJobDataParams, CleanJobDataResult, CreateUpdateSessionParams,
    CreateUpdateSessionResult, ExecuteQueryParams, ExecuteQueryResult, ExecutorStoppedParams,
    ExecutorStoppedResult, GetJobMetricsParams, GetJobMetricsResult, GetJobStatusParams, GetJobStatusResult,
    HeartBeatParams, HeartBeatResult, PollWorkParams, PollWorkResult, RegisterExecutorParams,
    RegisterExecutorResult, RemoveSessionParams, RemoveSessionResult, UpdateTaskStatusParams,
    UpdateTaskStatusResult,
};
use ballista_core::serde::scheduler::ExecutorSpecification;
use futures::stream::BoxStream;
use hindcast_node::MAX_TASKS_PER_POLL;
use tokio::sync::Notify;
use tonic::{Request, Response, Status};

use super::Scheduler;
use super::delivered::{Delivered, done};
use super::idle::IdleWorkers;

type Answer<T> = Result<Response<T>, Status>;

/// Ballista's scheduler as workers see it.
pub struct PollWorkService {
    pub(super) scheduler: Scheduler,
    /// Wakes all waiting polls when a job has tasks.
    pub(super) work: Arc<Notify>,
    /// Longest time that a poll waits for work; well below the worker timeout.
    pub(super) poll_wait: Duration,
    /// Workers that report that they have nothing to do.
    pub(super) idle: Arc<IdleWorkers>,
    /// Partitions that don't run again.
    pub(super) delivered: Arc<Delivered>,
}

impl PollWorkService {
    /// Whether the polling worker is registered, runs no task and has no status to report. Other workers must not wait: a
    /// worker reports the end of a task with its next poll.
    fn is_idle(&self, poll: &PollWorkParams) -> bool {
        let Some(worker) = &poll.metadata else { return false };
        let Some(specification) = &worker.specification else { return false };
        let slots: ExecutorSpecification = specification.clone().into();
        poll.task_status.is_empty()
            && poll.num_free_vcores >= slots.vcores
            && self.scheduler.state.executor_manager.get_executor_hearbeat(&worker.id).is_some()
    }

    /// The scheduler's answer to a poll, without the tasks of a lost worker whose rows have been delivered. These are
    /// reported as done, and others are requested in their place.
    async fn poll(&self, request: Request<PollWorkParams>) -> Answer<PollWorkResult> {
        let (metadata, extensions, mut poll) = request.into_parts();
        let worker = poll.metadata.as_ref().map(|worker| worker.id.clone()).unwrap_or_default();
        let mut given = PollWorkResult::default();
        loop {
            let request = Request::from_parts(metadata.clone(), extensions.clone(), poll.clone());
            let answer = self.scheduler.poll_work(request).await?.into_inner();
            let (to_run, repeated) = self.delivered.split(answer.tasks);
            poll.num_free_vcores = poll.num_free_vcores.saturating_sub(to_run.len() as u32);
            poll.task_status = repeated.iter().map(|task| done(task, &worker)).collect();
            given.tasks.extend(to_run);
            given.jobs_to_clean.extend(answer.jobs_to_clean);
            if repeated.is_empty() {
                return Ok(Response::new(given));
            }
        }
    }
}

#[tonic::async_trait]
impl SchedulerGrpc for PollWorkService {
    async fn poll_work(&self, mut request: Request<PollWorkParams>) -> Answer<PollWorkResult> {
        let is_idle = self.is_idle(request.get_ref());
        let worker = request.get_ref().metadata.as_ref().map(|worker| worker.id.clone()).unwrap_or_default();
        let since = self.idle.polls(&worker);
        let poll = request.get_mut();
        poll.num_free_vcores = poll.num_free_vcores.min(MAX_TASKS_PER_POLL);
        // Listen before looking for tasks, so that tasks that arrive in between are not missed.
        let mut work = pin!(self.work.notified());
        work.as_mut().enable();
        let answer = self.poll(request).await?;
        let has_nothing = answer.get_ref().tasks.is_empty() && answer.get_ref().jobs_to_clean.is_empty();
        if is_idle && has_nothing {
            self.idle.set_idle(worker, since);
            // The worker polls again by itself, either because there is work or because the wait has ended.
            let _ = tokio::time::timeout(self.poll_wait, work).await;
        }
        Ok(answer)
    }

    async fn register_executor(&self, _: Request<RegisterExecutorParams>) -> Answer<RegisterExecutorResult> {
        Err(unused())
    }

    async fn heart_beat_from_executor(&self, _: Request<HeartBeatParams>) -> Answer<HeartBeatResult> {
        Err(unused())
    }

    async fn update_task_status(&self, _: Request<UpdateTaskStatusParams>) -> Answer<UpdateTaskStatusResult> {
        Err(unused())
    }

    async fn create_update_session(
        &self,
        _: Request<CreateUpdateSessionParams>,
    ) -> Answer<CreateUpdateSessionResult> {
        Err(unused())
    }

    async fn remove_session(&self, _: Request<RemoveSessionParams>) -> Answer<RemoveSessionResult> {
        Err(unused())
    }

    type ExecuteQueryPushStream = BoxStream<'static, Result<GetJobStatusResult, Status>>;

    async fn execute_query_push(
        &self,
        _: Request<ExecuteQueryParams>,
    ) -> Answer<Self::ExecuteQueryPushStream> {
        Err(unused())
    }

    async fn execute_query(&self, _: Request<ExecuteQueryParams>) -> Answer<ExecuteQueryResult> {
        Err(unused())
    }

    async fn get_job_status(&self, _: Request<GetJobStatusParams>) -> Answer<GetJobStatusResult> {
        Err(unused())
    }

    async fn get_job_metrics(&self, _: Request<GetJobMetricsParams>) -> Answer<GetJobMetricsResult> {
        Err(unused())
    }

    /// A worker leaves: its unfinished tasks go to other workers at once, and not after the worker timeout.
    async fn executor_stopped(
        &self,
        request: Request<ExecutorStoppedParams>,
    ) -> Answer<ExecutorStoppedResult> {
        tracing::info!(worker = request.get_ref().executor_id, "a worker has left");
        self.scheduler.executor_stopped(request).await
    }

    async fn cancel_job(&self, _: Request<CancelJobParams>) -> Answer<CancelJobResult> {
        Err(unused())
    }

    async fn clean_job_data(&self, _: Request<CleanJobDataParams>) -> Answer<CleanJobDataResult> {
        Err(unused())
    }
}

/// The rest of Ballista's protocol is for push-based workers and for clients. Clients have their own service here.
fn unused() -> Status {
    Status::unimplemented("this service only answers workers that poll for tasks")
}
