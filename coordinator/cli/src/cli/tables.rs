//! `hindcast tables`

use std::path::PathBuf;

use clap::{Args, Subcommand};
use hindcast_base::format::{counted, format_bytes};
use hindcast_base::nearest::did_you_mean;
use hindcast_base::time::{Window, parse_time};
use hindcast_base::{Error, Result};
use hindcast_detections::config::{Config, Layer};
use hindcast_engine::runtime;
use hindcast_lake::{Location, MappingPreset, mapping_presets};
use serde::Serialize;

use super::Outcome;
use super::own_files::read_own;
use crate::terminal;

use hindcast_scan::lake_access::{Access, LakeLayers, open_lake};
use hindcast_scan::own_detections::DetectionPolicy;
use hindcast_tables::compact::{CompactOptions, Compacted, compact};
use hindcast_tables::data_quality::{self, DataQuality};
use hindcast_tables::inventory::{self, DateEntry, TableDetail, TableEntry};
use hindcast_tables::merge::UnmergedFile;
use hindcast_tables::save;

/// Memory of the engine that streams, sorts or counts rows.
const MEMORY_BYTES: usize = 256 << 20;

/// Files that are shown one by one.
const SHOWN_FILES: usize = 20;

/// Arguments of `hindcast tables`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hindcast tables --lake demo-lake
  hindcast tables --lake demo-lake show CommonSecurityLog
  hindcast tables presets ocsf/network_activity
  hindcast tables --lake demo-lake save PaloAlto_Investigation_SPRK \\
      --from 2026-01-05 --to 2026-01-06
  hindcast tables --lake demo-lake compact CommonSecurityLog
  hindcast tables --lake demo-lake delete PaloAlto_Investigation_SPRK --yes")]
pub struct TablesArguments {
    /// The lake: a path, or a file://, s3://, az://, abfss:// or gs:// URL
    #[arg(long, value_name = "URL", global = true)]
    lake: Option<String>,
    /// Configuration file with parameters that override the default preset
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Folder or URL of your own detections, whose tables the lake may have; may be repeated
    #[arg(long, value_name = "DIR")]
    detections: Vec<String>,
    /// One of several roots of the lake, by its name: only it is listed, shown or changed. Without it all roots are listed, and
    /// the other commands take the lake's own root, main
    #[arg(long, value_name = "NAME", global = true)]
    root: Option<String>,
    /// Print JSON instead of text
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List tables with their dates, files and sizes (the default)
    List,
    /// List the presets that map other schemas to tables, or print one; needs no lake
    Presets {
        /// The preset to print, as it would be written in a configuration
        name: Option<String>,
    },
    /// Show rows per date, columns and data quality: gaps, silent devices, null columns, drift
    Show {
        /// The table
        table: String,
        #[command(flatten)]
        window: WindowArguments,
    },
    /// Merge the small files of each date of a table
    Compact {
        /// The table
        table: String,
        #[command(flatten)]
        window: WindowArguments,
    },
    /// Delete a table with all its files
    Delete {
        /// The table
        table: String,
        /// Confirm the deletion
        #[arg(long)]
        yes: bool,
    },
    /// Append the enriched rows of the firewall suite to a table of the lake
    Save {
        /// The table; its name must end with the configured suffix (_SPRK)
        table: String,
        #[command(flatten)]
        window: WindowArguments,
    },
}

/// Part of a table; the whole table by default.
#[derive(Debug, Args)]
struct WindowArguments {
    /// Start of the window: a date or an RFC 3339 time, in UTC
    #[arg(long, value_name = "T", requires = "to")]
    from: Option<String>,
    /// End of the window (exclusive)
    #[arg(long, value_name = "T", requires = "from")]
    to: Option<String>,
}

impl WindowArguments {
    fn window(&self) -> Result<Option<Window>> {
        match (&self.from, &self.to) {
            (Some(from), Some(to)) => Window::new(parse_time(from)?, parse_time(to)?).map(Some),
            _ => Ok(None),
        }
    }
}

