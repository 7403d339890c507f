//! The coverage: a heat map of tables and dates, and the reasons of all that was not read.

use std::collections::BTreeMap;

use askama::Template;
use askama::filters::HtmlSafe;
use hindcast_base::format::format_bytes;
use hindcast_scan::status_counts;
use hindcast_scan::{CoverageEntry, RootSummary, Status, format_dates};

use super::charts::{self, Charts, PlacedChart};
use super::table::Table;
use super::{Source, format};

/// Reasons on the page.
const SHOWN_REASONS: usize = 200;

/// The section.
#[derive(Template)]
#[template(path = "report/coverage.html")]
pub(super) struct CoverageSection {
    complete: bool,
    gaps: Vec<String>,
    /// What suites kept and left out of tables.
    filters: Vec<String>,
    /// Versions of tables with a log.
    versions: Vec<String>,
    chart: Option<PlacedChart>,
    tables: Table,
    /// The roots; absent if the lake has one.
    roots: Option<Table>,
    reasons: Vec<Reason>,
    reasons_note: String,
    /// Table dates before the window, for analyses that look back. Empty if there are none.
    look_back: String,
}

impl HtmlSafe for CoverageSection {}

/// Dates of a table that were not read for the same reason.
struct Reason {
    table: String,
    dates: String,
    status: &'static str,
    status_class: &'static str,
    reason: String,
}

impl CoverageSection {
    pub(super) fn of(source: &Source<'_>, charts: &mut Charts) -> Self {
        let coverage = &source.result.report.summary.coverage;
        let reasons = reasons(&coverage.tables);
        let all = reasons.len();
        let shown: Vec<Reason> = reasons.into_iter().take(SHOWN_REASONS).collect();
        Self {
            complete: coverage.complete,
            gaps: coverage.gaps.iter().map(|gap| format::text(&gap.to_string())).collect(),
            filters: coverage.filters.iter().map(|filter| format::text(&filter.to_string())).collect(),
            versions: coverage.versions.iter().map(|version| format::text(&version.to_string())).collect(),
            chart: charts::coverage(coverage).map(|chart| charts.place(chart)),
            tables: tables(&coverage.tables),
            roots: roots(&source.result.report.summary.roots),
            reasons_note: format::shown_of(shown.len(), all, "reasons; all are in summary.json"),
            reasons: shown,
            look_back: if coverage.look_back.is_empty() {
                String::new()
            } else {
                status_counts(&coverage.look_back)
            },
        }
    }
}

/// Dates, files, rows and bytes read per table.
fn tables(entries: &[CoverageEntry]) -> Table {
    let mut by_table: BTreeMap<String, [u64; 4]> = BTreeMap::new();
    for entry in entries {
        let sums = by_table.entry(entry.place()).or_default();
        let scanned = if entry.status == Status::Scanned { entry.dates() } else { 0 };
        let more = [scanned, entry.files, entry.rows, entry.bytes];
        sums.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
    }
    let rows = by_table.iter().map(|(table, [dates, files, rows, size])| {
        vec![
            table.clone(),
            format::count(*dates),
            format::count(*files),
            format::count(*rows),
            format_bytes(*size),
        ]
    });
    let rows: Vec<_> = rows.collect();
    let all = rows.len();
    let columns = [
        ("table", "keep"),
        ("dates scanned", "number"),
        ("files", "number"),
        ("rows", "number"),
        ("bytes", "number"),
    ];
    Table::new(&columns, rows, all, "tables")
}

/// Dates, files, rows and bytes read per root.
fn roots(roots: &[RootSummary]) -> Option<Table> {
    let rows = roots.iter().map(|root| {
        vec![
            format::text(&root.name),
            format::text(&root.url),
            root.when(),
            format::count(root.files),
            format::count(root.rows),
            format_bytes(root.bytes),
        ]
    });
    let rows: Vec<_> = rows.collect();
    let columns = [
        ("root", "keep"),
        ("place", "text"),
        ("dates", "keep"),
        ("files", "number"),
        ("rows", "number"),
        ("bytes", "number"),
    ];
    let all = rows.len();
    (all > 0).then(|| Table::new(&columns, rows, all, "roots"))
}

/// Everything that was not read in full, failures first. Dates of a table with the same reason are one entry.
fn reasons(entries: &[CoverageEntry]) -> Vec<Reason> {
    let mut dates_of: BTreeMap<(u8, String, String), Vec<&CoverageEntry>> = BTreeMap::new();
    for entry in entries {
        if entry.reasons.is_empty() {
            continue;
        }
        let rank = match entry.status {
            Status::Failed => 0,
            Status::Scanned => 1,
            Status::Empty => 2,
            Status::Missing => 3,
        };
        dates_of.entry((rank, entry.place(), entry.reasons.to_string())).or_default().push(entry);
    }
    let rows = dates_of.into_iter().map(|((rank, table, reason), entries)| {
        let (status, status_class) = [
            ("failed", "status-failed"),
            ("scanned", "status-scanned"),
            ("empty", "status-empty"),
            ("missing", "status-missing"),
        ][usize::from(rank)];
        let dates = match (entries.first(), entries.last()) {
            (Some(first), Some(last)) => {
                let count = entries.iter().map(|entry| entry.dates()).sum();
                format_dates(first.date, last.through.unwrap_or(last.date), count)
            }
            _ => String::new(),
        };
        Reason { table: format::text(&table), dates, status, status_class, reason: format::text(&reason) }
    });
    rows.collect()
}
