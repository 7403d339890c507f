//! Runs a batch of a stage's tasks to completion: submits it to Ballista, watches it, fetches its results, and submits the
//! missing tasks again when workers fail, hang or lose a result.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use ballista_core::JobId;
use datafusion::common::Result;
use datafusion::error::DataFusionError;
use datafusion::physical_plan::ExecutionPlan;
use futures::{StreamExt, stream};
use hindcast_base::Error;
use hindcast_base::retry::RetryPolicy;
use hindcast_base::storage_fault::StorageFault;
use hindcast_engine::StageTasks;
use hindcast_observability::{counters, gauge};
use prometheus::{IntCounterVec, IntGauge};
use tokio::sync::mpsc::Sender;

use super::job_status::{JobStatus, ResultLocation};
use super::runner::TaskRunner;

/// Results fetched at once.
const CONCURRENT_FETCHES: usize = 8;
/// Attempts to fetch a result from the same worker.
const FETCH_ATTEMPTS: u32 = 3;
/// Starts of a task in one Ballista job: the first one, and one more for each lost worker.
const MOST_STARTS: usize = 3;

/// When a task batch is submitted again.
#[derive(Debug, Clone)]
pub(super) struct BatchPolicy {
    /// Interval at which the status of a Ballista job is read.
    pub(super) status_interval: Duration,
    /// A job without a finished task for this long is cancelled. Doubled after each failure.
    pub(super) stall: Duration,
    /// A worker that reports to be idle for this long has lost the tasks that it was given.
    pub(super) forgotten_after: Duration,
    /// Consecutive failures after which tasks run one by one.
    pub(super) attempts: u32,
    /// The waits before further submissions.
    pub(super) back_off: RetryPolicy,
}

/// Metrics of all task batches.
pub struct Metrics {
    /// Tasks that are ready or running.
    pub(crate) queued: IntGauge,
    /// Resubmissions, by reason.
    pub retries: IntCounterVec,
}

pub(crate) static METRICS: LazyLock<Metrics> = LazyLock::new(|| Metrics {
    queued: gauge("hindcast_units_queued", "Tasks ready or running on workers"),
    retries: counters("hindcast_retries_total", "Work that was submitted again, by reason", &["reason"]),
});

/// Why a submission ended before all its tasks were done.
enum Setback {
    /// No task ended within the deadline.
    Stalled(Duration),
    /// Workers were lost with their tasks or results.
    Lost(String),
    /// The store failed while a task read it.
    Store(StorageFault),
    /// Ballista reports that the job failed.
    Failed(String),
    /// The receiver of the results was dropped, or an error occurred that a retry can't fix.
    Over(Option<DataFusionError>),
}

impl Setback {
    /// The label in metrics, and the reason for people.
    fn reason(&self) -> (&'static str, String) {
        match self {
            Setback::Stalled(limit) => ("stalled", format!("no task ended within {limit:?}")),
            Setback::Lost(what) => ("lost", what.clone()),
            Setback::Store(fault) => ("storage", fault.to_string()),
            Setback::Failed(error) => ("failed", error.clone()),
            Setback::Over(_) => ("over", String::new()),
        }
    }

    /// The error if there are no more attempts. Tasks report errors that a retry can't fix as rows; those that Ballista reports, as
    /// text, are internal.
    fn into_error(self) -> Error {
        let (_, reason) = self.reason();
        match self {
            Setback::Store(fault) => Error::Storage(fault),
            Setback::Stalled(_) | Setback::Lost(_) => Error::Unavailable(reason),
            Setback::Failed(_) | Setback::Over(_) => Error::Internal(reason),
        }
    }
}

/// What went wrong in a Ballista job whose other tasks continue.
#[derive(Default)]
struct TaskFailures {
    /// Failed attempts to fetch a task's result, by task and worker. A result that only reports a fault counts as all of them.
    fetches: HashMap<(usize, String), u32>,
    /// The last fault of a store that a task reported.
    store: Option<StorageFault>,
}

/// Tasks that are submitted together.
pub(super) struct TaskBatch {
    runner: Arc<dyn TaskRunner>,
    policy: BatchPolicy,
    tasks: Arc<StageTasks>,
    /// Tasks whose rows have not been sent to `results` yet.
    missing: Vec<usize>,
    results: Sender<Result<RecordBatch>>,
}

