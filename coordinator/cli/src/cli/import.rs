//! `hindcast import`

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use hindcast_base::format::counted;
use hindcast_base::log_time::{DateOrder, Zone};
use hindcast_base::time::{MICROS_PER_DAY, Window, date_start_us, parse_time};
use hindcast_base::{Error, Result};
use hindcast_engine::runtime;
use hindcast_lake::Location;

use super::Outcome;
use super::arguments::{available_threads, parse_memory, read_config};
use super::import_report::{SHOWN_KINDS, print_report};
use super::import_watch::{Prints, merge_small_files, parse_interval, watch};
use super::own_files::read_own;
use super::tables::print_quality;
use crate::terminal;
use hindcast_import::{DryRun, FileReport, ImportReport, ImportRequest, TimeOptions, import};
use hindcast_scan::lake_access::{Access, LakeLayers, open_lake, tables_of};
use hindcast_scan::own_detections::DetectionPolicy;
use hindcast_tables::data_quality;
use hindcast_tables::inventory;

/// Arguments of `hindcast import`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hindcast import exports/*.csv --table OfficeActivity --lake lake
  hindcast import conn.log.gz http.log.gz --lake s3://soc/lake
  hindcast import az://insights-logs-advancedhunting-deviceprocessevents/ \\
      --lake az://soc/lake
  hindcast import proxy.ndjson --mapping proxy.toml --lake lake \\
      --record-id EventId
  hindcast import proxy.ndjson --mapping proxy.toml --dry-run
  hindcast import --watch /var/log/firewall --lake s3://soc/lake

The format of a file is detected from its content: CSV, NDJSON, JSON arrays, CEF, Zeek or Parquet, plain or compressed \
(gzip, bzip2, xz, zstd). Archives (tar, zip) stand for the files in them. Files whose content was imported before are skipped. If a file can't be read, the command names it and imports the \
others.

Exit status: 0 everything is imported; 1 nothing is imported, or writing failed; 2 invalid arguments, or no file can be \
read; 3 some files could not be read, or more records were rejected than --allow-rejects allows")]
pub struct ImportArguments {
    /// Files or folders: paths or URLs
    #[arg(required = true)]
    files: Vec<String>,
    /// The lake to write to
    #[arg(long, value_name = "URL", required_unless_present = "dry_run")]
    lake: Option<String>,
    /// Write nothing, and show what is detected in each file, its first rows as they would be stored, and what has no place
    #[arg(long)]
    dry_run: bool,
    /// With --dry-run: also say why the format and the source were chosen
    #[arg(long, requires = "dry_run")]
    explain: bool,
    /// The table, if the records do not name it
    #[arg(long, value_name = "NAME")]
    table: Option<String>,
    /// Folder or URL of your own detections, whose tables the files may be of; may be repeated
    #[arg(long, value_name = "DIR")]
    detections: Vec<String>,
    /// The source of the files, instead of detecting it; `hindcast sources` lists them
    #[arg(long, value_name = "NAME", conflicts_with = "mapping")]
    source: Option<String>,
    /// A file that maps fields to columns
    #[arg(long, value_name = "FILE")]
    mapping: Option<PathBuf>,
    /// The order of day and month in dates such as 3/5/2026, if the dates of a file do not prove it
    #[arg(long, value_name = "ORDER", value_parser = date_orders())]
    dates: Option<DateOrder>,
    /// The time zone of times without one: a name such as Europe/Berlin, or an offset such as +01:00 [default: UTC]
    #[arg(long, value_name = "ZONE", value_parser = parse_zone)]
    time_zone: Option<Zone>,
    /// Times without a year are in the last year before this time [default: the modification time of each file]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    logged_before: Option<i64>,
    /// Times that are numbers too small for seconds since 1970 are seconds since this time, such as the start of a
    /// capture
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    epoch: Option<i64>,
    /// Stop at the first record that can't be read, and import nothing
    #[arg(long)]
    strict: bool,
    /// Share of records that may be rejected; if more are, the command exits with 3
    #[arg(long, value_name = "N%", default_value = "10%", value_parser = parse_percent)]
    allow_rejects: f64,
    /// Skip rows that the table already has: rows of the same date with the same value in this column and in all other
    /// columns
    #[arg(long, value_name = "COLUMN")]
    record_id: Option<String>,
    /// Go on and import the files that appear, each content once, as soon as they no longer change
    #[arg(long, conflicts_with = "dry_run")]
    watch: bool,
    /// How often --watch looks; a file that stayed the same for so long counts as complete
    #[arg(long, value_name = "SPAN", default_value = "10s", value_parser = parse_interval, requires = "watch")]
    every: Duration,
    /// Threads [default: one per processor]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Memory for merging files smaller than 4 MiB
    #[arg(long, value_name = "SIZE", default_value = "512MiB", value_parser = parse_memory)]
    memory: usize,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
    /// Print only errors
    #[arg(long)]
    quiet: bool,
}

