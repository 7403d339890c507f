//! `hindcast import --watch`

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use chrono::NaiveDate;
use hindcast_base::Result;
use hindcast_base::format::counted;
use hindcast_base::time::parse_duration;
use hindcast_engine::runtime;
use hindcast_import::{FileReport, ImportReport, ImportRequest, Watch};
use hindcast_lake::TableMapping;
use hindcast_observability::terminated;
use hindcast_tables::compact::{CompactOptions, compact};
use hindcast_tables::layout::TINY_FILE_BYTES;
use hindcast_tables::merge::UnmergedFile;

use super::Outcome;
use crate::terminal;

/// Small files are merged after this many changes of the lake, because each merge writes a date's small file again.
const CHANGES_PER_MERGE: usize = 8;
/// They are merged after this time if there are fewer changes.
const LONGEST_UNMERGED: Duration = Duration::from_secs(300);

/// Shortest interval of `--watch`.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);

/// What to print of each file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Prints {
    /// A line of text.
    Text,
    /// A line of JSON.
    Json,
    /// Only errors.
    Errors,
}

/// The dates of tables that have small files which were not merged yet.
#[derive(Default)]
struct Unmerged {
    tables: BTreeMap<String, BTreeSet<NaiveDate>>,
    changes: usize,
    since: Option<Instant>,
}

impl Unmerged {
    fn add(&mut self, report: &ImportReport) {
        for (table, imported) in &report.tables {
            self.tables.entry(table.clone()).or_default().extend(&imported.dates);
        }
        if !report.tables.is_empty() {
            self.changes += 1;
            self.since.get_or_insert_with(Instant::now);
        }
    }

    fn is_due(&self) -> bool {
        self.changes >= CHANGES_PER_MERGE
            || self.since.is_some_and(|since| since.elapsed() > LONGEST_UNMERGED)
    }

    /// Merges them. If that fails, the next merge takes them too.
    async fn merge(&mut self, request: &ImportRequest, memory: usize) {
        for (table, dates) in &self.tables {
            if let Err(error) = merge_small_files(request, table, dates, memory).await {
                tracing::warn!(target: "lake", table, %error, "the small files were not merged");
                (self.changes, self.since) = (0, Some(Instant::now()));
                return;
            }
        }
        *self = Self::default();
    }
}

/// Parses the interval of `--watch`.
pub(super) fn parse_interval(text: &str) -> Result<Duration> {
    let micros = u64::try_from(parse_duration(text)?).unwrap_or_default();
    Ok(Duration::from_micros(micros).max(SHORTEST_INTERVAL))
}

/// Merges the small files of a table's `dates` that imports wrote.
pub(super) async fn merge_small_files(
    request: &ImportRequest,
    table: &str,
    dates: &BTreeSet<NaiveDate>,
    memory: usize,
) -> Result<()> {
    let options = CompactOptions {
        small_bytes: TINY_FILE_BYTES,
        dates: &|date| dates.contains(&date),
        is_own_only: true,
        tables: request.known,
        mapping: &TableMapping::default(),
    };
    let runtime = runtime(memory, None)?;
    for UnmergedFile { file, reason } in compact(&request.lake, table, &options, &runtime).await?.left_alone {
        tracing::warn!(target: "lake", file, reason, "not merged with the other small files of its date");
    }
    Ok(())
}

/// Imports what appears in the folders of `request`, looked at in intervals of `every`, until SIGTERM or Ctrl-C.
pub(super) async fn watch(
    request: &ImportRequest,
    every: Duration,
    memory: usize,
    prints: Prints,
) -> Result<Outcome> {
    let mut stop = tokio::spawn(terminated());
    let mut watch = Watch::start(request).await?;
    if prints == Prints::Text {
        println!("watching  {}, every {} s", request.files.join(", "), every.as_secs());
    }
    let mut unmerged = Unmerged::default();
    let mut last_error = None;
    loop {
        let imported = |report: ImportReport| {
            unmerged.add(&report);
            print(&report, prints);
        };
        let error = watch.poll(|| stop.is_finished(), imported).await.err().map(|error| error.to_string());
        if let Some(error) = error.as_ref().filter(|_| error != last_error) {
            eprintln!("error: {error}; it is tried again in {} s", every.as_secs());
        }
        last_error = error;
        if stop.is_finished() {
            break;
        }
        if unmerged.is_due() {
            unmerged.merge(request, memory).await;
        }
        tokio::select! {
            _ = &mut stop => break,
            () = tokio::time::sleep(every) => {}
        }
    }
    unmerged.merge(request, memory).await;
    Ok(Outcome::Done)
}

/// Prints a line per file that was imported or failed.
fn print(report: &ImportReport, prints: Prints) {
    for file in report.files.iter().filter(|file| !file.already_imported) {
        match (&file.failure, prints) {
            (Some(reason), Prints::Text | Prints::Errors) => {
                eprintln!("error: {} was not imported: {reason}", file.file);
            }
            (_, Prints::Errors) => {}
            (_, Prints::Json) => {
                if let Err(error) = terminal::print_json_line(file) {
                    eprintln!("error: {error}");
                }
            }
            (None, Prints::Text) => println!("{}", line(file, &report.reject_files)),
        }
    }
}

/// The line of a file that was imported.
fn line(file: &FileReport, reject_files: &[String]) -> String {
    let rows: Vec<String> = file.rows.iter().map(|(table, rows)| format!("{rows} of {table}")).collect();
    let mut parts = vec![if rows.is_empty() { "no rows".to_owned() } else { rows.join(", ") }];
    if file.from_byte > 0 {
        parts.push(format!("from byte {} on", file.from_byte));
    }
    let set_aside: u64 = file.set_aside.values().sum();
    if set_aside > 0 {
        parts.push(format!("{} without a table", counted(set_aside, "record")));
    }
    if file.rejects > 0 {
        parts.push(format!("{} rejected in {}", file.rejects, reject_files.join(", ")));
    }
    format!("file      {} ({}): {}", file.file, file.source, parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_a_file_has_what_became_of_its_records() {
        let mut file = FileReport { file: "a.log".into(), source: "cef".into(), ..FileReport::default() };
        assert_eq!(line(&file, &[]), "file      a.log (cef): no rows");
        file.rows.insert("CommonSecurityLog".into(), 5);
        file.set_aside.insert("ntp".into(), 1);
        (file.rejects, file.from_byte) = (2, 1200);
        assert_eq!(
            line(&file, &["r.jsonl".into()]),
            "file      a.log (cef): 5 of CommonSecurityLog, from byte 1200 on, 1 record without a table, 2 rejected in r.jsonl"
        );
    }
}