impl TaskBatch {
    pub(super) fn new(
        runner: Arc<dyn TaskRunner>,
        policy: BatchPolicy,
        tasks: Arc<StageTasks>,
        part: &[usize],
        results: Sender<Result<RecordBatch>>,
    ) -> Self {
        METRICS.queued.add(part.len() as i64);
        Self { runner, policy, tasks, missing: part.to_vec(), results }
    }

    /// Sends the rows of every task exactly once. For a task that can't be run it sends a row that says so.
    pub(super) async fn run(mut self) -> Result<()> {
        let (mut failures, mut waits) = (0, self.policy.back_off.waits());
        while !self.missing.is_empty() {
            // After too many failures tasks run alone: a task that crashes its worker then affects no other task.
            let runs_alone = failures >= self.policy.attempts;
            let now: Vec<usize> = if runs_alone { vec![self.missing[0]] } else { self.missing.clone() };
            self.wait_for_workers().await;
            let missing_before = self.missing.len();
            let Err(setback) = self.attempt(&now, failures).await else { continue };
            if let Setback::Over(error) = setback {
                return error.map_or(Ok(()), Err);
            }
            let (label, reason) = setback.reason();
            METRICS.retries.with_label_values(&[label]).inc();
            tracing::warn!(reason, missing = self.missing.len(), "submitting the missing tasks again");
            if runs_alone {
                let task = self.missing[0];
                let stand_in = self.tasks.given_up(task, setback.into_error())?;
                if !self.send_rows(task, vec![stand_in]).await {
                    return Ok(());
                }
                continue;
            }
            failures += 1;
            if self.missing.len() < missing_before {
                (failures, waits) = (0, self.policy.back_off.waits());
            }
            tokio::time::sleep(waits.next().unwrap_or_default()).await;
        }
        Ok(())
    }

    /// Waits until there is a worker.
    async fn wait_for_workers(&self) {
        while !self.runner.has_workers() {
            tokio::time::sleep(self.policy.status_interval * 4).await;
        }
    }

    /// Submits the tasks `now` and sends their rows as they arrive.
    async fn attempt(&mut self, now: &[usize], failures: u32) -> std::result::Result<(), Setback> {
        let plan = self.tasks.plan(now).map_err(|error| Setback::Over(Some(error)))?;
        let submitted = SubmittedJob::new(&self.runner, plan).await?;
        // Allow more time after each failure: the machine may be slow rather than stuck.
        let deadline = self.policy.stall * 2u32.pow(failures.min(4));
        let mut last_progress = Instant::now();
        let mut of_tasks = TaskFailures::default();
        loop {
            tokio::time::sleep(self.policy.status_interval).await;
            let status = self.runner.status(&submitted.job).await;
            let available = match &status {
                JobStatus::Running { results, .. } | JobStatus::Done(results) => results,
                JobStatus::Failed(error) => return Err(Setback::Failed(error.clone())),
            };
            let fetchable = self.fetchable(now, available, &of_tasks);
            if self.fetch(fetchable, &mut of_tasks).await? {
                last_progress = Instant::now();
            }
            if now.iter().all(|task| !self.missing.contains(task)) {
                return Ok(());
            }
            let has_more = !self.fetchable(now, available, &of_tasks).is_empty();
            match status {
                JobStatus::Done(_) if !has_more => {
                    // Every task writes a file, even without rows: a missing file was lost.
                    let lost = || Setback::Lost("a worker was lost with its results".into());
                    return Err(of_tasks.store.map_or_else(lost, Setback::Store));
                }
                JobStatus::Running { starts, .. } if starts > MOST_STARTS => {
                    return Err(Setback::Lost(format!(
                        "workers were lost with the same task {starts} times"
                    )));
                }
                JobStatus::Running { running, .. }
                    if !has_more && self.is_forgotten(now, available, &running) =>
                {
                    return Err(Setback::Lost(
                        "workers report that they do not know the tasks they were given".into(),
                    ));
                }
                _ if last_progress.elapsed() > deadline => return Err(Setback::Stalled(deadline)),
                _ => {}
            }
        }
    }

