//! `hindcast scan`

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use hindcast_common::catalog::Location;
use hindcast_common::engine::{Local, LocalOptions, StateStore};
use hindcast_common::time::{parse_duration, parse_time};
use hindcast_common::{Error, Result};
use hindcast_proto::v1::{JobState, ScanRequest};

use super::Outcome;
use super::arguments::{available_threads, default_state, parse_bytes};
use super::watchlist_files::read_config_with_watchlists;
use crate::client::{Client, Credentials};
use crate::lakes::Access;
use crate::locations::LocationDatabase;
use crate::output::{Format, OutputFolder, check_replaceable};
use crate::risk::Level;
use crate::scan::{PlanOutline, RunOptions, ScanResult, Summary, prepare, question_of, run_scan, units_of};
use crate::screen;

/// Merges at once in this process: while one orders its result, the other's tasks use the threads.
const CONCURRENT_MERGES: usize = 2;

/// Arguments of `hindcast scan`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hindcast scan --lake demo-lake
  hindcast scan --lake s3://telemetry/lake --last 24h --fail-on high
  hindcast scan --lake lake --from 2026-01-05 --to 2026-01-12 --suite firewall --format parquet,csv,xlsx
  hindcast scan --lake s3://telemetry/lake --coordinator soc.example:7480 --tls certificates/client --token-file token
  hindcast scan --lake lake --suite office365 --geoip GeoLite2-City.mmdb
  hindcast scan --lake lake --only beaconing,egress_spikes --preset notebook --dry-run

Exit status: 0 done; 1 failed; 2 bad arguments or configuration; 3 incomplete coverage; 4 --fail-on reached")]
pub struct ScanArguments {
    /// The lake: a path, file://, s3://, az://, abfss:// or gs:// URL
    #[arg(long, value_name = "URL")]
    lake: String,
    /// First instant: a date or RFC 3339, UTC
    #[arg(long, value_name = "T", conflicts_with = "last")]
    from: Option<String>,
    /// First instant after the window
    #[arg(long, value_name = "T", conflicts_with = "last")]
    to: Option<String>,
    /// This long, back from the newest row: 90m, 24h, 7d
    #[arg(long, value_name = "SPAN")]
    last: Option<String>,
    /// Suites to run
    #[arg(long, value_delimiter = ',', value_name = "SUITE,..")]
    suite: Vec<String>,
    /// Analyses to run
    #[arg(long, value_delimiter = ',', value_name = "ANALYSIS,..")]
    only: Vec<String>,
    /// Parameters to start from: default or notebook
    #[arg(long, default_value = "default")]
    preset: String,
    /// Parameters and table mappings laid over the preset
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where addresses are: a database of cities or countries in MaxMind's format
    #[arg(long, value_name = "FILE.mmdb")]
    geoip: Option<PathBuf>,
    /// Folder for the results
    #[arg(long, default_value = "hindcast-out", value_name = "DIR")]
    out: PathBuf,
    /// Formats of the results
    #[arg(long, value_delimiter = ',', default_value = "parquet", value_name = "FORMAT,..")]
    format: Vec<Format>,
    /// Where rollups are kept for the next scan [default: the user's cache folder]
    #[arg(long, value_name = "URL")]
    state: Option<String>,
    /// Keep no rollups and use none from earlier
    #[arg(long, conflicts_with = "state")]
    no_cache: bool,
    /// Threads [default: one a processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Memory for grouping, sorting and joining, beyond which they spill to disk
    #[arg(long, default_value = "4GiB", value_name = "SIZE", value_parser = parse_bytes)]
    memory: usize,
    /// Have this coordinator scan: HOST:PORT
    #[arg(long, value_name = "URL", conflicts_with_all = ["state", "threads", "memory"])]
    coordinator: Option<String>,
    #[command(flatten)]
    credentials: Credentials,
    /// End with 0 even where files could not be read
    #[arg(long)]
    allow_partial: bool,
    /// Show what would be scanned, and stop
    #[arg(long)]
    dry_run: bool,
    /// End with 4 where the run's level is this or higher
    #[arg(long, value_name = "LEVEL")]
    fail_on: Option<FailOn>,
    /// Say nothing but errors
    #[arg(long, conflicts_with = "json")]
    quiet: bool,
    /// Print summary.json (with --dry-run: the plan) instead of text
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum FailOn {
    Low,
    Medium,
    High,
}

impl ScanArguments {
    /// Threads of the whole process.
    pub(super) fn threads(&self) -> usize {
        self.threads.map_or_else(available_threads, usize::from)
    }

