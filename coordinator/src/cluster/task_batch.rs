//! A part of a job's tasks, brought to its end: submitted to Ballista, watched, fetched, and submitted again for what is
//! missing when workers are lost, hang or lose a result.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use ballista_core::JobId;
use datafusion::common::Result;
use datafusion::error::DataFusionError;
use futures::{StreamExt, stream};
use hindcast_common::engine::StageTasks;
use hindcast_common::observability::{counters, gauge};
use prometheus::{IntCounterVec, IntGauge};
use tokio::sync::mpsc::Sender;

use super::job_status::{JobStatus, ResultLocation, look};
use super::{Inner, Scheduler};

/// Time between looks at a job.
const STATUS_INTERVAL: Duration = Duration::from_millis(50);
/// Results fetched at once.
const CONCURRENT_FETCHES: usize = 8;
/// Times a result is asked for from the same worker.
const FETCH_ATTEMPTS: u32 = 3;
/// Times a task is started in one Ballista job: the first, and again when its worker was lost.
const MOST_STARTS: usize = 3;
/// Times that a worker may wait for an answer, after which one that was idle all the while is taken at its word.
const FORGOTTEN_AFTER_WAITS: u32 = 3;
/// Wait before a second submission; doubled for each further one that fails.
const FIRST_BACK_OFF: Duration = Duration::from_millis(250);
/// Longest such wait.
const LONGEST_BACK_OFF: Duration = Duration::from_secs(15);

/// Counts of all batches.
pub(crate) struct Metrics {
    /// Tasks ready or running.
    pub(crate) queued: IntGauge,
    /// Submissions again, by reason.
    pub(crate) retries: IntCounterVec,
}

pub(crate) static METRICS: LazyLock<Metrics> = LazyLock::new(|| Metrics {
    queued: gauge("hindcast_units_queued", "Tasks ready or running on workers"),
    retries: counters("hindcast_retries_total", "Work tried again, by reason", &["reason"]),
});

/// Why a submission ended before all its tasks were done.
enum Setback {
    /// No task done within the deadline.
    Stalled(Duration),
    /// Workers were lost with tasks or results, too often.
    Lost(String),
    /// Ballista gave up.
    Failed(String),
    /// The reader of the results has gone, or an error that no repetition mends.
    Over(Option<DataFusionError>),
}

impl Setback {
    fn reason(&self) -> (&'static str, String) {
        match self {
            Setback::Stalled(limit) => ("stalled", format!("no task ended within {limit:?}")),
            Setback::Lost(what) => ("lost", what.clone()),
            Setback::Failed(error) => ("failed", error.clone()),
            Setback::Over(_) => ("over", String::new()),
        }
    }
}

/// Tasks that are submitted together.
pub(super) struct TaskBatch {
    inner: Arc<Inner>,
    tasks: Arc<StageTasks>,
    /// Tasks whose rows have not been passed on.
    missing: Vec<usize>,
    results: Sender<Result<RecordBatch>>,
}

impl TaskBatch {
    pub(super) fn new(
        inner: Arc<Inner>,
        tasks: Arc<StageTasks>,
        part: &[usize],
        results: Sender<Result<RecordBatch>>,
    ) -> Self {
        METRICS.queued.add(part.len() as i64);
        Self { inner, tasks, missing: part.to_vec(), results }
    }

    /// Passes on the rows of every task exactly once, or of one that can't be run what says so.
    pub(super) async fn run(mut self) -> Result<()> {
        let mut failures = 0;
        while !self.missing.is_empty() {
            // In the end tasks are tried alone: one that takes its worker down takes no other task with it.
            let is_alone = failures >= self.inner.options.attempts;
            let now: Vec<usize> = if is_alone { vec![self.missing[0]] } else { self.missing.clone() };
            self.wait_for_workers().await;
            let missing_before = self.missing.len();
            let Err(setback) = self.attempt(&now, failures).await else { continue };
            if let Setback::Over(error) = setback {
                return error.map_or(Ok(()), Err);
            }
            let (kind, told) = setback.reason();
            METRICS.retries.with_label_values(&[kind]).inc();
            tracing::warn!(reason = told, missing = self.missing.len(), "submitting again");
            if is_alone {
                let task = self.missing[0];
                let stand_in = self.tasks.given_up(task, &told)?;
                if !self.pass_on(task, vec![stand_in]).await {
                    return Ok(());
                }
                continue;
            }
            failures = if self.missing.len() < missing_before { 0 } else { failures + 1 };
            tokio::time::sleep((FIRST_BACK_OFF * 2u32.pow(failures.min(10))).min(LONGEST_BACK_OFF)).await;
        }
        Ok(())
    }

    /// Without workers there is nothing to try; they may come at any time.
    async fn wait_for_workers(&self) {
        while !self.inner.scheduler.is_ready() {
            tokio::time::sleep(STATUS_INTERVAL * 4).await;
        }
    }

