//! `hindcast detections test`

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use hindcast_base::format::counted;
use hindcast_base::time::{parse_duration, parse_time};
use hindcast_base::{Error, Result};
use hindcast_detections::analyses::Analysis;
use hindcast_detections::config::Config;
use hindcast_detections::findings::{Finding, Severity};
use hindcast_engine::{Local, LocalOptions, StateStore};
use hindcast_lake::Location;
use hindcast_proto::v1::ScanRequest;
use serde::Serialize;
use serde_json::json;

use super::super::Outcome;
use super::super::arguments::{available_threads, default_state, parse_memory};
use super::super::own_files::read_for_trial;
use super::super::scan_options::CONCURRENT_MERGES;
use super::KnownArguments;
use super::list::named;
use super::messages::message;
use crate::terminal;
use hindcast_scan::geoip::LocationDatabase;
use hindcast_scan::lake_access::Access;
use hindcast_scan::own_detections::{DetectionPolicy, OwnFiles};
use hindcast_scan::{RunOptions, ScanResult, Summary, prepare, run_plan};

/// Entities shown per detection.
const SHOWN_ENTITIES: usize = 10;

/// Arguments of `hindcast detections test`.
#[derive(Debug, Args)]
pub(super) struct TestArguments {
    /// Ids of the detections [default: your own, or all if you have none]
    ids: Vec<String>,
    #[command(flatten)]
    known: KnownArguments,
    /// With --lake: start of the window, a date or an RFC 3339 time, in UTC
    #[arg(long, value_name = "T", conflicts_with = "last", requires = "lake")]
    from: Option<String>,
    /// With --lake: end of the window (exclusive)
    #[arg(long, value_name = "T", conflicts_with = "last", requires = "lake")]
    to: Option<String>,
    /// With --lake: length of a window that ends at the newest row, such as 7d
    #[arg(long, value_name = "SPAN", requires = "lake")]
    last: Option<String>,
    /// With --lake: location database
    #[arg(long, value_name = "FILE.mmdb", requires = "lake")]
    geoip: Option<PathBuf>,
    /// With --lake: location of the rollups [default: the user's cache folder]
    #[arg(long, value_name = "URL", requires = "lake")]
    state: Option<String>,
    /// With --lake: don't use rollups of earlier scans, and don't store new ones
    #[arg(long, conflicts_with = "state", requires = "lake")]
    no_cache: bool,
    /// Threads [default: one per processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Memory for grouping, sorting and joining
    #[arg(long, default_value = "4GiB", value_name = "SIZE", value_parser = parse_memory)]
    memory: usize,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

impl TestArguments {
    /// Threads of the process.
    pub(super) fn threads(&self) -> usize {
        self.threads.map_or_else(available_threads, usize::from)
    }

    /// Prints the error of a file in a form that editors parse.
    fn refuse(&self, error: Error) -> Result<Outcome> {
        if self.json {
            return Err(error);
        }
        println!("{}", message(error)?);
        Ok(Outcome::BadArguments)
    }

    /// The requested detections.
    fn wanted(&self, config: &Config) -> Result<Vec<&'static Analysis>> {
        if !self.ids.is_empty() {
            return self.ids.iter().map(|id| named(config, id)).collect();
        }
        let all = config.detections.analyses();
        let own: Vec<_> = all.iter().copied().filter(|analysis| analysis.about.is_own).collect();
        Ok(if own.is_empty() { all.to_vec() } else { own })
    }
}

/// Runs the command.
pub(super) async fn run(arguments: &TestArguments) -> Result<Outcome> {
    let (config, files) = match arguments.known.for_trial().await {
        Ok(known) => known,
        Err(error) => return arguments.refuse(error),
    };
    let wanted = arguments.wanted(&config)?;
    match &arguments.known.lake {
        Some(lake) => find_in_lake(arguments, lake, &wanted).await,
        None => run_cases(arguments, &config, &wanted, &files).await,
    }
}

