//! `hindcast import`

use std::path::PathBuf;

use clap::Args;
use hindcast_common::Result;
use hindcast_common::catalog::Location;
use hindcast_common::config::TableMapping;
use hindcast_common::engine::runtime;
use hindcast_common::time::{MICROS_PER_DAY, Window, date_start_us, parse_time};

use super::Outcome;
use super::arguments::{available_threads, parse_bytes, read_config};
use super::tables::print_telemetry;
use crate::compact::{Wanted, compact};
use crate::import::{
    DateOrder, FileReport, ImportReport, ImportRequest, TINY_FILE_BYTES, TimeOptions, Zone, import,
};
use crate::lakes::{Access, open_lake};
use crate::merge::LeftAlone;
use crate::{inventory, screen, telemetry};

/// Columns with unreadable values, and kinds of records set aside, that are shown of a file.
const SHOWN_KINDS: usize = 8;

/// Arguments of `hindcast import`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hindcast import exports/*.csv --table OfficeActivity --lake lake
  hindcast import conn.log.gz http.log.gz --lake s3://soc/lake
  hindcast import az://insights-logs-advancedhunting-deviceprocessevents/ --lake az://soc/lake
  hindcast import proxy.ndjson --mapping proxy.toml --lake lake --record-id EventId

What a file is, is told by its content: CSV, NDJSON, JSON arrays, CEF, Zeek or Parquet, alone or in gzip, zstd or zip.
A file that was imported before, by its content, is passed over.")]
pub struct ImportArguments {
    /// Files or folders: paths or URLs
    #[arg(required = true)]
    files: Vec<String>,
    /// The lake to write to
    #[arg(long, value_name = "URL")]
    lake: String,
    /// The table, where records do not tell it
    #[arg(long, value_name = "NAME")]
    table: Option<String>,
    /// What the files are, in place of recognising it: defender-stream, monitor-export, portal-csv, office-audit, cef,
    /// zeek, sysmon or generic
    #[arg(long, value_name = "NAME", conflicts_with = "mapping")]
    source: Option<String>,
    /// A file that says which fields become which columns
    #[arg(long, value_name = "FILE")]
    mapping: Option<PathBuf>,
    /// The order of day and month in dates such as 3/5/2026, where a file's own dates do not prove it
    #[arg(long, value_name = "ORDER", value_enum)]
    dates: Option<DateOrder>,
    /// The time zone of times that state none: a name such as Europe/Berlin, or an offset such as +01:00; UTC unless given
    #[arg(long, value_name = "ZONE", value_parser = parse_zone)]
    time_zone: Option<Zone>,
    /// Times without a year are of the last year before this time; before each file's modification unless given
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    logged_before: Option<i64>,
    /// Stop at the first record that can't be read, and import nothing
    #[arg(long)]
    strict: bool,
    /// Keep of rows of one date with the same value of this column only the first
    #[arg(long, value_name = "COLUMN")]
    record_id: Option<String>,
    /// Threads; all processors unless given
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Memory for merging files of less than 4 MiB
    #[arg(long, value_name = "SIZE", default_value = "512MiB", value_parser = parse_bytes)]
    memory: usize,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
    /// Print nothing but errors
    #[arg(long)]
    quiet: bool,
}

impl ImportArguments {
    /// Threads to run on.
    pub(super) fn threads(&self) -> usize {
        self.threads.unwrap_or_else(available_threads).max(1)
    }
}

fn parse_zone(text: &str) -> Result<Zone, String> {
    Zone::parse(text).ok_or_else(|| {
        "give a name of the IANA database, such as Europe/Berlin, or an offset, such as +01:00".to_owned()
    })
}

/// Runs the command.
pub(super) async fn run(arguments: &ImportArguments) -> Result<Outcome> {
    let mapping = match &arguments.mapping {
        Some(path) => Some((path.display().to_string(), read_config(path)?)),
        None => None,
    };
    let request = ImportRequest {
        files: arguments.files.clone(),
        lake: Location::parse(&arguments.lake)?,
        table: arguments.table.clone(),
        source: arguments.source.clone(),
        mapping,
        strict: arguments.strict,
        record_id: arguments.record_id.clone(),
        times: TimeOptions {
            dates: arguments.dates,
            zone: arguments.time_zone.unwrap_or_default(),
            logged_before_us: arguments.logged_before,
        },
        threads: arguments.threads(),
    };
    let is_told = !arguments.quiet && !arguments.json;
    let bar = screen::ProgressBar::new(is_told);
    let report = import(&request, |done, total| bar.set_bytes(done, total)).await;
    bar.finish();
    let report = report?;
    let runtime = runtime(arguments.memory, None)?;
    for (table, told) in &report.tables {
        let wanted = Wanted {
            small_bytes: TINY_FILE_BYTES,
            dates: &|date| told.dates.contains(&date),
            is_own_only: true,
            mapping: &TableMapping::default(),
        };
        for LeftAlone { file, reason } in compact(&request.lake, table, &wanted, &runtime).await?.left_alone {
            tracing::warn!(target: "lake", file, reason, "not merged with the other small files of its date");
        }
    }
    if arguments.json {
        screen::print_json(&report)?;
    }
    if is_told {
        print_report(&report);
        let (lake, _) = open_lake(&arguments.lake, "default", None, &Access::Any).await?;
        for (table, told) in &report.tables {
            let (Some(first), Some(last)) = (told.dates.first(), told.dates.last()) else { continue };
            let window = Window::new(date_start_us(*first), date_start_us(*last) + MICROS_PER_DAY)?;
            let detail = inventory::show(lake.root(), table).await?;
            print_telemetry(table, &telemetry::examine(&lake, &detail, Some(&window), &runtime).await?);
        }
    }
    Ok(Outcome::Done)
}

fn print_report(report: &ImportReport) {
    report.files.iter().for_each(print_file);
    for (table, told) in &report.tables {
        let (first, last) = (told.dates.first(), told.dates.last());
        let dates = first.zip(last).map_or(String::new(), |(first, last)| format!(", {first} to {last}"));
        println!("table     {table}: {} rows, {}{dates}", told.rows, screen::bytes(told.bytes));
    }
    if report.duplicates > 0 {
        println!("left out  {} rows whose record id is there already", report.duplicates);
    }
    for file in &report.reject_files {
        println!("rejects   {} records: {file}", report.rejects());
    }
}

fn print_file(file: &FileReport) {
    if file.already_imported {
        println!("file      {}: imported before, nothing to do", file.file);
        return;
    }
    let rows: Vec<String> = file.rows.iter().map(|(table, rows)| format!("{rows} of {table}")).collect();
    let rows = if rows.is_empty() { "no rows".to_owned() } else { rows.join(", ") };
    println!("file      {} ({}): {rows}, {} rejected", file.file, file.source, file.rejects);
    if let Some(first) = &file.first_reject {
        println!("          first reject: {first}");
    }
    let mut kinds: Vec<_> = file.set_aside.iter().collect();
    kinds.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let all: u64 = file.set_aside.values().sum();
    if all > 0 {
        let told: Vec<String> =
            kinds.iter().take(SHOWN_KINDS).map(|(kind, count)| format!("{kind} ({count})")).collect();
        println!("          {all} records of no table: {}", told.join(", "));
    }
    for (column, count) in file.unreadable.iter().take(SHOWN_KINDS) {
        println!("          {count} values of {column} are not of its type, and null");
    }
    for (note, count) in file.notes.iter().take(SHOWN_KINDS) {
        println!("          {count} rows: {note}");
    }
}
