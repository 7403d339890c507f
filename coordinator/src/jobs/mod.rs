//! Jobs of a coordinator: accepted, queued, run on the cluster, and kept in the ledger.

mod ledger;
mod progress;
mod run;
mod schedule;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arrow::array::RecordBatch;
use datafusion::execution::object_store::ObjectStoreRegistry;
use datafusion::execution::runtime_env::RuntimeEnv;
use hindcast_common::catalog::Location;
use hindcast_common::operation::{counters, register};
use hindcast_common::retry::with_retries;
use hindcast_common::{Error, Result};
use hindcast_proto::v1::{Job, JobState, ScanRequest};
use prometheus::{IntCounterVec, IntGaugeVec, Opts};
use tokio::sync::{Semaphore, watch};
use tokio::task::{AbortHandle, JoinHandle};
use tracing::Instrument;

use crate::cluster::Cluster;
use crate::lakes::Access;
use crate::locations::LocationDatabase;
use crate::scan::{RollupFiles, question_of};
use crate::sinks::Sink;
pub(crate) use progress::register_metrics;
pub(crate) use run::{FINDINGS, SUPPRESSED};
pub(crate) use schedule::{Schedule, ScheduleSettings, keep_schedules};

use ledger::{JobLedger, decode_table};

/// Waits between attempts to write down that a job has ended: the first, and the longest.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

static JOBS: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    register(IntGaugeVec::new(Opts::new("hindcast_jobs", "Jobs that have not ended, by state"), &["state"]))
});
static FINISHED: LazyLock<IntCounterVec> =
    LazyLock::new(|| counters("hindcast_jobs_finished_total", "Jobs ended, by outcome", &["outcome"]));

/// Bounds of what is accepted.
#[derive(Debug, Clone)]
pub struct JobLimits {
    /// Jobs run at once.
    pub concurrent: usize,
    /// Jobs that may wait.
    pub queued: usize,
}

/// What jobs are run with.
pub struct JobMeans {
    /// The workers.
    pub cluster: Arc<Cluster>,
    /// Memory and stores of this process.
    pub runtime: Arc<RuntimeEnv>,
    /// What jobs may read.
    pub access: Access,
    /// Where addresses are.
    pub locations: Option<LocationDatabase>,
    /// Where findings are pushed at the end of a job.
    pub sinks: Vec<Sink>,
}

/// All jobs of a coordinator.
pub struct JobBoard {
    ledger: JobLedger,
    state: Location,
    means: JobMeans,
    limits: JobLimits,
    running: Arc<Semaphore>,
    entries: Mutex<BTreeMap<String, Entry>>,
}

struct Entry {
    job: watch::Sender<Job>,
    /// Ends its work; none where it has ended.
    work: Option<AbortHandle>,
}

impl JobBoard {
    /// The jobs of the ledger below `state`; those that have not ended go on.
    ///
    /// # Errors
    /// [`Error::Storage`] where the ledger can't be read.
    pub async fn recover(state: Location, means: JobMeans, limits: JobLimits) -> Result<Arc<Self>> {
        let ledger = JobLedger::new(&state);
        let found = with_retries(|| ledger.all()).await?;
        let running = Arc::new(Semaphore::new(limits.concurrent));
        let entries = Mutex::default();
        let board = Arc::new(Self { ledger, state, means, limits, running, entries });
        for job in found.into_values() {
            let is_open = is_open(&job);
            if is_open {
                tracing::info!(job = job.id, "going on with a job from before");
            }
            board.enter(job, is_open);
        }
        Ok(board)
    }

    /// Accepts a job, or gives the one there is of that id.
    ///
    /// # Errors
    /// [`Error::Config`] for a request that can't be run or may not be; [`Error::Busy`] where too many wait.
    pub async fn submit(self: &Arc<Self>, id: &str, scan: ScanRequest, by: &str) -> Result<Job> {
        let id = uuid::Uuid::parse_str(id)
            .map_err(|_| Error::Config("the id of a job is a UUID".into()))?
            .hyphenated()
            .to_string();
        if let Some(job) = self.snapshot(&id) {
            return Ok(job);
        }
        question_of(&scan)?;
        self.means.access.check(&Location::parse(&scan.lake)?)?;
        let waiting = self.entries().values().filter(|entry| is_open(&entry.job.borrow())).count();
        if waiting >= self.limits.concurrent + self.limits.queued {
            return Err(Error::Busy(format!("{waiting} jobs are waiting or running: try again later")));
        }
        let job = Job {
            id: id.clone(),
            state: JobState::Queued.into(),
            scan: Some(scan),
            submitted_by: by.to_owned(),
            submitted_us: now_us(),
            ..Job::default()
        };
        // It may be there already: from a request whose answer was lost, or our own write tried again.
        let job = match self.ledger.submit(&job).await? {
            true => job,
            false => self.ledger.read(&id).await?.unwrap_or(job),
        };
        tracing::info!(job = id, lake = job.scan.as_ref().map(|scan| scan.lake.as_str()), by, "job accepted");
        let is_open = is_open(&job);
        self.enter(job.clone(), is_open);
        Ok(job)
    }

