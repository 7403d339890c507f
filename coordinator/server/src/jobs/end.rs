//! Ends jobs: one task runs each job and retries until its end is stored.

use std::sync::Arc;
use std::time::Duration;

use hindcast_base::catch_panic::{catch_panic, panic_text};
use hindcast_base::retry::{JOB_ENDS, with_retries};
use hindcast_base::{Error, Result};
use hindcast_proto::v1::{Job, JobState};
use tokio::sync::{Notify, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};
use tracing::Instrument;

use super::run::run_job;
use super::wire::wire_error_kind;
use super::{FINISHED, JobManager, is_open, now_us, state_name};

/// Longest time of one attempt to store the end of a job.
const LONGEST_ATTEMPT: Duration = Duration::from_secs(90);
/// Longest time that a request to cancel a job waits for its end.
const CANCEL_WAIT: Duration = Duration::from_secs(10);
/// Time in which workers abort the tasks of a job that was stopped early.
const LAST_TASKS: Duration = Duration::from_secs(10);

/// Runs the job in `sender` until it has ended or `stop` is notified, and stores its end. Nothing else does: a request to
/// cancel only notifies `stop`, so every open job has a task that ends it.
pub(super) async fn run_to_end(manager: Arc<JobManager>, sender: watch::Sender<Job>, stop: Arc<Notify>) {
    let mut work = JoinSet::new();
    work.spawn(run_job(Arc::clone(&manager), sender.clone()).in_current_span());
    let result = tokio::select! {
        joined = work.join_next() => Some(result_of(joined).await),
        () = stop.notified() => None,
    };
    work.abort_all();
    let job = sender.borrow().clone();
    let ended = match &result {
        None => Job { state: JobState::Cancelled.into(), ..job.clone() },
        Some(Ok(())) => Job { state: JobState::Done.into(), ..job.clone() },
        Some(Err(error)) => Job {
            state: JobState::Failed.into(),
            error: error.to_string(),
            error_kind: wire_error_kind(error.kind()).into(),
            ..job.clone()
        },
    };
    manager.end(ended, &sender, &stop).await;
    if !matches!(result, Some(Ok(()))) {
        // Also remove what the last tasks write.
        work.shutdown().await;
        manager.remove_state(&job).await;
        sleep(LAST_TASKS).await;
        manager.remove_state(&job).await;
    }
}

/// The result of a job's task.
async fn result_of(joined: Option<Result<Result<()>, JoinError>>) -> Result<()> {
    match joined.map(|joined| joined.map_err(JoinError::try_into_panic)) {
        Some(Ok(result)) => result,
        Some(Err(Ok(panic))) => Err(stopped_by(panic_text(&*panic))),
        // The runtime stopped it: the process is ending, and the next process continues the job.
        Some(Err(Err(_))) | None => std::future::pending().await,
    }
}

/// The result of `work`. A panic in it is a failure like others.
pub(super) async fn fail_on_panic<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    catch_panic(work).await.unwrap_or_else(|message| Err(stopped_by(&message)))
}

fn stopped_by(panic: &str) -> Error {
    Error::Internal(format!("an error in Hindcast stopped the job: {panic}"))
}

impl JobManager {
    /// Cancels a job that has not ended. If the job in the answer is still open, its work was stopped but its end could not be
    /// stored yet; the manager retries until it is stored.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no job with this id.
    pub async fn cancel(&self, id: &str) -> Result<Job> {
        let (mut changes, stop) =
            self.with_entry(id, |entry| (entry.job.subscribe(), Arc::clone(&entry.stop)))?;
        let has_to_stop = is_open(&changes.borrow());
        if has_to_stop {
            stop.notify_one();
            let answer = async {
                while changes.changed().await.is_ok() {
                    if is_ended_or_has_error(&changes.borrow_and_update()) {
                        break;
                    }
                }
            };
            // Don't keep the caller waiting while the store is unavailable.
            let _ = timeout(CANCEL_WAIT, answer).await;
        }
        let job = changes.borrow().clone();
        Ok(job)
    }

    /// Stores the end of a job, retrying until it is stored, and notifies its watchers. The first stored end counts. `again`
    /// cuts the wait before the next attempt short.
    async fn end(&self, job: Job, sender: &watch::Sender<Job>, again: &Notify) {
        let job = Job { ended_us: now_us(), ..job };
        let mut waits = JOB_ENDS.waits();
        let ended = loop {
            let attempt = timeout(LONGEST_ATTEMPT, self.store.end(&job)).await;
            let error = match attempt {
                Ok(Ok(ended)) => break ended,
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!("the store did not answer within {LONGEST_ATTEMPT:?}"),
            };
            tracing::error!(job = job.id, error, "the end of a job could not be stored: trying again");
            let message = format!("the end of the job can't be stored yet: {error}");
            sender.send_modify(|job| job.error = message);
            tokio::select! {
                () = sleep(waits.next().unwrap_or_default()) => {}
                () = again.notified() => {}
            }
        };
        FINISHED.with_label_values(&[state_name(ended.state())]).inc();
        tracing::info!(job = ended.id, state = state_name(ended.state()), error = ended.error, "job ended");
        sender.send_replace(ended);
        self.count();
    }

    /// Removes the state of a job that does not use the cache.
    pub(super) async fn remove_state(&self, job: &Job) {
        if job.scan.as_ref().is_some_and(|scan| scan.no_cache)
            && let Err(error) = with_retries(|| self.store.remove(&job.id, "state")).await
        {
            tracing::warn!(%error, "the state of a job without a cache could not be removed");
        }
    }
}

fn is_ended_or_has_error(job: &Job) -> bool {
    !is_open(job) || !job.error.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_fails_the_job_with_its_message() {
        async fn broken(row: Option<usize>) -> Result<()> {
            match row {
                Some(row) => panic!("no row {row}"),
                None => panic!("no row"),
            }
        }
        for (row, message) in [(None, "stopped the job: no row"), (Some(7), "stopped the job: no row 7")] {
            let error = fail_on_panic(broken(row)).await.unwrap_err().to_string();
            assert!(error.ends_with(message), "{error}");
        }
        // A panic that `fail_on_panic` does not see ends the task, and fails the job too.
        let mut work = JoinSet::new();
        work.spawn(broken(None));
        let error = result_of(work.join_next().await).await.unwrap_err();
        assert!(error.to_string().ends_with("no row"), "{error}");
    }

    #[tokio::test]
    async fn a_task_that_the_runtime_stops_does_not_end_its_job() {
        let mut work = JoinSet::new();
        work.spawn(std::future::pending::<Result<()>>());
        work.abort_all();
        let result = result_of(work.join_next().await);
        assert!(timeout(Duration::from_millis(50), result).await.is_err());
    }
}
