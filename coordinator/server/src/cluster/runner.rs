//! What a task batch needs of the cluster, as a trait, so that retries can be tested without workers.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use ballista_core::JobId;
use ballista_core::serde::protobuf::job_status;
use datafusion::physical_plan::ExecutionPlan;

use super::Inner;
use super::job_status::{JobStatus, ResultLocation, job_status_of};

/// Runs Ballista jobs.
#[async_trait]
pub(super) trait TaskRunner: Send + Sync {
    /// Whether there is a worker.
    fn has_workers(&self) -> bool;

    /// Submits a plan with one partition per task.
    ///
    /// # Errors
    /// Ballista's message.
    async fn submit(&self, plan: Arc<dyn ExecutionPlan>) -> Result<JobId, String>;

    /// The status of a submitted job.
    async fn status(&self, job: &JobId) -> JobStatus;

    /// All rows of a partition.
    ///
    /// # Errors
    /// Why the rows could not be fetched. A later attempt may succeed.
    async fn fetch(&self, location: &ResultLocation) -> Result<Vec<RecordBatch>, String>;

    /// Records that the rows of a partition have been passed on: it never runs again in this job, even if its worker is lost.
    fn delivered(&self, job: &JobId, partition: usize);

    /// Wakes the workers that wait for work: a lost worker's tasks are ready again.
    fn announce(&self);

    /// Whether a worker has reported to be idle for longer than `length`.
    fn has_been_idle_for(&self, worker: &str, length: Duration) -> bool;

    /// Cancels a job in the background if it has not ended.
    fn cancel(&self, job: JobId);
}

#[async_trait]
impl TaskRunner for Inner {
    fn has_workers(&self) -> bool {
        self.scheduler.is_ready()
    }

    async fn submit(&self, plan: Arc<dyn ExecutionPlan>) -> Result<JobId, String> {
        let name = plan.name().to_owned();
        let session = Arc::clone(&self.session);
        let job = self.scheduler.submit_physical_plan(&name, session, plan, None).await;
        job.map_err(|error| error.to_string())
    }

    async fn status(&self, job: &JobId) -> JobStatus {
        job_status_of(&self.scheduler, job).await
    }

    async fn fetch(&self, location: &ResultLocation) -> Result<Vec<RecordBatch>, String> {
        self.fetcher.fetch(location).await
    }

    fn delivered(&self, job: &JobId, partition: usize) {
        self.delivered.add(job, partition);
    }

    fn announce(&self) {
        self.work.notify_waiters();
    }

    fn has_been_idle_for(&self, worker: &str, length: Duration) -> bool {
        self.idle.has_been_for(worker, length)
    }

    fn cancel(&self, job: JobId) {
        self.delivered.forget(&job);
        let scheduler = self.scheduler.clone();
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            let status = scheduler.state.task_manager.get_job_status(&job).await;
            let is_ended = matches!(
                status.ok().flatten().and_then(|status| status.status),
                Some(job_status::Status::Successful(_) | job_status::Status::Failed(_))
            );
            if !is_ended && let Err(error) = scheduler.cancel_job(job).await {
                tracing::warn!(%error, "a Ballista job could not be cancelled");
            }
        });
    }
}