    fn request(&self) -> Result<ScanRequest> {
        let bound = |text: &Option<String>| text.as_deref().map(parse_time).transpose();
        let config_name = self.config.as_ref().map(|path| path.display().to_string());
        Ok(ScanRequest {
            lake: self.lake.clone(),
            from_us: bound(&self.from)?,
            to_us: bound(&self.to)?,
            last_us: self.last.as_deref().map(parse_duration).transpose()?,
            suites: self.suite.clone(),
            analyses: self.only.clone(),
            preset: self.preset.clone(),
            config: self.config.as_deref().map(read_config_with_watchlists).transpose()?.unwrap_or_default(),
            config_name: config_name.unwrap_or_default(),
            no_cache: self.no_cache,
        })
    }
}

/// Runs the command.
pub(super) async fn run(arguments: &ScanArguments) -> Result<Outcome> {
    let started = std::time::Instant::now();
    let request = arguments.request()?;
    let is_told = !arguments.quiet && !arguments.json;
    let result = match &arguments.coordinator {
        Some(address) if !arguments.dry_run => remote(arguments, address, request, is_told).await?,
        _ => match here(arguments, request, is_told).await? {
            Some(result) => result,
            None => return Ok(Outcome::Done),
        },
    };
    let folder = OutputFolder::create(&arguments.out)?;
    folder.write(&result, &arguments.format)?;
    let out = folder.publish()?;
    tracing::debug!("results written");
    if is_told {
        screen::print_result(&result, &out, started.elapsed());
    }
    if arguments.json {
        screen::print_json(&result.report.summary)?;
    }
    Ok(outcome(arguments, &result.report.summary))
}

/// Scans in this process; nothing where only the plan was wanted.
async fn here(arguments: &ScanArguments, request: ScanRequest, is_told: bool) -> Result<Option<ScanResult>> {
    let options = LocalOptions { threads: arguments.threads(), memory_bytes: arguments.memory };
    let engine = Local::new(&options)?;
    let locations = arguments.geoip.as_deref().map(LocationDatabase::open).transpose()?;
    let prepared = prepare(&request, &Access::Any, locations.as_ref(), &engine.runtime()).await?;
    let outline = PlanOutline::of(&prepared.plan);
    if arguments.dry_run {
        screen::print_dry_run(&outline, &units_of(&prepared.plan), arguments.json)?;
        return Ok(None);
    }
    check_replaceable(&arguments.out)?;
    if is_told {
        screen::print_plan(&outline);
    }
    // State of a run without a cache lives on disk too, outside the memory budget.
    let scratch = tempfile::tempdir().map_err(Error::io("creating a temporary folder"))?;
    let state = StateStore::new(state_location(arguments, scratch.path())?);
    let run = RunOptions {
        engine: &engine,
        runtime: engine.runtime(),
        state: &state,
        use_cache: !arguments.no_cache,
        shards: options.threads,
        concurrent_merges: CONCURRENT_MERGES,
        config: &prepared.config,
        job: "",
        locations: locations.as_ref(),
    };
    let progress = screen::ProgressBar::new(is_told);
    let result = run_scan(&prepared.plan, &run, &progress).await;
    progress.finish();
    result.map(Some)
}

/// Has a coordinator scan, and fetches what it found.
async fn remote(
    arguments: &ScanArguments,
    address: &str,
    mut request: ScanRequest,
    is_told: bool,
) -> Result<ScanResult> {
    if arguments.geoip.is_some() {
        return Err(Error::Config(
            "a coordinator locates addresses by its own database: give --geoip to `hindcast coordinator`, not to the scan"
                .into(),
        ));
    }
    check_replaceable(&arguments.out)?;
    question_of(&request)?;
    // The coordinator has another working folder.
    request.lake = Location::parse(&request.lake)?.url().to_owned();
    let mut client = Client::new(address, &arguments.credentials)?;
    let job = client.submit(request).await?;
    if is_told {
        println!("job       {}", job.id);
    }
    let progress = screen::JobBar::new(is_told);
    let ended = client.watch(&job.id, |job| progress.show(job)).await;
    progress.finish();
    let ended = ended?;
    match ended.state() {
        JobState::Done => client.result(&ended.id).await,
        JobState::Cancelled => Err(Error::Internal(format!("job {} was cancelled", ended.id))),
        _ if ended.is_bad_request => Err(Error::Config(ended.error)),
        _ => Err(Error::Internal(ended.error)),
    }
}

fn state_location(arguments: &ScanArguments, scratch: &std::path::Path) -> Result<Location> {
    match &arguments.state {
        Some(url) => Location::parse(url),
        None if arguments.no_cache => Location::parse(&scratch.display().to_string()),
        None => Location::parse(&default_state()?.display().to_string()),
    }
}

fn outcome(arguments: &ScanArguments, summary: &Summary) -> Outcome {
    let threshold = arguments.fail_on.map(|level| match level {
        FailOn::Low => Level::Low,
        FailOn::Medium => Level::Medium,
        FailOn::High => Level::High,
    });
    if !summary.coverage.complete && !arguments.allow_partial {
        Outcome::Incomplete
    } else if threshold.is_some_and(|threshold| summary.risk.level >= threshold) {
        Outcome::LevelReached
    } else {
        Outcome::Done
    }
}
