//! What `scan` and `investigate` have in common: their arguments, and running a request here or on a coordinator.

use std::path::{Path, PathBuf};
use std::time::Instant;

use hindcast_common::catalog::Location;
use hindcast_common::engine::{Local, LocalOptions, StateStore};
use hindcast_common::time::{parse_duration, parse_time};
use hindcast_common::{Error, Result};
use hindcast_proto::v1::{JobState, ScanRequest};

use super::arguments::{available_threads, default_state, parse_bytes};
use super::watchlist_files::read_config_with_watchlists;
use crate::client::{Client, Credentials};
use crate::lakes::Access;
use crate::locations::LocationDatabase;
use crate::output::{Format, OutputFolder, check_replaceable};
use crate::scan::{PlanOutline, RunOptions, ScanResult, Summary, prepare, question_of, run_scan, units_of};
use crate::screen;
use crate::sinks::{RunEnd, Sink, tell_all};

/// Merges at once in this process: while one orders its result, the other's tasks use the threads.
const CONCURRENT_MERGES: usize = 2;

/// Which rows are looked at, how, and where the results go.
#[derive(Debug, clap::Args)]
pub struct RunArguments {
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
    #[arg(long, value_delimiter = ',', default_value = "parquet,html", value_name = "FORMAT,..")]
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
    /// Say nothing but errors
    #[arg(long, conflicts_with = "json")]
    quiet: bool,
    /// Print summary.json (with --dry-run: the plan) instead of text
    #[arg(long)]
    json: bool,
}

impl RunArguments {
    /// Threads of the whole process.
    pub(super) fn threads(&self) -> usize {
        self.threads.map_or_else(available_threads, usize::from)
    }

    /// Where a person is told how it goes.
    fn is_told(&self) -> bool {
        !self.quiet && !self.json
    }

    /// What is asked for, of all rows and analyses.
    pub(super) fn request(&self) -> Result<ScanRequest> {
        let bound = |text: &Option<String>| text.as_deref().map(parse_time).transpose();
        let config_name = self.config.as_ref().map(|path| path.display().to_string());
        Ok(ScanRequest {
            lake: self.lake.clone(),
            from_us: bound(&self.from)?,
            to_us: bound(&self.to)?,
            last_us: self.last.as_deref().map(parse_duration).transpose()?,
            preset: self.preset.clone(),
            config: self.config.as_deref().map(read_config_with_watchlists).transpose()?.unwrap_or_default(),
            config_name: config_name.unwrap_or_default(),
            no_cache: self.no_cache,
            ..ScanRequest::default()
        })
    }

    /// Runs `request`, writes what it found and pushes it to `sinks`; nothing comes back where only the plan was wanted.
    pub(super) async fn run(&self, request: ScanRequest, sinks: &[Sink]) -> Result<Option<Summary>> {
        let started = Instant::now();
        if self.coordinator.is_some() && !sinks.is_empty() {
            return Err(Error::Config(
                "a coordinator pushes to its own sinks: give them to `hindcast coordinator`, not here".into(),
            ));
        }
        let result = match &self.coordinator {
            Some(address) if !self.dry_run => self.remote(address, request).await?,
            _ => match self.here(request).await? {
                Some(result) => result,
                None => return Ok(None),
            },
        };
        let folder = OutputFolder::create(&self.out)?;
        folder.write(&result, &self.format)?;
        let out = folder.publish()?;
        tracing::debug!("results written");
        if self.is_told() {
            screen::print_result(&result, &out, started.elapsed());
        }
        // The results are there, whatever becomes of this.
        let deliveries = tell_all(sinks, RunEnd { job: "", outcome: Ok(&result) }).await;
        if self.is_told() {
            screen::print_deliveries(&deliveries);
        }
        if self.json {
            screen::print_json(&result.report.summary)?;
        }
        Ok(Some(result.report.summary))
    }

    /// Whether something that could not be read is to be told by the exit code.
    pub(super) fn is_incomplete(&self, summary: &Summary) -> bool {
        !summary.coverage.complete && !self.allow_partial
    }

    /// Runs in this process; nothing where only the plan was wanted.
    async fn here(&self, request: ScanRequest) -> Result<Option<ScanResult>> {
        let options = LocalOptions { threads: self.threads(), memory_bytes: self.memory };
        let engine = Local::new(&options)?;
        let locations = self.geoip.as_deref().map(LocationDatabase::open).transpose()?;
        let prepared = prepare(&request, &Access::Any, locations.as_ref(), &engine.runtime()).await?;
        let outline = PlanOutline::of(&prepared.plan);
        if self.dry_run {
            screen::print_dry_run(&outline, &units_of(&prepared.plan), self.json)?;
            return Ok(None);
        }
        check_replaceable(&self.out)?;
        if self.is_told() {
            screen::print_plan(&outline);
        }
        // State of a run without a cache lives on disk too, outside the memory budget.
        let scratch = tempfile::tempdir().map_err(Error::io("creating a temporary folder"))?;
        let state = StateStore::new(self.state_location(scratch.path())?);
        let run = RunOptions {
            engine: &engine,
            runtime: engine.runtime(),
            state: &state,
            use_cache: !self.no_cache,
            shards: options.threads,
            concurrent_merges: CONCURRENT_MERGES,
            config: &prepared.config,
            job: "",
            locations: locations.as_ref(),
        };
        let progress = screen::ProgressBar::new(self.is_told());
        let result = run_scan(&prepared.plan, &run, &progress).await;
        progress.finish();
        result.map(Some)
    }

    /// Has a coordinator run it, and fetches what it found.
    async fn remote(&self, address: &str, mut request: ScanRequest) -> Result<ScanResult> {
        if self.geoip.is_some() {
            return Err(Error::Config(
                "a coordinator locates addresses by its own database: give --geoip to `hindcast coordinator`, not here"
                    .into(),
            ));
        }
        check_replaceable(&self.out)?;
        question_of(&request)?;
        // The coordinator has another working folder.
        request.lake = Location::parse(&request.lake)?.url().to_owned();
        let mut client = Client::new(address, &self.credentials)?;
        let job = client.submit(request).await?;
        if self.is_told() {
            println!("job       {}", job.id);
        }
        let progress = screen::JobBar::new(self.is_told());
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

    fn state_location(&self, scratch: &Path) -> Result<Location> {
        match &self.state {
            Some(url) => Location::parse(url),
            None if self.no_cache => Location::parse(&scratch.display().to_string()),
            None => Location::parse(&default_state()?.display().to_string()),
        }
    }
}