/// Runs the command.
pub(super) async fn run(arguments: &TablesArguments) -> Result<Outcome> {
    if let Some(Action::Presets { name }) = &arguments.action {
        print_presets(name.as_deref(), arguments.json)?;
        return Ok(Outcome::Done);
    }
    let (own_text, detections) = read_own(arguments.config.as_deref(), &arguments.detections).await?;
    let own_name = arguments.config.as_ref().map(|path| path.display().to_string());
    let own = own_name.as_ref().map(|name| Layer { name, text: &own_text });
    let layers = LakeLayers { preset: "default", own, detections: &detections };
    let policy = DetectionPolicy::of_own_process();
    // Clap requires no option that may stand after the subcommand.
    let url = arguments.lake.as_deref();
    let url = url.ok_or_else(|| Error::Invalid("which lake? Give its path or URL as --lake URL".into()))?;
    let (lake, config) = open_lake(url, &layers, &Access::Any, &policy).await?;
    let part = lake.only(arguments.root.as_deref())?;
    let (all, lake, root) = (lake, &part, part.root());
    match arguments.action.as_ref().unwrap_or(&Action::List) {
        Action::Presets { .. } => {}
        Action::List => {
            let listed = if arguments.root.is_some() { lake } else { &all };
            let tables = inventory::list_roots(listed).await?;
            if arguments.json { terminal::print_json(&tables)? } else { tables.iter().for_each(print_entry) }
        }
        Action::Show { table, window } => {
            let detail = inventory::show(lake, table).await?;
            let runtime = runtime(MEMORY_BYTES, None)?;
            let quality = data_quality::examine(lake, &detail, window.window()?.as_ref(), &runtime).await?;
            if arguments.json {
                terminal::print_json(&Shown { detail: &detail, telemetry: &quality })?;
            } else {
                print_detail(&detail);
                print_fitting_preset(&config, table, &detail);
                print_quality(table, &quality);
            }
        }
        Action::Compact { table, window } => {
            let window = window.window()?;
            let options = CompactOptions {
                small_bytes: hindcast_tables::layout::SMALL_FILE_BYTES,
                dates: &|date| window.is_none_or(|window| window.covers_date(date)),
                is_own_only: false,
                tables: config.detections.tables(),
                mapping: &lake.mapping(table),
            };
            let done = compact(root, table, &options, &runtime(MEMORY_BYTES, None)?).await?;
            if arguments.json { terminal::print_json(&done)? } else { print_compacted(table, &done) }
        }
        Action::Delete { table, yes } => delete_table(root, table, *yes).await?,
        Action::Save { table, window } => {
            let window = window.window()?;
            let saved = save::save(lake, &config, &runtime(MEMORY_BYTES, None)?, table, window).await?;
            println!(
                "{table}: wrote {} rows in {}; the table now has {} rows",
                saved.rows_written,
                counted(saved.files_written, "file"),
                saved.rows_in_table
            );
        }
    }
    Ok(Outcome::Done)
}

/// Deletes a table with all its files, if `yes` says so.
async fn delete_table(root: &Location, table: &str, yes: bool) -> Result<()> {
    if !yes {
        inventory::existing(root, table).await?;
        return Err(Error::Invalid(format!(
            "nothing was deleted: give --yes to delete {table} with all its files"
        )));
    }
    // Do this first, and also if the table is gone: files that are marked as imported can't be imported again.
    let forgotten = hindcast_import::forget(root, table).await?;
    match inventory::delete(root, table).await? {
        Some(objects) => println!("deleted {table}: {}", counted(objects, "file")),
        None if forgotten > 0 => {
            println!("{table} was deleted before; the markers of its imports are now deleted too")
        }
        None => return Err(inventory::absent(root, table)),
    }
    Ok(())
}

/// Prints the preset whose schema the columns of a table without one have.
fn print_fitting_preset(config: &Config, table: &str, detail: &TableDetail) {
    let has_preset = config.tables.get(table).is_some_and(|mapping| mapping.preset.is_some());
    let names = detail.columns.iter().map(|column| column.name.clone()).collect();
    if let Some(preset) = MappingPreset::fitting(table, &names).filter(|_| !has_preset) {
        println!(
            "\nthe columns are those of a preset: write preset = \"{}\" in [tables.{table}]",
            preset.name
        );
    }
}

/// A preset as JSON lists it.
#[derive(Serialize)]
struct Preset<'a> {
    name: &'a str,
    table: &'a str,
    title: &'a str,
    source: &'a str,
}

