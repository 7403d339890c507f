//! How jobs end: one task sees each through, and writes its end down until it is written.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use hindcast_common::retry::with_retries;
use hindcast_common::{Error, Result};
use hindcast_proto::v1::{Job, JobState};
use tokio::sync::{Notify, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};
use tracing::Instrument;

use super::run::run_job;
use super::{FINISHED, JobManager, is_open, now_us, state_name};

/// Longest that one attempt to write an end down may take.
const LONGEST_ATTEMPT: Duration = Duration::from_secs(90);
/// Wait before the second attempt; doubled for each further one.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// Longest such wait.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Longest that whoever cancels a job waits for its end.
const CANCEL_WAIT: Duration = Duration::from_secs(10);
/// Time in which workers give up the tasks of a job that has ended early.
const LAST_TASKS: Duration = Duration::from_secs(10);

/// Runs the job in `sender` until it has ended or `stop` is told, and writes its end down. It alone does: whoever cancels
/// only tells `stop`, so a job that is open always has a task that ends it.
pub(super) async fn see_through(manager: Arc<JobManager>, sender: watch::Sender<Job>, stop: Arc<Notify>) {
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
            is_bad_request: matches!(error, Error::Config(_) | Error::Denied(_)),
            ..job.clone()
        },
    };
    manager.end(ended, &sender, &stop).await;
    if !matches!(result, Some(Ok(()))) {
        // What its last tasks leave goes too.
        work.shutdown().await;
        manager.forget_state(&job).await;
        sleep(LAST_TASKS).await;
        manager.forget_state(&job).await;
    }
}

/// What a job's task came to.
async fn result_of(joined: Option<Result<Result<()>, JoinError>>) -> Result<()> {
    match joined.map(|joined| joined.map_err(JoinError::try_into_panic)) {
        Some(Ok(result)) => result,
        Some(Err(Ok(panic))) => Err(error_of(&*panic)),
        // It was stopped, and not by us: the process ends, and the next one goes on with the job.
        Some(Err(Err(_))) | None => std::future::pending().await,
    }
}

/// What `work` comes to. A panic in it is a failure like others.
pub(super) async fn catch_panic<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let ended = AssertUnwindSafe(work).catch_unwind().await;
    ended.unwrap_or_else(|panic| Err(error_of(&*panic)))
}

fn error_of(panic: &(dyn Any + Send)) -> Error {
    let told = match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => *text,
        (None, Some(text)) => text.as_str(),
        (None, None) => "it left no message",
    };
    Error::Internal(format!("an error in Hindcast broke the job off: {told}"))
}

impl JobManager {
    /// Ends a job that has not ended. One that is still open in the answer has been told to stop, and its end can't be
    /// written down yet: that is tried until it can.
    ///
    /// # Errors
    /// [`Error::Config`] where there is none of that id.
    pub async fn cancel(&self, id: &str) -> Result<Job> {
        let found = self.entries().get(id).map(|entry| (entry.job.subscribe(), Arc::clone(&entry.stop)));
        let Some((mut changes, stop)) = found else {
            return Err(Error::Config(format!("there is no job {id}")));
        };
        let has_to_stop = is_open(&changes.borrow());
        if has_to_stop {
            stop.notify_one();
            let told = async {
                while changes.changed().await.is_ok() {
                    if is_ended_or_says_why_not(&changes.borrow_and_update()) {
                        break;
                    }
                }
            };
            // Who asked is not kept for as long as a store stays away.
            let _ = timeout(CANCEL_WAIT, told).await;
        }
        let job = changes.borrow().clone();
        Ok(job)
    }

    /// Writes a job down as ended, until it is written, and tells those who watch it. The first end counts. `again` ends
    /// the wait for the next attempt.
    async fn end(&self, job: Job, sender: &watch::Sender<Job>, again: &Notify) {
        let job = Job { ended_us: now_us(), ..job };
        let mut wait = FIRST_WAIT;
        let ended = loop {
            let attempt = timeout(LONGEST_ATTEMPT, self.store.end(&job)).await;
            let error = match attempt {
                Ok(Ok(ended)) => break ended,
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!("the store did not answer within {LONGEST_ATTEMPT:?}"),
            };
            tracing::error!(job = job.id, error, "the end of a job could not be written down: trying again");
            let told = format!("its end can't be written down yet: {error}");
            sender.send_modify(|job| job.error = told);
            tokio::select! {
                () = sleep(wait) => {}
                () = again.notified() => {}
            }
            wait = LONGEST_WAIT.min(2 * wait);
        };
        FINISHED.with_label_values(&[state_name(ended.state())]).inc();
        tracing::info!(job = ended.id, state = ended.state().as_str_name(), error = ended.error, "job ended");
        sender.send_replace(ended);
        self.count();
    }

    /// Removes the state that a job without a cache keeps for itself.
    pub(super) async fn forget_state(&self, job: &Job) {
        if job.scan.as_ref().is_some_and(|scan| scan.no_cache)
            && let Err(error) = with_retries(|| self.store.remove(&job.id, "state")).await
        {
            tracing::warn!(%error, "the state of a job without a cache could not be removed");
        }
    }
}

fn is_ended_or_says_why_not(job: &Job) -> bool {
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
        for (row, told) in [(None, "broke the job off: no row"), (Some(7), "broke the job off: no row 7")] {
            let error = catch_panic(broken(row)).await.unwrap_err().to_string();
            assert!(error.ends_with(told), "{error}");
        }
        // One beyond that ends its task, and the job too.
        let mut work = JoinSet::new();
        work.spawn(broken(None));
        let error = result_of(work.join_next().await).await.unwrap_err();
        assert!(error.to_string().ends_with("no row"), "{error}");
    }

    #[tokio::test]
    async fn a_task_that_the_process_stops_ends_no_job() {
        let mut work = JoinSet::new();
        work.spawn(std::future::pending::<Result<()>>());
        work.abort_all();
        let result = result_of(work.join_next().await);
        assert!(timeout(Duration::from_millis(50), result).await.is_err());
    }
}