impl ImportArguments {
    /// Threads of the process.
    pub(super) fn threads(&self) -> usize {
        self.threads.unwrap_or_else(available_threads).max(1)
    }
}

/// The orders of day and month, each with an example.
fn date_orders() -> impl TypedValueParser<Value = DateOrder> {
    let example =
        |order| if order == DateOrder::DayFirst { "5/3/2026 is 5 March" } else { "5/3/2026 is 3 May" };
    let names = DateOrder::NAMES.map(|(name, order)| PossibleValue::new(name).help(example(order)));
    PossibleValuesParser::new(names).try_map(|name| name.parse::<DateOrder>())
}

fn parse_zone(text: &str) -> Result<Zone, String> {
    Zone::parse(text)
        .ok_or_else(|| "give a time zone name such as Europe/Berlin, or an offset such as +01:00".to_owned())
}

/// Runs the command.
pub(super) async fn run(arguments: &ImportArguments) -> Result<Outcome> {
    let mapping = match &arguments.mapping {
        Some(path) => Some((path.display().to_string(), read_config(path)?)),
        None => None,
    };
    let (_, own) = read_own(None, &arguments.detections).await?;
    // A dry run without a lake has the tables and contents of an empty one.
    let empty_lake = tempfile::tempdir().map_err(Error::io("making a temporary folder"))?;
    let lake = arguments.lake.clone().unwrap_or_else(|| empty_lake.path().display().to_string());
    let (known, mappings) = tables_of(&lake, &own).await?;
    let request = ImportRequest {
        files: arguments.files.clone(),
        lake: Location::parse(&lake)?,
        table: arguments.table.clone(),
        source: arguments.source.clone(),
        mapping,
        strict: arguments.strict,
        record_id: arguments.record_id.clone(),
        times: TimeOptions {
            dates: arguments.dates,
            zone: arguments.time_zone.unwrap_or_default(),
            logged_before_us: arguments.logged_before,
            epoch_us: arguments.epoch,
        },
        known,
        mappings,
        threads: arguments.threads(),
        dry_run: arguments.dry_run.then_some(DryRun { explain: arguments.explain }),
    };
    let prints_text = !arguments.quiet && !arguments.json;
    if arguments.watch {
        let prints = match (arguments.quiet, arguments.json) {
            (true, _) => Prints::Errors,
            (false, true) => Prints::Json,
            (false, false) => Prints::Text,
        };
        return watch(&request, arguments.every, arguments.memory, prints).await;
    }
    let bar = terminal::ProgressBar::new(prints_text);
    let report = import(&request, |done, total| bar.set_bytes(done, total)).await;
    bar.finish();
    let report = report?;
    for (table, imported) in &report.tables {
        merge_small_files(&request, table, &imported.dates, arguments.memory).await?;
    }
    if arguments.json {
        terminal::print_json(&report)?;
    }
    if prints_text {
        print_report(&report)?;
    }
    if prints_text && arguments.dry_run {
        terminal::print_preview(&report);
    }
    if prints_text && !report.tables.is_empty() {
        let policy = DetectionPolicy::of_own_process();
        let layers = LakeLayers { preset: "default", own: None, detections: &own };
        let lake = open_lake(&lake, &layers, &Access::Any, &policy).await?.0.only(None)?;
        let runtime = runtime(arguments.memory, None)?;
        for (table, imported) in &report.tables {
            let (Some(first), Some(last)) = (imported.dates.first(), imported.dates.last()) else { continue };
            let window = Window::new(date_start_us(*first), date_start_us(*last) + MICROS_PER_DAY)?;
            let detail = inventory::show(&lake, table).await?;
            print_quality(table, &data_quality::examine(&lake, &detail, Some(&window), &runtime).await?);
        }
    }
    Ok(outcome(&report, arguments.allow_rejects))
}

/// Parses a percentage such as `10%`.
fn parse_percent(text: &str) -> std::result::Result<f64, String> {
    let number = text.strip_suffix('%').unwrap_or(text).trim().parse::<f64>().ok();
    number
        .filter(|percent| (0.0..=100.0).contains(percent))
        .ok_or_else(|| format!("{text:?} is not a percentage between 0% and 100%"))
}