/// Prints the presets of mappings, or the file of one.
fn print_presets(name: Option<&str>, as_json: bool) -> Result<()> {
    let all = mapping_presets();
    if let Some(name) = name {
        let preset = all.iter().find(|preset| preset.name == name).ok_or_else(|| {
            let hint = did_you_mean(name, all.iter().map(|preset| preset.name));
            Error::Invalid(format!("there is no preset {name}{hint}"))
        })?;
        print!("{}", preset.text);
        return Ok(());
    }
    let listed = all.iter().map(|preset| Preset {
        name: preset.name,
        table: preset.table(),
        title: preset.title(),
        source: preset.source(),
    });
    if as_json {
        return terminal::print_json(&listed.collect::<Vec<_>>());
    }
    listed.for_each(|Preset { name, table, title, .. }| println!("{name:<26} {table:<26} {title}"));
    println!("\nWrite preset = \"NAME\" in the section [tables.TABLE] of a configuration file");
    Ok(())
}

/// Prints how many files were merged into how many, and which were not.
fn print_compacted(table: &str, done: &Compacted) {
    let (before, after) = (format_bytes(done.bytes_before), format_bytes(done.bytes_after));
    let dates = counted(done.dates, "date");
    println!(
        "{table}: merged {} of {dates} ({before}) into {} ({after}), {}",
        counted(done.files_before, "small file"),
        done.files_after,
        counted(done.rows, "row")
    );
    if done.left_to_others > 0 {
        let merges = counted(done.left_to_others, "merge");
        println!("skipped {merges}: another process is changing their files");
    }
    print_left_alone(&done.left_alone);
}

/// Prints which small files were not merged, and why.
fn print_left_alone(files: &[UnmergedFile]) {
    let shown = files.iter().take(SHOWN_FILES);
    shown.for_each(|UnmergedFile { file, reason }| println!("not merged: {file}: {reason}"));
    if files.len() > SHOWN_FILES {
        let more = (files.len() - SHOWN_FILES) as u64;
        println!("not merged: {} more, which --json lists", counted(more, "file"));
    }
}

/// What `show` prints as JSON.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    detail: &'a TableDetail,
    telemetry: &'a DataQuality,
}

/// Prints the problems in a table's data quality, or that there are none.
pub(super) fn print_quality(table: &str, quality: &DataQuality) {
    let lines = quality.lines();
    let verdict = if lines.is_empty() { " nothing stands out" } else { "" };
    println!("\ntelemetry of {table}:{verdict}");
    lines.iter().for_each(|line| println!("  {line}"));
}

fn print_entry(entry: &TableEntry) {
    let root = entry.root.as_ref().map(|root| format!("{root}: ")).unwrap_or_default();
    if let Some(reason) = &entry.refused {
        println!("{:<30} {root}refused: {reason}", entry.table);
    }
    let files: u64 = entry.dates.iter().map(|date| date.files).sum();
    let size: u64 = entry.dates.iter().map(|date| date.bytes).sum();
    let (Some(first), Some(last)) = (entry.dates.first(), entry.dates.last()) else { return };
    println!(
        "{:<30} {root}{} to {} ({}), {}, {}{}",
        entry.table,
        first.date,
        last.date,
        counted(entry.dates.len() as u64, "date"),
        counted(files, "file"),
        format_bytes(size),
        match (&entry.layout, entry.version) {
            (Some(layout), _) => format!(", {layout}"),
            (None, Some(version)) => format!(", Delta version {version}"),
            (None, None) => String::new(),
        }
    );
}

fn print_detail(detail: &TableDetail) {
    print_entry(&detail.entry);
    println!("\n{:<12} {:>6} {:>12} {:>12}", "date", "files", "rows", "size");
    for DateEntry { date, files, bytes, rows, unreadable } in &detail.entry.dates {
        let rows = rows.map_or_else(|| "?".to_owned(), |rows| rows.to_string());
        println!("{date:<12} {files:>6} {rows:>12} {:>12}", format_bytes(*bytes));
        unreadable.iter().for_each(|fault| println!("  {fault}"));
    }
    println!("\n{:<36} type", "column");
    for column in &detail.columns {
        println!("{:<36} {}", column.name, column.type_names().join(" | "));
    }
}
