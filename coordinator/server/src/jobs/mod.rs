//! The jobs of a coordinator: accepted, queued, run on the cluster, and stored below the state.

mod end;
mod progress;
mod results;
mod run;
mod schedule;
mod store;
mod stored;
mod wire;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use datafusion::execution::object_store::ObjectStoreRegistry;
use datafusion::execution::runtime_env::RuntimeEnv;
use hindcast_base::format::counted;
use hindcast_base::retry::with_retries;
use hindcast_base::time::now;
use hindcast_base::{Error, Result};
use hindcast_lake::Location;
use hindcast_observability::{counters, register};
use hindcast_proto::v1::{Job, JobState, ScanRequest};
use prometheus::{IntCounterVec, IntGaugeVec, Opts};
use tokio::sync::{Notify, Semaphore, watch};
use tracing::Instrument;

use crate::cluster::Cluster;
use hindcast_report::sinks::Sink;
use hindcast_scan::check_request;
use hindcast_scan::geoip::LocationDatabase;
use hindcast_scan::lake_access::Access;
use hindcast_scan::own_detections::DetectionPolicy;
pub(crate) use progress::register_metrics;
pub use results::JobResults;
pub use run::{FINDINGS, SUPPRESSED};
pub(crate) use schedule::run_schedules;
pub use schedule::{Schedule, ScheduleSettings};
pub use stored::StoredTable;
pub use wire::error_kind_of;

use store::JobStore;

static JOBS: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    register(IntGaugeVec::new(Opts::new("hindcast_jobs", "Jobs that have not ended, by state"), &["state"]))
});
static FINISHED: LazyLock<IntCounterVec> =
    LazyLock::new(|| counters("hindcast_jobs_finished_total", "Jobs ended, by outcome", &["outcome"]));

/// Limits of the job queue.
#[derive(Debug, Clone)]
pub struct JobLimits {
    /// Jobs that run at once.
    pub concurrent: usize,
    /// Jobs that may wait.
    pub queued: usize,
}

/// What jobs need to run.
pub struct JobContext {
    /// The engine that runs their stages.
    pub cluster: Arc<Cluster>,
    /// Memory budget and object stores of this process.
    pub runtime: Arc<RuntimeEnv>,
    /// Which lakes jobs may read.
    pub access: Access,
    /// Which detections jobs may use.
    pub detections: DetectionPolicy,
    /// The location database.
    pub locations: Option<LocationDatabase>,
    /// Where findings are pushed when a job ends.
    pub sinks: Vec<Sink>,
}

/// All jobs of a coordinator.
pub struct JobManager {
    store: JobStore,
    results: JobResults,
    context: JobContext,
    limits: JobLimits,
    running: Arc<Semaphore>,
    entries: Mutex<BTreeMap<String, Entry>>,
}

struct Entry {
    /// Without the text of its configuration.
    job: watch::Sender<Job>,
    /// Notified when its work must stop.
    stop: Arc<Notify>,
}

impl JobManager {
    /// Reads the jobs below `state` and continues those that have not ended.
    ///
    /// # Errors
    /// [`Error::Storage`] if the job store can't be read.
    pub async fn recover(state: Location, context: JobContext, limits: JobLimits) -> Result<Arc<Self>> {
        let store = JobStore::new(&state);
        let found = with_retries(|| store.all()).await?;
        let running = Arc::new(Semaphore::new(limits.concurrent));
        let entries = Mutex::default();
        let results = JobResults::new(state);
        let manager = Arc::new(Self { store, results, context, limits, running, entries });
        for job in found.into_values() {
            let is_open = is_open(&job);
            if is_open {
                tracing::info!(job = job.id, "continuing a job");
            }
            manager.enter(job, is_open);
        }
        Ok(manager)
    }

    /// Accepts a job, or returns the existing job with this id.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a request that can't be run, [`Error::Denied`] for detections that are not allowed, and
    /// [`Error::Busy`] if too many jobs wait.
    pub async fn submit(self: &Arc<Self>, id: &str, scan: ScanRequest, by: &str) -> Result<Job> {
        let id = uuid::Uuid::parse_str(id)
            .map_err(|_| Error::Invalid("the id of a job must be a UUID".into()))?
            .hyphenated()
            .to_string();
        if let Ok(job) = self.snapshot(&id) {
            return Ok(job);
        }
        check_request(&self.store.with_config(scan.clone()).await?, &self.context.detections)?;
        self.context.access.check(&Location::parse(&scan.lake)?)?;
        let waiting = self.entries().values().filter(|entry| is_open(&entry.job.borrow())).count();
        if waiting >= self.limits.concurrent + self.limits.queued {
            let waiting = counted(waiting as u64, "job");
            return Err(Error::Busy(format!("{waiting} waiting or running already: try again later")));
        }
        let job = Job {
            id: id.clone(),
            state: JobState::Queued.into(),
            scan: Some(scan),
            submitted_by: by.to_owned(),
            submitted_us: now_us(),
            ..Job::default()
        };
        // The job may exist already: from a request whose answer was lost, or because the store retried our own write.
        let job = match self.store.submit(&job).await? {
            true => without_config(job),
            false => self.store.read(&id).await?.unwrap_or_else(|| without_config(job)),
        };
        tracing::info!(job = id, lake = job.scan.as_ref().map(|scan| scan.lake.as_str()), by, "job accepted");
        let is_open = is_open(&job);
        self.enter(job.clone(), is_open);
        Ok(job)
    }