/// The outcome of an import. Prints the reason to standard error if it is incomplete.
fn outcome(report: &ImportReport, allowed_percent: f64) -> Outcome {
    if report
        .files
        .iter()
        .all(|file| file.failure.is_none() && !file.already_imported && file.imported_rows() == 0)
    {
        eprintln!("error: nothing was imported: {}", nothing_kept(report));
        return Outcome::Failed;
    }
    let mut outcome = Outcome::Done;
    let failed: Vec<&FileReport> = report.files.iter().filter(|file| file.failure.is_some()).collect();
    if !failed.is_empty() {
        let count = failed.len();
        eprintln!(
            "error: {count} of {} files could not be read; run the import again after you have fixed them:",
            report.files.len()
        );
        for file in failed {
            eprintln!("  {}: {}", file.file, file.failure.as_deref().unwrap_or_default());
        }
        outcome = Outcome::Incomplete;
    }
    for file in report.files.iter().filter(|file| file.rejects > 0 && file.imported_rows() == 0) {
        let first = file.first_reject.as_deref().unwrap_or_default();
        eprintln!(
            "error: nothing from {} was imported: {} rejected, the first because {first}",
            file.file,
            counted(file.rejects, "record")
        );
        outcome = Outcome::Incomplete;
    }
    let (rejects, records) = (report.rejects(), report.records());
    if rejects as f64 * 100.0 > allowed_percent * records as f64 {
        eprintln!(
            "error: {rejects} of {} rejected, more than --allow-rejects {allowed_percent}% allows",
            counted(records, "record")
        );
        outcome = Outcome::Incomplete;
    }
    outcome
}

/// Why an import has no rows.
fn nothing_kept(report: &ImportReport) -> String {
    if let Some(first) = report.files.iter().find_map(|file| file.first_reject.as_deref()) {
        return format!("{} rejected; the first: {first}", counted(report.rejects(), "record"));
    }
    let kinds: Vec<&str> = report
        .files
        .iter()
        .flat_map(|file| file.set_aside.keys())
        .map(String::as_str)
        .take(SHOWN_KINDS)
        .collect();
    match kinds.is_empty() {
        true => "the files hold no records".to_owned(),
        false => format!(
            "there is no table for records of this kind: {}; --source generic --table NAME imports them with their own columns",
            kinds.join(", ")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(rows: u64, rejects: u64) -> FileReport {
        let first_reject = (rejects > 0).then(|| "line 1: not JSON".to_owned());
        FileReport {
            rows: [("AuditLogs".to_owned(), rows)].into(),
            rejects,
            first_reject,
            ..FileReport::default()
        }
    }

    fn unreadable() -> FileReport {
        FileReport { file: "b.gz".into(), failure: Some("it is cut short".into()), ..FileReport::default() }
    }

    fn outcome_of(files: Vec<FileReport>) -> Outcome {
        outcome(&ImportReport { files, ..ImportReport::default() }, 10.0)
    }

    #[test]
    fn the_outcome_follows_what_was_imported() {
        let before = FileReport { already_imported: true, ..FileReport::default() };
        assert_eq!(outcome_of(vec![file(9, 1)]), Outcome::Done);
        assert_eq!(outcome_of(vec![before]), Outcome::Done);
        assert_eq!(outcome_of(vec![file(8, 2)]), Outcome::Incomplete);
        assert_eq!(outcome_of(vec![file(9, 0), unreadable()]), Outcome::Incomplete);
        // All records of one of several files are rejected, though few of all.
        assert_eq!(outcome_of(vec![file(100, 0), file(0, 1)]), Outcome::Incomplete);
        assert_eq!(outcome_of(vec![file(0, 3)]), Outcome::Failed);
        assert_eq!(outcome_of(vec![file(0, 0)]), Outcome::Failed);
    }

    #[test]
    fn an_import_without_rows_says_why() {
        let reason =
            |file: FileReport| nothing_kept(&ImportReport { files: vec![file], ..ImportReport::default() });
        assert_eq!(reason(file(0, 1)), "1 record rejected; the first: line 1: not JSON");
        assert_eq!(reason(file(0, 2)), "2 records rejected; the first: line 1: not JSON");
        assert_eq!(reason(FileReport::default()), "the files hold no records");
        let other = FileReport { set_aside: [("dns".to_owned(), 4)].into(), ..FileReport::default() };
        assert!(reason(other).contains("records of this kind: dns; --source generic"));
    }

    #[test]
    fn percentages_are_parsed() {
        assert_eq!((parse_percent("10%"), parse_percent(" 2.5 %".trim())), (Ok(10.0), Ok(2.5)));
        assert_eq!(parse_percent("0"), Ok(0.0));
        for wrong in ["101%", "-1%", "much", "NaN"] {
            assert!(parse_percent(wrong).is_err(), "{wrong}");
        }
    }
}
