//! `hindcast backfill`

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use futures::{StreamExt, TryStreamExt, stream};
use hindcast_base::retry::BUSY;
use hindcast_base::time::{Window, parse_duration, parse_time};
use hindcast_base::{Error, Result};
use hindcast_engine::{Local, StateStore};
use hindcast_proto::v1::ScanRequest;

use super::Outcome;
use super::scan::FailOn;
use super::scan_options::{CONCURRENT_MERGES, ScanOptions};
use crate::client::{Client, check_done};
use crate::terminal;
use hindcast_report::backfill::{
    BackfillSummary, PlannedWindow, WindowOutcome, WindowPreview, WindowSeries, WindowsBar, preview_window,
    print_dry_run, print_result, print_windows, row_of_window, write,
};
use hindcast_report::output::check_replaceable;
use hindcast_scan::lake_access::Access;
use hindcast_scan::own_detections::DetectionPolicy;
use hindcast_scan::{RunOptions, WindowPlanner, check_request};

/// Most windows that this process computes at once. Each window holds its state in memory.
const MOST_WINDOWS_HERE: usize = 4;
/// Jobs that a coordinator runs at once: while one merges, the other reads.
const CONCURRENT_JOBS: usize = 2;

/// Arguments of `hindcast backfill`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hindcast backfill --lake s3://telemetry/lake --from 2026-01-01 \\
      --to 2026-04-01
  hindcast backfill --lake lake --from 2026-01-01 --to 2026-04-01 \\
      --window 7d --step 1d --suite firewall --out weeks
  hindcast backfill --lake lake --from 2026-01-05 --to 2026-01-06 \\
      --window 1h --step 1h --state state
  hindcast backfill --lake lake --from 2026-01-01 --to 2026-04-01 --dry-run
  hindcast backfill --lake s3://telemetry/lake --from 2026-01-01 \\
      --to 2026-04-01 --coordinator soc.example:7480 --token-file token

Each row is the result of a scan of that window. If you run the command again, it computes only the windows that are \
missing or whose files, parameters or analyses have changed.

Exit status: 0 done; 1 failed; 2 invalid arguments or configuration; 3 incomplete coverage; 4 a window reached the \
--fail-on level")]
pub struct BackfillArguments {
    #[command(flatten)]
    scan_options: ScanOptions,
    /// Start of the first window: a date or an RFC 3339 time, in UTC
    #[arg(long, value_name = "T")]
    from: String,
    /// End of the last window
    #[arg(long, value_name = "T")]
    to: String,
    /// Length of each window, such as 90m, 24h or 7d
    #[arg(long, default_value = "24h", value_name = "SPAN")]
    window: String,
    /// Time between the starts of two windows
    #[arg(long, default_value = "24h", value_name = "SPAN")]
    step: String,
    /// Suites to run [default: all]
    #[arg(long, value_delimiter = ',', value_name = "SUITE,..")]
    suite: Vec<String>,
    /// Analyses to run [default: all analyses of the suites]
    #[arg(long, value_delimiter = ',', value_name = "ANALYSIS,..")]
    only: Vec<String>,
    /// Folder for the results
    #[arg(long, default_value = "hindcast-out", value_name = "DIR")]
    out: PathBuf,
    /// Only show which windows would be computed
    #[arg(long, conflicts_with = "coordinator")]
    dry_run: bool,
    /// Exit with 4 if a window reaches this level, and with 3 if no window could be assessed
    #[arg(long, value_name = "LEVEL")]
    fail_on: Option<FailOn>,
}

impl BackfillArguments {
    /// Threads of the whole process.
    pub(super) fn threads(&self) -> usize {
        self.scan_options.threads()
    }

    fn series(&self) -> Result<WindowSeries> {
        let span = Window::new(parse_time(&self.from)?, parse_time(&self.to)?)?;
        WindowSeries::new(span, parse_duration(&self.window)?, parse_duration(&self.step)?)
    }

    async fn request(&self) -> Result<ScanRequest> {
        Ok(ScanRequest {
            suites: self.suite.clone(),
            analyses: self.only.clone(),
            backfill_window: true,
            ..self.scan_options.request().await?
        })
    }
}

/// Runs the command.
pub(super) async fn run(arguments: &BackfillArguments) -> Result<Outcome> {
    let started = Instant::now();
    let series = arguments.series()?;
    let request = arguments.request().await?;
    check_replaceable(&arguments.out)?;
    let scan_options = &arguments.scan_options;
    let outcomes = match &scan_options.coordinator {
        Some(address) => run_remotely(arguments, &series, address, request).await?,
        None => match run_locally(arguments, &series, request).await? {
            Some(outcomes) => outcomes,
            None => return Ok(Outcome::Done),
        },
    };
    let rows: Vec<_> = outcomes.iter().map(|outcome| outcome.row.clone()).collect();
    let summary = BackfillSummary::of(&series, &rows);
    let out = write(&arguments.out, &rows, &summary)?;
    if scan_options.prints_text() {
        print_result(&outcomes, &summary, &out, started.elapsed());
    }
    if scan_options.json {
        terminal::print_json(&summary)?;
    }
    // If no window has a level, the requested level was not ruled out.
    let has_no_level = arguments.fail_on.is_some() && !summary.is_assessed();
    Ok(if scan_options.is_incomplete(summary.complete && summary.is_assessed()) || has_no_level {
        Outcome::Incomplete
    } else if arguments.fail_on.is_some_and(|threshold| summary.level() >= threshold.level()) {
        Outcome::LevelReached
    } else {
        Outcome::Done
    })
}

