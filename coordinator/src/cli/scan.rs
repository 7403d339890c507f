//! `hindcast scan`

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use hindcast_common::analyses::{ANALYSES, Analysis, Suite};
use hindcast_common::catalog::Location;
use hindcast_common::engine::{Local, LocalOptions, StateStore};
use hindcast_common::time::{parse_duration, parse_time};
use hindcast_common::{Error, Result};

use super::Outcome;
use super::arguments::{available_threads, default_state, open_lake, parse_bytes};
use crate::output::{Format, OutputFolder, Summary, check_replaceable, summary_of};
use crate::scan::{Level, RunOptions, ScanRequest, WindowRequest, plan_scan, run_scan};
use crate::screen;

/// Arguments of `hindcast scan`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hindcast scan --lake demo-lake
  hindcast scan --lake s3://telemetry/lake --last 24h --fail-on high
  hindcast scan --lake lake --from 2026-01-05 --to 2026-01-12 --suite firewall --format parquet,csv,xlsx
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
        let window = match &self.last {
            Some(span) => WindowRequest::Last(parse_duration(span)?),
            None => {
                let bound = |text: &Option<String>| text.as_deref().map(parse_time).transpose();
                WindowRequest::Between(bound(&self.from)?, bound(&self.to)?)
            }
        };
        let only = self.only.iter().map(|name| analysis_named(name)).collect::<Result<Vec<_>>>()?;
        let suites = if self.suite.is_empty() {
            Suite::ALL.to_vec()
        } else {
            self.suite.iter().map(|name| suite_named(name)).collect::<Result<_>>()?
        };
        if let Some(other) = only.iter().find(|analysis| !suites.contains(&analysis.suite)) {
            return Err(Error::Config(format!(
                "{} is of the suite {}, which --suite leaves out",
                other.id,
                other.suite.name()
            )));
        }
        Ok(ScanRequest { window, suites, only })
    }
}

fn analysis_named(name: &str) -> Result<&'static Analysis> {
    let names = || ANALYSES.iter().map(|analysis| analysis.id);
    Analysis::by_id(name).ok_or_else(|| unknown("analysis", name, names()))
}

fn suite_named(name: &str) -> Result<Suite> {
    let found = Suite::ALL.into_iter().find(|suite| suite.name() == name);
    found.ok_or_else(|| unknown("suite", name, Suite::ALL.iter().map(|suite| suite.name())))
}

fn unknown<'a>(kind: &str, name: &str, known: impl Iterator<Item = &'a str>) -> Error {
    let known: Vec<&str> = known.collect();
    let nearest = known
        .iter()
        .max_by(|left, right| strsim::jaro_winkler(left, name).total_cmp(&strsim::jaro_winkler(right, name)));
    let hint = nearest.map(|nearest| format!("; did you mean {nearest}?")).unwrap_or_default();
    Error::Config(format!("there is no {kind} {name:?}{hint} Known: {}", known.join(", ")))
}

/// Runs the command.
pub(super) async fn run(arguments: &ScanArguments) -> Result<Outcome> {
    let started = std::time::Instant::now();
    let request = arguments.request()?;
    let (lake, config) = open_lake(&arguments.lake, &arguments.preset, arguments.config.as_deref()).await?;
    // State of a run without a cache lives on disk too, outside the memory budget.
    let scratch = tempfile::tempdir().map_err(Error::io("creating a temporary folder"))?;
    let state = StateStore::new(state_location(arguments, scratch.path())?);
    let options = LocalOptions { threads: arguments.threads(), memory_bytes: arguments.memory };
    let engine = Local::new(&options, &[lake.root(), state.location()])?;
    let plan = plan_scan(&lake, &request, &engine).await?;
    if arguments.dry_run {
        screen::print_plan(&plan, arguments.json)?;
        return Ok(Outcome::Done);
    }
    check_replaceable(&arguments.out)?;
    let is_told = !arguments.quiet && !arguments.json;
    if is_told {
        screen::print_plan(&plan, false)?;
    }
    let run = RunOptions {
        engine: &engine,
        state: &state,
        use_cache: !arguments.no_cache,
        shards: options.threads,
        config: &config,
    };
    tracing::debug!(tables = plan.tables.len(), "planned");
    let progress = screen::ProgressBar::new(is_told);
    let result = run_scan(&plan, &run, &progress).await;
    progress.finish();
    let result = result?;
    let summary = summary_of(&plan, &result, &config)?;
    let folder = OutputFolder::create(&arguments.out)?;
    folder.write(&result, &summary, &arguments.format)?;
    let out = folder.publish()?;
    tracing::debug!("results written");
    if is_told {
        screen::print_result(&plan, &result, &out, started.elapsed());
    }
    if arguments.json {
        screen::print_json(&summary)?;
    }
    Ok(outcome(arguments, &summary))
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