    /// Whether all missing tasks are with workers that report that they have nothing to do.
    fn is_forgotten(
        &self,
        now: &[usize],
        available: &HashMap<usize, ResultLocation>,
        running: &HashMap<usize, String>,
    ) -> bool {
        let is_idle = |worker: &String| self.runner.has_been_idle_for(worker, self.policy.forgotten_after);
        let mut missing = now.iter().enumerate().filter(|(_, task)| self.missing.contains(task));
        missing.all(|(index, _)| available.contains_key(&index) || running.get(&index).is_some_and(is_idle))
    }

    /// Results that are available and not sent yet, except those whose worker failed to deliver them too often.
    fn fetchable(
        &self,
        now: &[usize],
        available: &HashMap<usize, ResultLocation>,
        of_tasks: &TaskFailures,
    ) -> Vec<(usize, ResultLocation)> {
        let is_fetchable = |task: &usize, location: &ResultLocation| {
            let failed = of_tasks.fetches.get(&(*task, location.executor.clone()));
            self.missing.contains(task) && failed.is_none_or(|failed| *failed < FETCH_ATTEMPTS)
        };
        now.iter()
            .enumerate()
            .filter_map(|(partition, task)| Some((*task, available.get(&partition)?.clone())))
            .filter(|(task, location)| is_fetchable(task, location))
            .collect()
    }

    /// Fetches results and sends their rows. Returns whether at least one result was fetched.
    async fn fetch(
        &mut self,
        fetchable: Vec<(usize, ResultLocation)>,
        of_tasks: &mut TaskFailures,
    ) -> std::result::Result<bool, Setback> {
        let runner = Arc::clone(&self.runner);
        let fetch = async |task: usize, location: ResultLocation| {
            (task, runner.fetch(&location).await, location.executor)
        };
        let fetches: Vec<_> = fetchable.into_iter().map(|(task, location)| fetch(task, location)).collect();
        let mut fetches = stream::iter(fetches).buffer_unordered(CONCURRENT_FETCHES);
        let mut has_any = false;
        while let Some((task, fetched, worker)) = fetches.next().await {
            match fetched {
                Ok(batches) => {
                    has_any = true;
                    let fault = self.tasks.storage_fault(&batches);
                    if let Some(fault) = fault.map_err(|error| Setback::Over(Some(error)))? {
                        of_tasks.fetches.insert((task, worker), FETCH_ATTEMPTS);
                        of_tasks.store = Some(fault);
                    } else if !self.send_rows(task, batches).await {
                        return Err(Setback::Over(None));
                    }
                }
                Err(error) => {
                    tracing::debug!(task, worker, error, "a result could not be fetched");
                    *of_tasks.fetches.entry((task, worker)).or_default() += 1;
                }
            }
        }
        Ok(has_any)
    }

    /// Sends the rows of a task. Returns whether the receiver still exists.
    async fn send_rows(&mut self, task: usize, batches: Vec<RecordBatch>) -> bool {
        self.missing.retain(|missing| *missing != task);
        METRICS.queued.dec();
        for batch in batches {
            if self.results.send(Ok(batch)).await.is_err() {
                return false;
            }
        }
        true
    }
}

impl Drop for TaskBatch {
    fn drop(&mut self) {
        METRICS.queued.sub(self.missing.len() as i64);
    }
}

/// A submitted Ballista job, which is cancelled if it is dropped before it ends.
struct SubmittedJob {
    runner: Arc<dyn TaskRunner>,
    job: JobId,
}

impl SubmittedJob {
    async fn new(
        runner: &Arc<dyn TaskRunner>,
        plan: Arc<dyn ExecutionPlan>,
    ) -> std::result::Result<Self, Setback> {
        let job = runner.submit(plan).await.map_err(Setback::Failed)?;
        Ok(Self { runner: Arc::clone(runner), job })
    }
}

impl Drop for SubmittedJob {
    fn drop(&mut self) {
        self.runner.cancel(self.job.clone());
    }
}

#[cfg(test)]
#[path = "task_batch_tests.rs"]
mod tests;
