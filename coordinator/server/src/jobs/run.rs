//! Runs one job on the cluster and writes its results to the job store.

use std::iter;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use hindcast_base::retry::with_retries;
use hindcast_base::time::Window;
use hindcast_base::{Error, Result};
use hindcast_detections::config::Config;
use hindcast_engine::{StateStore, TASKS_PER_THREAD};
use hindcast_functions::BUCKETS;
use hindcast_observability::counters;
use hindcast_proto::v1::{Job, JobState};
use prometheus::IntCounterVec;
use tokio::sync::watch;

use super::end::fail_on_panic;
use super::progress::JobProgress;
use super::{JobManager, is_backfill_window};
use hindcast_report::backfill::row_of_window;
use hindcast_report::output::findings_batch;
use hindcast_report::sinks::{RunEnd, send_to_all};
use hindcast_scan::{
    PlanOutline, RunOptions, ScanResult, UsedRollup, WindowPlanner, plain, prepare, run_plan,
};

static DELIVERIES: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counters(
        "hindcast_sink_deliveries_total",
        "Deliveries of finished runs to sinks, by outcome",
        &["outcome"],
    )
});

/// Results written at once.
const CONCURRENT_PUTS: usize = 8;

/// Name under which the findings of a job are stored and fetched, next to its tables.
pub const FINDINGS: &str = "findings";
/// The same for findings that an allow-list suppressed.
pub const SUPPRESSED: &str = "suppressed";

/// Name of the object that lists the state files of rollups that a job used.
pub(super) const ROLLUPS: &str = "rollups.json";

/// Merges that run at once: all merges of a scan, because most are small and spend their time on being scheduled and
/// reported. Workers limit how many tasks run.
const CONCURRENT_MERGES: usize = 16;

/// Runs the job in `sender` when a slot is free.
///
/// # Errors
/// The error that ended its work.
pub(super) async fn run_job(manager: Arc<JobManager>, sender: watch::Sender<Job>) -> Result<()> {
    // The semaphore is never closed.
    let _turn = manager.running.acquire().await;
    sender.send_modify(|job| job.state = JobState::Running.into());
    manager.count();
    let is_window = is_backfill_window(&sender.borrow());
    let result = if is_window {
        fail_on_panic(run_window(Arc::clone(&manager), sender.clone())).await
    } else {
        let result = fail_on_panic(run(Arc::clone(&manager), sender.clone())).await;
        let job = sender.borrow().clone();
        push(&manager, &job, &result).await;
        result.map(|_| ())
    };
    let job = sender.borrow().clone();
    manager.remove_state(&job).await;
    result
}

/// Pushes a finished run to the sinks before its end is stored: a coordinator that stops in between pushes it again rather than
/// never. Investigations are not pushed, because a person requested them.
async fn push(manager: &JobManager, job: &Job, result: &Result<ScanResult>) {
    if job.scan.as_ref().is_some_and(|scan| scan.investigation.is_some()) {
        return;
    }
    let end = RunEnd { job: &job.id, outcome: result.as_ref() };
    for delivery in send_to_all(&manager.context.sinks, end).await {
        let outcome = if delivery.failure.is_none() { "sent" } else { "failed" };
        DELIVERIES.with_label_values(&[outcome]).inc();
    }
}

async fn run(manager: Arc<JobManager>, sender: watch::Sender<Job>) -> Result<ScanResult> {
    let id = sender.borrow().id.clone();
    let request = manager.store.request(&id).await?;
    let context = &manager.context;
    let locations = context.locations.as_ref();
    let prepared =
        prepare(&request, &context.access, &context.detections, locations, &context.runtime).await?;
    let plan = PlanOutline::of(&prepared.plan).to_message()?;
    sender.send_modify(|job| job.plan = Some(plan));
    let state = match request.no_cache {
        true => StateStore::new(manager.store.folder(&id).join("state")),
        false => StateStore::new(manager.results.state().clone()),
    };
    let options = options(&manager, &state, &prepared.config, &id).await;
    let progress = JobProgress(sender.clone());
    let result = run_plan(&prepared.plan, &options, &progress).await?;
    with_retries(|| write_results(&manager, &id, &result)).await?;
    if !request.no_cache {
        with_retries(|| manager.store.put_parts(&id, ROLLUPS, rollup_lists(&result.rollups))).await?;
    }
    Ok(result)
}

/// Runs a job that is one window of a backfill. Its report is the row of the window.
async fn run_window(manager: Arc<JobManager>, sender: watch::Sender<Job>) -> Result<()> {
    let id = sender.borrow().id.clone();
    let request = manager.store.request(&id).await?;
    let context = &manager.context;
    let (Some(from_us), Some(to_us)) = (request.from_us, request.to_us) else {
        return Err(Error::Invalid("a window of a backfill needs both bounds".into()));
    };
    let window = Window::new(from_us, to_us)?;
    let locations = context.locations.as_ref();
    let planner = WindowPlanner::open(&request, &context.access, &context.detections, locations).await?;
    let state = StateStore::new(manager.results.state().clone());
    let options = options(&manager, &state, &planner.config, &id).await;
    let outcome = row_of_window(&planner, window, &options, &JobProgress(sender)).await?;
    let report = to_json(&outcome)?.into_bytes();
    with_retries(|| manager.store.put(&id, "report.json".to_owned(), report.clone())).await
}

/// The options with which a job runs on the cluster.
async fn options<'a>(
    manager: &'a JobManager,
    state: &'a StateStore,
    config: &'a Config,
    job: &'a str,
) -> RunOptions<'a> {
    let context = &manager.context;
    let (_, slots) = context.cluster.capacity().await;
    RunOptions {
        engine: &*context.cluster,
        runtime: Arc::clone(&context.runtime),
        state,
        // A job that continues finds what it computed before, even if it does not share its state.
        use_cache: true,
        // One shard per thread, as in one process: each shard reads all state files for its buckets.
        shards: (slots / TASKS_PER_THREAD).clamp(1, usize::from(BUCKETS)),
        concurrent_merges: CONCURRENT_MERGES,
        config,
        job,
        locations: context.locations.as_ref(),
    }
}

async fn write_results(manager: &JobManager, id: &str, result: &ScanResult) -> Result<()> {
    let store = &manager.store;
    let tables = result.tables.iter();
    let tables: Vec<_> = tables
        .map(|table| store.put_table(id, &table.name, table.parts().map(|part| plain(&part?))))
        .collect();
    stream::iter(tables).buffer_unordered(CONCURRENT_PUTS).try_collect::<()>().await?;
    for (name, findings) in [(FINDINGS, &result.findings), (SUPPRESSED, &result.suppressed)] {
        store.put_table(id, name, iter::once(findings_batch(findings))).await?;
    }
    store.put(id, "report.json".to_owned(), to_json(&result.report)?.into_bytes()).await
}

/// The lists of state files as JSON, one rollup after the other: all of them together may be long.
fn rollup_lists(rollups: &[UsedRollup]) -> impl Iterator<Item = Result<Bytes>> + Send {
    let list = |(place, rollup): (usize, &UsedRollup)| {
        let before = if place == 0 { "[" } else { "," };
        Ok(Bytes::from(format!("{before}{}", to_json(&rollup.files())?)))
    };
    let end = if rollups.is_empty() { "[]" } else { "]" };
    rollups.iter().enumerate().map(list).chain(iter::once(Ok(Bytes::from_static(end.as_bytes()))))
}

fn to_json(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::Internal(error.to_string()))
}