/// How many windows run at once, at most `most`. Overlapping windows run one by one, because they would compute the same state at the same time.
fn at_once(series: &WindowSeries, most: usize) -> usize {
    if series.overlap() { 1 } else { most.min(series.windows().len()).max(1) }
}

/// Computes the windows in this process. Returns `None` for a dry run.
async fn run_locally(
    arguments: &BackfillArguments,
    series: &WindowSeries,
    request: ScanRequest,
) -> Result<Option<Vec<WindowOutcome>>> {
    let scan_options = &arguments.scan_options;
    let local = scan_options.local_options();
    let engine = Local::new(&local)?;
    let locations = scan_options.locations()?;
    let planner =
        WindowPlanner::open(&request, &Access::Any, &DetectionPolicy::of_own_process(), locations.as_ref())
            .await?;
    // Windows share their state, even without a cache.
    let scratch = tempfile::tempdir().map_err(Error::io("creating a temporary folder"))?;
    let state = StateStore::new(scan_options.state_location(scratch.path())?);
    let windows_at_once = at_once(series, local.threads.min(MOST_WINDOWS_HERE));
    let options = RunOptions {
        engine: &engine,
        runtime: engine.runtime(),
        state: &state,
        use_cache: true,
        // Concurrent windows use the threads at less cost than shards, because each shard is planned separately.
        shards: local.threads.div_ceil(windows_at_once),
        concurrent_merges: CONCURRENT_MERGES,
        config: &planner.config,
        job: "",
        locations: locations.as_ref(),
    };
    let windows = series.windows();
    if arguments.dry_run {
        let looks: Vec<_> =
            windows.iter().map(|window| preview_window(&planner, *window, &options)).collect();
        let planned: Vec<PlannedWindow> = stream::iter(looks).buffered(windows_at_once).try_collect().await?;
        if scan_options.json {
            terminal::print_json(&planned.iter().map(WindowPreview::from).collect::<Vec<_>>())?;
        } else {
            print_dry_run(series, &planned);
        }
        return Ok(None);
    }
    if scan_options.prints_text() {
        print_windows(series);
    }
    let bar = WindowsBar::new(windows.len(), scan_options.prints_text());
    let computed = |window: Window| {
        let (planner, options, bar) = (&planner, &options, &bar);
        async move {
            let outcome = row_of_window(planner, window, options, bar).await?;
            bar.done();
            Ok(outcome)
        }
    };
    let work: Vec<_> = windows.into_iter().map(computed).collect();
    let outcomes: Result<Vec<WindowOutcome>> =
        stream::iter(work).buffered(windows_at_once).try_collect().await;
    bar.finish();
    outcomes.map(Some)
}

/// Lets a coordinator compute each window as a separate job.
async fn run_remotely(
    arguments: &BackfillArguments,
    series: &WindowSeries,
    address: &str,
    request: ScanRequest,
) -> Result<Vec<WindowOutcome>> {
    let scan_options = &arguments.scan_options;
    if scan_options.no_cache {
        return Err(Error::Invalid(
            "the windows of a backfill share the state of the coordinator: remove --no-cache".into(),
        ));
    }
    let of_window = |window: Window| {
        let (from_us, to_us) = (Some(window.from_us), Some(window.to_us));
        ScanRequest { from_us, to_us, ..request.clone() }
    };
    let windows = series.windows();
    let requests: Vec<ScanRequest> = windows.into_iter().map(of_window).collect();
    if let Some(first) = requests.first() {
        check_request(first, &DetectionPolicy::of_own_process())?;
    }
    let client = Client::new(address, &scan_options.credentials)?;
    if scan_options.prints_text() {
        print_windows(series);
    }
    let bar = WindowsBar::new(requests.len(), scan_options.prints_text());
    let computed = |request: ScanRequest| {
        let (mut client, bar) = (client.clone(), &bar);
        async move {
            let outcome = window_job(&mut client, scan_options.for_coordinator(request)?).await?;
            bar.done();
            Ok(outcome)
        }
    };
    let work: Vec<_> = requests.into_iter().map(computed).collect();
    let outcomes: Result<Vec<WindowOutcome>> =
        stream::iter(work).buffered(at_once(series, CONCURRENT_JOBS)).try_collect().await;
    bar.finish();
    outcomes
}

/// Computes the row of one window with a job of the coordinator.
async fn window_job(client: &mut Client, request: ScanRequest) -> Result<WindowOutcome> {
    let submit = || {
        let (mut client, request) = (client.clone(), request.clone());
        async move { client.submit(request).await }
    };
    // Wait until other jobs have ended.
    let job = BUSY.retry(submit, |error: &Error| matches!(error, Error::Busy(_)), |_, _| {}).await?;
    let ended = client.watch(&job.id, |_| {}).await?;
    check_done(&ended)?;
    client.report(&ended.id).await
}