    /// Takes a job on the board where it is not on it yet, and starts its work where it is open.
    fn enter(self: &Arc<Self>, mut job: Job, is_open: bool) {
        let id = job.id.clone();
        if is_open {
            job.state = JobState::Queued.into();
            job.progress = None;
        }
        let (sender, _) = watch::channel(if is_open { job } else { without_config(job) });
        let mut entries = self.entries();
        if entries.contains_key(&id) {
            return;
        }
        let work = is_open.then(|| {
            let span = tracing::info_span!("job", job = id);
            let work = tokio::spawn(run::run_job(Arc::clone(self), sender.clone()).instrument(span));
            let handle = work.abort_handle();
            tokio::spawn(Arc::clone(self).stand_by(work, sender.clone()));
            handle
        });
        entries.insert(id, Entry { job: sender, work });
        drop(entries);
        self.count();
    }

    /// A job as it stands.
    pub fn snapshot(&self, id: &str) -> Option<Job> {
        self.entries().get(id).map(|entry| entry.job.borrow().clone())
    }

    /// A job as it stands, and each time it changes.
    pub fn watch(&self, id: &str) -> Option<watch::Receiver<Job>> {
        self.entries().get(id).map(|entry| entry.job.subscribe())
    }

    /// All jobs, newest first.
    pub fn list(&self) -> Vec<Job> {
        self.entries().values().rev().map(|entry| entry.job.borrow().clone()).collect()
    }

    /// Ends a job that has not ended.
    ///
    /// # Errors
    /// [`Error::Config`] where there is none of that id, [`Error::Storage`] where the ledger can't be written.
    pub async fn cancel(&self, id: &str) -> Result<Job> {
        let work = self.entries().get(id).map(|entry| entry.work.clone());
        let Some(work) = work else { return Err(Error::Config(format!("there is no job {id}"))) };
        if let Some(work) = work {
            work.abort();
            let job = self.snapshot(id).unwrap_or_default();
            if is_open(&job) {
                // Where that fails the job stays open, and can be cancelled again.
                let ended = Job { state: JobState::Cancelled.into(), ..job };
                with_retries(|| self.end(ended.clone())).await?;
                self.ledger.remove(id, "state").await?;
            }
        }
        self.snapshot(id).ok_or_else(|| Error::Config(format!("there is no job {id}")))
    }

