//! The files of a backfill: its rows as Parquet and JSON lines, a summary, and the chart.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use hindcast_base::time::{format_micros, parse_time_us};
use hindcast_base::{Error, Result};
use hindcast_detections::analyses::Suite;
use hindcast_risk::{Level, RunRisk};
use hindcast_scan::{ReadVersion, WindowSummary};
use serde::Serialize;

use super::chart;
use super::row::{SEVERITIES, WindowRow};
use super::windows::{WindowSeries, format_length};
use crate::output::{OutputFolder, write_batch, write_json, write_lines};

/// `summary.json` of a backfill.
#[derive(Debug, Serialize)]
pub struct BackfillSummary {
    /// The span in which the windows lie.
    pub span: WindowSummary,
    /// Length of each, such as `24h`.
    pub window: String,
    /// From the start of one window to that of the next.
    pub step: String,
    /// Number of windows.
    pub windows: usize,
    /// Windows in which the lake has no file.
    pub windows_without_data: usize,
    /// Windows with files, of which nothing could be looked at.
    pub windows_not_assessed: usize,
    /// Windows of which something could not be looked at.
    pub windows_incomplete: usize,
    /// Windows of each level.
    pub levels: BTreeMap<String, usize>,
    /// The window of the highest risk; the first if several are equal.
    pub highest: Option<Highest>,
    /// Whether everything present in every window was looked at.
    pub complete: bool,
    /// The versions of tables with a log that were read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub versions: Vec<ReadVersion>,
    /// Version of Hindcast.
    pub version: String,
}

/// A window and its risk.
#[derive(Debug, Serialize)]
pub struct Highest {
    /// The window.
    pub window: WindowSummary,
    /// Its risk.
    pub risk: RunRisk,
}

impl BackfillSummary {
    /// The summary of the windows of `series`.
    pub fn of(series: &WindowSeries, rows: &[WindowRow]) -> Self {
        let count = |is_so: fn(&WindowRow) -> bool| rows.iter().filter(|row| is_so(row)).count();
        let mut levels: BTreeMap<String, usize> = Default::default();
        for risk in rows.iter().filter_map(|row| row.risk.as_ref()) {
            *levels.entry(risk.level().name().to_owned()).or_default() += 1;
        }
        let mut highest: Option<(&WindowRow, &RunRisk)> = None;
        for row in rows.iter().filter(|row| row.assessed().is_some()) {
            let Some(risk) = &row.risk else { continue };
            if highest.is_none_or(|(_, most)| risk.score() > most.score()) {
                highest = Some((row, risk));
            }
        }
        Self {
            span: WindowSummary {
                from: format_micros(series.span.from_us),
                to: format_micros(series.span.to_us),
            },
            window: format_length(series.length_us),
            step: format_length(series.step_us),
            windows: rows.len(),
            windows_without_data: count(|row| row.risk.is_none()),
            windows_not_assessed: count(|row| row.risk.is_some() && row.assessed().is_none()),
            windows_incomplete: count(|row| !row.complete),
            levels,
            highest: highest.map(|(row, risk)| Highest {
                window: WindowSummary { from: row.from.clone(), to: row.to.clone() },
                risk: risk.clone(),
            }),
            complete: rows.iter().all(|row| row.complete),
            versions: versions(rows),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    /// The highest level of any window.
    pub fn level(&self) -> Level {
        self.highest.as_ref().map_or(Level::NotAssessed, |highest| highest.risk.level())
    }

    /// Whether anything was looked at in any window.
    pub fn is_assessed(&self) -> bool {
        self.highest.is_some()
    }
}

/// Each version once. All windows of a backfill are planned with the same ones.
fn versions(rows: &[WindowRow]) -> Vec<ReadVersion> {
    let mut versions: Vec<ReadVersion> = Vec::new();
    for version in rows.iter().flat_map(|row| &row.versions) {
        if !versions.contains(version) {
            versions.push(version.clone());
        }
    }
    versions
}

/// Writes everything to `out`, completely or not at all, and returns the folder.
///
/// # Errors
/// [`Error::Invalid`] if `out` holds something else, [`Error::Io`] if a file can't be written.
pub fn write(out: &Path, rows: &[WindowRow], summary: &BackfillSummary) -> Result<PathBuf> {
    let folder = OutputFolder::create(out)?;
    let path = folder.path().join("backfill.parquet");
    let action = format!("writing {}", path.display());
    let file = File::create(&path).map_err(Error::io(action.as_str()))?;
    write_batch(file, &batch(rows)?).map_err(|error| Error::io(action)(std::io::Error::other(error)))?;
    write_lines(rows, &folder.path().join("backfill.jsonl"))?;
    let page = folder.path().join("backfill.html");
    fs::write(&page, chart::page(rows, summary)).map_err(Error::io(format!("writing {}", page.display())))?;
    write_json(&folder.path().join("summary.json"), summary)?;
    folder.publish()
}

/// One row per window. A suite that did not run has nulls.
fn batch(rows: &[WindowRow]) -> Result<RecordBatch> {
    fn texts<'a>(rows: &'a [WindowRow], of: impl Fn(&'a WindowRow) -> Option<&'a str>) -> ArrayRef {
        Arc::new(rows.iter().map(of).collect::<StringArray>())
    }
    let numbers = |of: &dyn Fn(&WindowRow) -> Option<u64>| -> ArrayRef {
        Arc::new(rows.iter().map(|row| of(row).map(|number| number as i64)).collect::<Int64Array>())
    };
    let instants = |of: fn(&WindowRow) -> &str| -> ArrayRef {
        let micros = rows.iter().map(|row| parse_time_us(of(row)));
        Arc::new(micros.collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
    };
    let mut columns: Vec<(String, ArrayRef)> =
        vec![("from".into(), instants(|row| &row.from)), ("to".into(), instants(|row| &row.to))];
    for suite in Suite::ALL.map(Suite::name) {
        let score = |row: &WindowRow| row.suites.get(suite).map(|scored| scored.score);
        let level = |row: &WindowRow| row.suites.get(suite).map(|scored| scored.level.name());
        columns.push((format!("{suite}_score"), numbers(&score)));
        let levels: StringArray = rows.iter().map(level).collect();
        columns.push((format!("{suite}_level"), Arc::new(levels)));
    }
    columns.push(("risk".into(), numbers(&|row| row.assessed().map(|(score, _)| score))));
    columns.push(("risk_level".into(), texts(rows, |row| Some(row.level_name()))));
    columns.push(("findings".into(), numbers(&|row| Some(row.all_findings()))));
    for severity in SEVERITIES.map(|severity| severity.name()) {
        let count = |row: &WindowRow| row.findings.get(severity).copied();
        columns.push((format!("findings_{severity}"), numbers(&count)));
    }
    columns.push(("suppressed".into(), numbers(&|row| Some(row.suppressed))));
    columns.push(("incidents".into(), numbers(&|row| Some(row.incidents))));
    columns.push(("rows".into(), numbers(&|row| Some(row.rows))));
    let complete: BooleanArray = rows.iter().map(|row| Some(row.complete)).collect();
    columns.push(("complete".into(), Arc::new(complete)));
    columns.push(("reason".into(), texts(rows, |row| row.reason.as_deref())));
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)))
        .map_err(|error| Error::Engine(error.into()))
}