async fn run_cases(
    arguments: &TestArguments,
    config: &Config,
    wanted: &[&'static Analysis],
    files: &OwnFiles,
) -> Result<Outcome> {
    let mut reports = Vec::new();
    let mut has_failed = false;
    for analysis in wanted {
        let of_analysis = match hindcast_cases::run(&config.detections, analysis.id).await {
            Ok(reports) => reports,
            Err(error) => return arguments.refuse(files.at_place(error)),
        };
        let failed: Vec<_> = of_analysis.iter().filter(|report| !report.passed()).collect();
        has_failed |= !failed.is_empty();
        if !arguments.json {
            failed.iter().for_each(|report| println!("{}", report.message(files.place_of(report.file))));
            match (of_analysis.len(), failed.len()) {
                (0, _) => println!("{}: no cases", analysis.id),
                (all, 0) => println!("{}: {} passed", analysis.id, counted(all as u64, "case")),
                (all, failed) => println!("{}: {failed} of {all} cases FAILED", analysis.id),
            }
        }
        reports.extend(of_analysis);
    }
    if arguments.json {
        let results = reports.iter().map(|report| {
            json!({
                "detection": report.detection, "case": report.case, "file": files.place_of(report.file), "line": report.line,
                "passed": report.passed(),
                "differences": report.differences.iter().map(|one| json!({ "line": one.line, "message": one.message })).collect::<Vec<_>>(),
            })
        });
        terminal::print_json(&results.collect::<Vec<_>>())?;
    }
    Ok(if has_failed { Outcome::Failed } else { Outcome::Done })
}

/// What a detection finds in a lake.
#[derive(Debug, Serialize)]
struct Found {
    detection: &'static str,
    /// Rows of its table.
    rows: usize,
    findings: usize,
    /// Findings by the UTC day on which they were first seen; days without findings are omitted.
    by_day: BTreeMap<String, usize>,
    by_severity: BTreeMap<&'static str, usize>,
    /// The entities with the most findings, and their numbers.
    entities: Vec<(String, usize)>,
    /// Why the detection did not run; absent if it did.
    not_run: Option<String>,
}

/// Scans the lake with only these detections.
async fn find_in_lake(
    arguments: &TestArguments,
    lake: &str,
    wanted: &[&'static Analysis],
) -> Result<Outcome> {
    let result = scan(arguments, lake, wanted).await?;
    let summary = &result.report.summary;
    let found: Vec<Found> = wanted.iter().map(|analysis| found(analysis, &result)).collect();
    if arguments.json {
        terminal::print_json(&json!({
            "window": summary.window, "detections": found, "coverage_complete": summary.coverage.complete,
        }))?;
    } else {
        println!("window    {} to {}", summary.window.from, summary.window.to);
        let days = days_of(summary);
        found.iter().for_each(|found| print(found, days));
        terminal::print_unread(summary);
    }
    Ok(if summary.is_whole() { Outcome::Done } else { Outcome::Incomplete })
}

async fn scan(arguments: &TestArguments, lake: &str, wanted: &[&'static Analysis]) -> Result<ScanResult> {
    let known = &arguments.known;
    let (config, detections) = read_for_trial(known.config.as_deref(), &known.detections).await?;
    let bound = |text: &Option<String>| text.as_deref().map(parse_time).transpose();
    let request = ScanRequest {
        lake: lake.to_owned(),
        from_us: bound(&arguments.from)?,
        to_us: bound(&arguments.to)?,
        last_us: arguments.last.as_deref().map(parse_duration).transpose()?,
        analyses: wanted.iter().map(|analysis| analysis.id.to_owned()).collect(),
        preset: known.preset.clone(),
        config,
        config_name: known.config.as_ref().map(|path| path.display().to_string()).unwrap_or_default(),
        detections: detections.to_request()?,
        ..ScanRequest::default()
    };
    let engine = Local::new(&LocalOptions { threads: arguments.threads(), memory_bytes: arguments.memory })?;
    let locations = arguments.geoip.as_deref().map(LocationDatabase::open).transpose()?;
    let policy = DetectionPolicy::of_trial();
    let prepared = prepare(&request, &Access::Any, &policy, locations.as_ref(), &engine.runtime()).await?;
    let scratch = tempfile::tempdir().map_err(Error::io("creating a temporary folder"))?;
    let state = match &arguments.state {
        Some(url) => Location::parse(url)?,
        None if arguments.no_cache => Location::parse(&scratch.path().display().to_string())?,
        None => Location::parse(&default_state()?.display().to_string())?,
    };
    let state = StateStore::new(state);
    let options = RunOptions {
        engine: &engine,
        runtime: engine.runtime(),
        state: &state,
        use_cache: !arguments.no_cache,
        shards: arguments.threads(),
        concurrent_merges: CONCURRENT_MERGES,
        config: &prepared.config,
        job: "",
        locations: locations.as_ref(),
    };
    let progress = terminal::ProgressBar::new(!arguments.json);
    let result = run_plan(&prepared.plan, &options, &progress).await;
    progress.finish();
    result
}

fn found(analysis: &'static Analysis, result: &ScanResult) -> Found {
    let findings: Vec<&Finding> =
        result.findings.iter().filter(|finding| finding.analysis == analysis.id).collect();
    let (mut by_day, mut by_severity, mut entities) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for finding in &findings {
        let day = finding.first_seen.as_deref().and_then(|first| first.get(..10)).unwrap_or("no day");
        *by_day.entry(day.to_owned()).or_default() += 1;
        *by_severity.entry(finding.severity.name()).or_default() += 1;
        for entity in &finding.entities {
            *entities.entry(format!("{} {}", entity.kind.name(), entity.name)).or_default() += 1;
        }
    }
    let mut entities: Vec<(String, usize)> = entities.into_iter().collect();
    entities.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
    entities.truncate(SHOWN_ENTITIES);
    let table = result.tables.iter().find(|table| table.name == analysis.id);
    Found {
        detection: analysis.id,
        rows: table.map_or(0, |table| table.rows()),
        findings: findings.len(),
        by_day,
        by_severity,
        entities,
        not_run: result.report.summary.disabled.get(analysis.id).cloned(),
    }
}

/// Days of the window, at least one.
fn days_of(summary: &Summary) -> f64 {
    let length = parse_time(&summary.window.to).ok().zip(parse_time(&summary.window.from).ok());
    let micros = length.map_or(0, |(to, from)| to - from);
    (micros as f64 / hindcast_base::time::MICROS_PER_DAY as f64).max(1.0)
}

fn print(found: &Found, days: f64) {
    if let Some(reason) = &found.not_run {
        println!("{}: did not run: {reason}", found.detection);
        return;
    }
    let each_day = found.findings as f64 / days;
    let rows = counted(found.rows as u64, "row");
    let findings = counted(found.findings as u64, "finding");
    println!("{}: {rows}, {findings}, {each_day:.1} per day", found.detection);
    let severities = Severity::ALL.iter().rev().filter_map(|severity| {
        found.by_severity.get(severity.name()).map(|count| format!("{count} {}", severity.name()))
    });
    let severities: Vec<String> = severities.collect();
    if !severities.is_empty() {
        println!("  severity  {}", severities.join(", "));
    }
    for (day, count) in &found.by_day {
        println!("  {day}  {count}");
    }
    for (entity, count) in &found.entities {
        println!("  {entity}  {count}");
    }
}