    /// The report of a job that is done, JSON.
    ///
    /// # Errors
    /// [`Error::Storage`] where it can't be read.
    pub async fn report(&self, id: &str) -> Result<Option<String>> {
        let bytes = self.ledger.get(id, "report.json").await?;
        Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Names of a job's result tables.
    ///
    /// # Errors
    /// [`Error::Storage`] where they can't be listed.
    pub async fn tables(&self, id: &str) -> Result<Vec<String>> {
        self.ledger.tables(id).await
    }

    /// Rows of a result table of a job that is done; at least one batch.
    ///
    /// # Errors
    /// [`Error::Storage`] where they can't be read.
    pub async fn table(&self, id: &str, name: &str) -> Result<Option<Vec<RecordBatch>>> {
        let is_done = self.snapshot(id).is_some_and(|job| job.state() == JobState::Done);
        let is_plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !is_done || !is_plain {
            return Ok(None);
        }
        let bytes = self.ledger.get(id, &format!("tables/{name}.arrow")).await?;
        bytes.map(decode_table).transpose()
    }

    /// Ids of the jobs that have results, the one that ended last first.
    pub fn with_results(&self) -> Vec<String> {
        let ended = |(id, entry): (&String, &Entry)| {
            let job = entry.job.borrow();
            has_results(&job).then(|| (job.ended_us, id.clone()))
        };
        let mut ended: Vec<(i64, String)> = self.entries().iter().filter_map(ended).collect();
        ended.sort_by(|one, other| other.cmp(one));
        ended.into_iter().map(|(_, id)| id).collect()
    }

    /// How stores are reached.
    pub fn object_stores(&self) -> Arc<dyn ObjectStoreRegistry> {
        Arc::clone(&self.means.runtime.object_store_registry)
    }

    /// Which state of rollups a job was computed from; none of a job that kept none.
    ///
    /// # Errors
    /// [`Error::Storage`] where that can't be read.
    pub async fn rollups(&self, id: &str) -> Result<Vec<RollupFiles>> {
        let Some(bytes) = self.ledger.get(id, run::ROLLUPS).await? else { return Ok(Vec::new()) };
        serde_json::from_slice(&bytes)
            .map_err(|error| Error::Internal(format!("the rollups of job {id} can't be read: {error}")))
    }

    /// Where rollups are kept.
    pub fn state(&self) -> &Location {
        &self.state
    }

    /// Ends a job as failed whose work broke off.
    async fn stand_by(self: Arc<Self>, work: JoinHandle<()>, sender: watch::Sender<Job>) {
        if work.await.is_err_and(|error| error.is_panic()) {
            let error = "an error in Hindcast: the coordinator's log has it".to_owned();
            let job = sender.borrow().clone();
            self.end_surely(Job { state: JobState::Failed.into(), error, ..job }).await;
        }
    }

    /// As [`JobBoard::end`], until it is written down: who waits for the job, and the queue, wait for that.
    async fn end_surely(&self, job: Job) {
        let mut wait = FIRST_WAIT;
        while let Err(error) = self.end(job.clone()).await {
            tracing::error!(job = job.id, %error, "the end of a job could not be written down: trying again");
            tokio::time::sleep(wait).await;
            wait = LONGEST_WAIT.min(2 * wait);
        }
    }

    /// Writes a job down as ended and tells those who watch it. The first end counts.
    async fn end(&self, job: Job) -> Result<()> {
        let id = job.id.clone();
        let mut ended = Job { ended_us: now_us(), ..job };
        if !self.ledger.end(&ended).await?
            && let Some(earlier) = self.ledger.read(&id).await?
        {
            ended = earlier;
        }
        FINISHED.with_label_values(&[outcome(ended.state())]).inc();
        tracing::info!(job = id, state = ended.state().as_str_name(), error = ended.error, "job ended");
        if let Some(entry) = self.entries().get_mut(&id) {
            entry.work = None;
            entry.job.send_replace(without_config(ended));
        }
        self.count();
        Ok(())
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self) {
        for state in [JobState::Queued, JobState::Running] {
            let count = self.entries().values().filter(|entry| entry.job.borrow().state() == state).count();
            JOBS.with_label_values(&[outcome(state)]).set(count as i64);
        }
    }
}

/// A job without the text of its configuration, which may hold long watchlists: only running it needs that, and the ledger has it.
pub fn without_config(mut job: Job) -> Job {
    if let Some(scan) = &mut job.scan {
        scan.config = String::new();
    }
    job
}

/// Whether a job has not ended.
pub fn is_open(job: &Job) -> bool {
    matches!(job.state(), JobState::Queued | JobState::Running)
}

/// Whether a job is one window of a backfill: it leaves a row and no tables or findings.
pub fn is_of_backfill(job: &Job) -> bool {
    job.scan.as_ref().is_some_and(|scan| scan.backfill_window)
}

/// Whether a job is done and has left a scan's results.
pub fn has_results(job: &Job) -> bool {
    job.state() == JobState::Done && !is_of_backfill(job)
}

/// The name of a state, for people and metrics.
pub fn outcome(state: JobState) -> &'static str {
    match state {
        JobState::Queued => "queued",
        JobState::Running => "running",
        JobState::Done => "done",
        JobState::Failed => "failed",
        JobState::Cancelled => "cancelled",
        JobState::Unspecified => "unknown",
    }
}

/// The clock. Only when a job was accepted and ended, and how old a change left behind is, is told by it, never a result.
#[allow(clippy::disallowed_methods)]
pub fn now() -> chrono::DateTime<chrono::Utc> {
    chrono::Utc::now()
}

/// Microseconds since 1970.
fn now_us() -> i64 {
    now().timestamp_micros()
}