    /// Submits `now` and passes on what comes of it.
    async fn attempt(&mut self, now: &[usize], failures: u32) -> std::result::Result<(), Setback> {
        let plan = self.tasks.plan(now).map_err(|error| Setback::Over(Some(error)))?;
        let submitted = SubmittedJob::new(&self.inner, plan).await?;
        // A machine that is slow rather than stuck gets there with more time.
        let deadline = self.inner.options.stall * 2u32.pow(failures.min(4));
        let mut last_progress = Instant::now();
        let mut refused: HashMap<(usize, String), u32> = HashMap::new();
        loop {
            tokio::time::sleep(STATUS_INTERVAL).await;
            let sight = look(&self.inner.scheduler, &submitted.job).await;
            let held = match &sight {
                JobStatus::Running { held, .. } | JobStatus::Done(held) => held,
                JobStatus::Failed(error) => return Err(Setback::Failed(error.clone())),
            };
            let waiting = self.waiting(now, held, &refused);
            if self.fetch(waiting, &mut refused).await? {
                last_progress = Instant::now();
            }
            if now.iter().all(|task| !self.missing.contains(task)) {
                return Ok(());
            }
            let has_more = !self.waiting(now, held, &refused).is_empty();
            match sight {
                // Every task leaves a file, be it without a row: what has none here has been lost.
                JobStatus::Done(_) if !has_more => {
                    return Err(Setback::Lost("a worker was lost with its results".into()));
                }
                JobStatus::Running { starts, .. } if starts > MOST_STARTS => {
                    return Err(Setback::Lost(format!(
                        "workers were lost with the same task {starts} times"
                    )));
                }
                JobStatus::Running { running, .. } if !has_more && self.is_forgotten(now, held, &running) => {
                    return Err(Setback::Lost("workers know nothing of the tasks they were given".into()));
                }
                _ if last_progress.elapsed() > deadline => return Err(Setback::Stalled(deadline)),
                _ => {}
            }
        }
    }

    /// Whether all that is missing is with workers that say they have nothing to do.
    fn is_forgotten(
        &self,
        now: &[usize],
        held: &HashMap<usize, ResultLocation>,
        running: &HashMap<usize, String>,
    ) -> bool {
        let limit = self.inner.options.poll_wait() * FORGOTTEN_AFTER_WAITS;
        let is_idle = |worker: &String| self.inner.idle.has_been_for(worker, limit);
        let mut missing = now.iter().enumerate().filter(|(_, task)| self.missing.contains(task));
        missing.all(|(index, _)| held.contains_key(&index) || running.get(&index).is_some_and(is_idle))
    }

    /// Results that are there and not passed on yet, but for those that a worker has failed to hand over.
    fn waiting(
        &self,
        now: &[usize],
        held: &HashMap<usize, ResultLocation>,
        refused: &HashMap<(usize, String), u32>,
    ) -> Vec<(usize, ResultLocation)> {
        let is_worth_asking = |task: &usize, held: &ResultLocation| {
            let times = refused.get(&(*task, held.executor.clone()));
            self.missing.contains(task) && times.is_none_or(|times| *times < FETCH_ATTEMPTS)
        };
        now.iter()
            .enumerate()
            .filter_map(|(partition, task)| Some((*task, held.get(&partition)?.clone())))
            .filter(|(task, held)| is_worth_asking(task, held))
            .collect()
    }

    /// Fetches what is held and passes it on; whether any was.
    async fn fetch(
        &mut self,
        waiting: Vec<(usize, ResultLocation)>,
        refused: &mut HashMap<(usize, String), u32>,
    ) -> std::result::Result<bool, Setback> {
        let inner = Arc::clone(&self.inner);
        let fetch =
            async |task: usize, held: ResultLocation| (task, inner.fetcher.fetch(&held).await, held.executor);
        let fetches: Vec<_> = waiting.into_iter().map(|(task, held)| fetch(task, held)).collect();
        let mut fetches = stream::iter(fetches).buffer_unordered(CONCURRENT_FETCHES);
        let mut has_any = false;
        while let Some((task, fetched, worker)) = fetches.next().await {
            match fetched {
                Ok(batches) => {
                    has_any = true;
                    if !self.pass_on(task, batches).await {
                        return Err(Setback::Over(None));
                    }
                }
                Err(error) => {
                    tracing::debug!(task, worker, error, "a result could not be fetched");
                    *refused.entry((task, worker)).or_default() += 1;
                }
            }
        }
        Ok(has_any)
    }

    /// Whether the reader still reads.
    async fn pass_on(&mut self, task: usize, batches: Vec<RecordBatch>) -> bool {
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

/// A Ballista job; cancelled when it is left before its end.
struct SubmittedJob {
    scheduler: Scheduler,
    job: JobId,
}

impl SubmittedJob {
    async fn new(
        inner: &Inner,
        plan: Arc<dyn datafusion::physical_plan::ExecutionPlan>,
    ) -> std::result::Result<Self, Setback> {
        let name = plan.name().to_owned();
        let session = Arc::clone(&inner.session);
        let job = inner.scheduler.submit_physical_plan(&name, session, plan, None).await;
        let job = job.map_err(|error| Setback::Failed(error.to_string()))?;
        Ok(Self { scheduler: inner.scheduler.clone(), job })
    }
}

impl Drop for SubmittedJob {
    fn drop(&mut self) {
        let (scheduler, job) = (self.scheduler.clone(), self.job.clone());
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            let status = scheduler.state.task_manager.get_job_status(&job).await;
            let is_ended = matches!(
                status.ok().flatten().and_then(|status| status.status),
                Some(
                    ballista_core::serde::protobuf::job_status::Status::Successful(_)
                        | ballista_core::serde::protobuf::job_status::Status::Failed(_)
                )
            );
            if !is_ended && let Err(error) = scheduler.cancel_job(job).await {
                tracing::warn!(%error, "a Ballista job could not be cancelled");
            }
        });
    }
}