    /// Adds a job if it is not known yet, and starts its work if it has not ended.
    fn enter(self: &Arc<Self>, mut job: Job, is_open: bool) {
        let id = job.id.clone();
        if is_open {
            job.state = JobState::Queued.into();
            job.progress = None;
        }
        let (sender, _) = watch::channel(job);
        let stop = Arc::new(Notify::new());
        let mut entries = self.entries();
        if entries.contains_key(&id) {
            return;
        }
        if is_open {
            let span = tracing::info_span!("job", job = id);
            let work = end::run_to_end(Arc::clone(self), sender.clone(), Arc::clone(&stop));
            tokio::spawn(work.instrument(span));
        }
        entries.insert(id, Entry { job: sender, stop });
        drop(entries);
        self.count();
    }

    /// Stores the text of a configuration and returns the hash by which requests reference it.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it is not UTF-8, [`Error::Storage`] if it can't be written.
    pub(crate) async fn store_config(&self, text: Vec<u8>) -> Result<String> {
        self.store.store_config(text).await
    }

    /// The current state of a job.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no job with this id.
    pub fn snapshot(&self, id: &str) -> Result<Job> {
        self.with_entry(id, |entry| entry.job.borrow().clone())
    }

    /// The current state of a job, and all later changes.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no job with this id.
    pub fn watch(&self, id: &str) -> Result<watch::Receiver<Job>> {
        self.with_entry(id, |entry| entry.job.subscribe())
    }

    fn with_entry<T>(&self, id: &str, read: impl FnOnce(&Entry) -> T) -> Result<T> {
        let entries = self.entries();
        let entry = entries.get(id).ok_or_else(|| Error::NotFound(format!("there is no job {id}")))?;
        Ok(read(entry))
    }

    /// All jobs, newest first.
    pub fn list(&self) -> Vec<Job> {
        self.entries().values().rev().map(|entry| entry.job.borrow().clone()).collect()
    }

    /// The results of jobs.
    pub fn results(&self) -> &JobResults {
        &self.results
    }

    /// A result table of a finished job.
    ///
    /// # Errors
    /// [`Error::Storage`] if it can't be read.
    pub async fn table(&self, id: &str, name: &str) -> Result<Option<StoredTable>> {
        let is_done = self.snapshot(id).is_ok_and(|job| job.state() == JobState::Done);
        if is_done { self.results.table(id, name).await } else { Ok(None) }
    }

    /// Ids of the jobs that have results, the latest first.
    pub(crate) fn with_results(&self) -> Vec<String> {
        let ended = |(id, entry): (&String, &Entry)| {
            let job = entry.job.borrow();
            has_results(&job).then(|| (job.ended_us, id.clone()))
        };
        let mut ended: Vec<(i64, String)> = self.entries().iter().filter_map(ended).collect();
        ended.sort_by(|one, other| other.cmp(one));
        ended.into_iter().map(|(_, id)| id).collect()
    }

    /// The object stores that jobs use.
    pub fn object_stores(&self) -> Arc<dyn ObjectStoreRegistry> {
        Arc::clone(&self.context.runtime.object_store_registry)
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self) {
        for state in [JobState::Queued, JobState::Running] {
            let count = self.entries().values().filter(|entry| entry.job.borrow().state() == state).count();
            JOBS.with_label_values(&[state_name(state)]).set(count as i64);
        }
    }
}

/// A job without the texts of its configuration, which may hold long watchlists, and of its detections. Only running the job
/// needs them, and the store has them.
fn without_config(mut job: Job) -> Job {
    if let Some(scan) = &mut job.scan {
        scan.config = String::new();
        scan.detections = String::new();
    }
    job
}

/// Whether a job has not ended.
pub fn is_open(job: &Job) -> bool {
    matches!(job.state(), JobState::Queued | JobState::Running)
}

/// Whether a job is one window of a backfill. Its result is one row, without tables and findings.
pub fn is_backfill_window(job: &Job) -> bool {
    job.scan.as_ref().is_some_and(|scan| scan.backfill_window)
}

/// Whether a job is done and has the results of a scan.
pub fn has_results(job: &Job) -> bool {
    job.state() == JobState::Done && !is_backfill_window(job)
}

/// The name of a state, for people and metrics.
pub fn state_name(state: JobState) -> &'static str {
    match state {
        JobState::Queued => "queued",
        JobState::Running => "running",
        JobState::Done => "done",
        JobState::Failed => "failed",
        JobState::Cancelled => "cancelled",
        JobState::Unreadable => "unreadable",
        JobState::Unspecified => "unknown",
    }
}

/// Microseconds since 1970.
fn now_us() -> i64 {
    now().timestamp_micros()
}

/// The progress of a job, such as `3 of 12 units, merging`. Empty before its plan is known.
pub fn format_progress(job: &Job) -> String {
    let Some(progress) = &job.progress else { return String::new() };
    let failures =
        if progress.failures > 0 { format!(", {} failures", progress.failures) } else { String::new() };
    // A job that has ended is not merging.
    let merging = if progress.merging && is_open(job) { ", merging" } else { "" };
    let done = progress.units_done + progress.units_cached;
    format!("{done} of {} units{merging}{failures}", progress.units)
}

#[cfg(test)]
mod tests;
