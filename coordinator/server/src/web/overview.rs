//! The overview of a run: its score, days, suites and worst findings; and the page of its coverage.

use std::collections::BTreeMap;

use askama::Template;
use axum::response::Response;
use chrono::NaiveDate;
use hindcast_base::format::format_bytes;
use hindcast_risk::{Case, RiskSource, RunRisk};
use hindcast_scan::{CoverageEntry, Gap, RowFilter, Status};

use super::frame::{Frame, counted, format_count, format_time, page};
use super::incidents::IncidentLine;
use super::scope::{EntityLink, Scope};

/// Incidents and entities on the overview: the worst.
const SHOWN: usize = 8;
/// Height of the chart of days, in its view box.
const CHART_HEIGHT: u64 = 100;
/// Width of a day in the chart, including the gap.
const DAY_WIDTH: usize = 24;

#[derive(Template)]
#[template(path = "web/overview.html")]
struct OverviewPage {
    frame: Frame,
    from: String,
    to: String,
    version: String,
    /// None if nothing was assessed.
    score: Option<u64>,
    level: &'static str,
    explanation: Vec<Explained>,
    gaps: Vec<String>,
    days: Vec<Day>,
    chart_width: usize,
    suites: Vec<SuiteLine>,
    incidents: Vec<IncidentLine>,
    all_incidents: String,
    entities: Vec<(EntityLink, u64, &'static str)>,
    all_entities: String,
    findings: String,
    counts: Counts,
    suppressed: Vec<(String, String)>,
    disabled: Vec<(String, String)>,
    locations: Option<String>,
    versions: Vec<String>,
    paths: Paths,
}

/// The paths of the lists.
struct Paths {
    findings: String,
    incidents: String,
    entities: String,
    coverage: String,
}

/// A contribution to the score.
struct Explained {
    points: String,
    what: String,
    href: Option<String>,
}

struct Day {
    date: String,
    /// None if nothing of the day was assessed.
    score: Option<u64>,
    level: &'static str,
    findings: String,
    href: String,
    /// The position of its bar. A run of days has no bar.
    x: usize,
    y: Option<u64>,
}

struct SuiteLine {
    name: String,
    score: u64,
    level: &'static str,
    signals: Vec<Signal>,
}

struct Signal {
    name: String,
    rows: String,
    findings: String,
    href: String,
}

/// Table dates by status.
struct Counts {
    scanned: u64,
    empty: u64,
    missing: u64,
    failed: u64,
    is_complete: bool,
}

impl Counts {
    fn of(scope: &Scope) -> Self {
        let coverage = &scope.results.scan.summary.coverage;
        Self {
            scanned: coverage.count(Status::Scanned),
            empty: coverage.count(Status::Empty),
            missing: coverage.count(Status::Missing),
            failed: coverage.count(Status::Failed),
            is_complete: coverage.complete,
        }
    }
}

pub(super) async fn overview(scope: Scope) -> Response {
    let summary = &scope.results.scan.summary;
    let mut of_analysis: BTreeMap<&str, u64> = BTreeMap::new();
    for finding in scope.results.scan.findings.values() {
        *of_analysis.entry(&finding.analysis).or_default() += 1;
    }
    let suites = summary.suites.iter().map(|(name, suite)| SuiteLine {
        name: name.clone(),
        score: suite.score,
        level: suite.level.name(),
        signals: suite
            .signals
            .iter()
            .map(|(name, rows)| Signal {
                name: name.clone(),
                rows: format_count(*rows),
                findings: format_count(of_analysis.get(name.as_str()).copied().unwrap_or_default()),
                href: scope.search(&format!("analysis:{name}")),
            })
            .collect(),
    });
    let worst = scope.results.entities.iter().take(SHOWN);
    let suppressed = summary.suppressed.iter();
    page(&OverviewPage {
        frame: scope.frame("Overview", "/overview"),
        from: format_time(Some(&summary.window.from)),
        to: format_time(Some(&summary.window.to)),
        version: summary.version.clone(),
        score: summary.risk.score(),
        level: summary.risk.level().name(),
        explanation: explanation(&scope, &summary.risk),
        gaps: summary.coverage.gaps.iter().map(Gap::to_string).collect(),
        days: days(&scope),
        chart_width: (summary.risk_by_day.len() * DAY_WIDTH).max(1),
        suites: suites.collect(),
        incidents: scope.results.incidents.iter().take(SHOWN).map(|i| IncidentLine::of(&scope, i)).collect(),
        all_incidents: counted(scope.results.incidents.len() as u64, "incident"),
        entities: worst.map(|e| (scope.entity(&e.entity), e.risk.score, e.risk.level.name())).collect(),
        all_entities: counted(scope.results.entities.len() as u64, "entity"),
        findings: counted(summary.findings as u64, "finding"),
        counts: Counts::of(&scope),
        suppressed: suppressed.map(|(list, count)| (list.clone(), counted(*count, "finding"))).collect(),
        disabled: summary.disabled.clone().into_iter().collect(),
        locations: summary
            .locations
            .as_ref()
            .map(|source| format!("{}, built {}", source.database, source.built)),
        versions: summary.coverage.versions.iter().map(ToString::to_string).collect(),
        paths: Paths {
            findings: scope.path("/findings"),
            incidents: scope.path("/incidents"),
            entities: scope.path("/entities"),
            coverage: scope.path("/coverage"),
        },
    })
}

/// The contributions to the score with links to their sources, or the reasons why there is no score.
fn explanation(scope: &Scope, risk: &RunRisk) -> Vec<Explained> {
    let contributions = risk.contributions().iter().map(|part| Explained {
        points: part.points.to_string(),
        what: part.from.to_string(),
        href: match &part.from {
            RiskSource::Worst(Case::Incident(id)) => {
                scope.results.incident(id).map(|incident| scope.incident_path(&incident.id))
            }
            RiskSource::FindingsOf { analysis, .. } => Some(scope.search(&format!("analysis:{analysis}"))),
            _ => None,
        },
    });
    let reason = |reason: &String| Explained { points: String::new(), what: reason.clone(), href: None };
    contributions.chain(risk.reasons().iter().map(reason)).collect()
}

fn days(scope: &Scope) -> Vec<Day> {
    let days = scope.results.scan.summary.risk_by_day.iter().enumerate();
    let bars = days.map(|(index, day)| {
        // The findings of a day have begun before its end and not ended before its start. Times compare as text.
        let last = day.through.unwrap_or(day.date);
        let next = last.succ_opt().unwrap_or(last);
        Day {
            href: scope.search(&format!("first:<{next} last:>={}", day.date)),
            date: match day.through {
                Some(last) => format!("{} to {last}", day.date),
                None => day.date.to_string(),
            },
            score: day.score,
            level: day.level.name(),
            findings: format_count(day.findings),
            x: index * DAY_WIDTH,
            y: day
                .score
                .filter(|_| day.through.is_none())
                .map(|score| CHART_HEIGHT - score.min(CHART_HEIGHT)),
        }
    });
    bars.collect()
}

#[derive(Template)]
#[template(path = "web/coverage.html")]
struct CoveragePage {
    frame: Frame,
    counts: Counts,
    /// Data that was not read, independent of dates.
    not_read: Vec<String>,
    /// What suites kept and left out of tables.
    filters: Vec<String>,
    dates: Vec<String>,
    tables: Vec<CoverageRow>,
    gaps: Vec<UnreadDates>,
}

/// Longest window, in days, whose dates without data have columns too.
const MOST_DATES: usize = 400;

struct CoverageRow {
    table: String,
    cells: Vec<Cell>,
    rows: String,
    bytes: String,
}

struct Cell {
    status: &'static str,
    text: String,
    title: String,
}

/// Dates that were not read, with the reason.
struct UnreadDates {
    table: String,
    date: String,
    status: &'static str,
    reason: String,
}

pub(super) async fn coverage(scope: Scope) -> Response {
    let coverage = &scope.results.scan.summary.coverage;
    let (entries, dates) = (&coverage.tables, coverage.charted_dates(MOST_DATES));
    let mut by_table: BTreeMap<String, BTreeMap<NaiveDate, &CoverageEntry>> = BTreeMap::new();
    for entry in entries {
        by_table.entry(entry.place()).or_default().insert(entry.date, entry);
    }
    let tables = by_table.iter().map(|(table, of_date)| CoverageRow {
        table: table.clone(),
        // The entry of a date is the last that begins on or before it, if it reaches that date.
        cells: dates
            .iter()
            .map(|date| {
                let entry = of_date.range(..=*date).next_back().map(|(_, entry)| *entry);
                cell(entry.filter(|entry| entry.holds(*date)))
            })
            .collect(),
        rows: format_count(of_date.values().map(|entry| entry.rows).sum()),
        bytes: format_bytes(of_date.values().map(|entry| entry.bytes).sum()),
    });
    let mut gaps: Vec<&CoverageEntry> = entries.iter().filter(|entry| !entry.reasons.is_empty()).collect();
    gaps.sort_by_key(|entry| entry.status != Status::Failed);
    let gaps = gaps.into_iter().map(|entry| UnreadDates {
        table: entry.place(),
        date: entry.when(),
        status: entry.status.name(),
        reason: entry.reasons.to_string(),
    });
    page(&CoveragePage {
        frame: scope.frame("Coverage", "/coverage"),
        counts: Counts::of(&scope),
        not_read: coverage.gaps.iter().map(Gap::to_string).collect(),
        filters: coverage.filters.iter().map(RowFilter::to_string).collect(),
        tables: tables.collect(),
        gaps: gaps.collect(),
        dates: dates.iter().map(|date| date.to_string()).collect(),
    })
}

fn cell(entry: Option<&CoverageEntry>) -> Cell {
    let Some(entry) = entry else {
        return Cell { status: "none", text: String::new(), title: "not read".into() };
    };
    let status = entry.status.name();
    let text = match entry.status {
        Status::Scanned | Status::Empty => short(entry.rows),
        Status::Missing => "—".into(),
        Status::Failed => format!("! {}", short(entry.rows)),
    };
    let (rows, files) = (counted(entry.rows, "row"), counted(entry.files, "file"));
    let title = format!("{status}: {rows} in {files}, {}", format_bytes(entry.bytes));
    Cell { status, text, title }
}

/// A number of rows in a few characters.
fn short(rows: u64) -> String {
    match rows {
        0..1_000 => rows.to_string(),
        1_000..1_000_000 => format!("{}k", rows / 1_000),
        1_000_000..1_000_000_000 => format!("{}M", rows / 1_000_000),
        _ => format!("{}G", rows / 1_000_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_rows_are_short() {
        let texts = [0, 999, 1_000, 999_999, 1_500_000, 2_000_000_000].map(short);
        assert_eq!(texts, ["0", "999", "1k", "999k", "1M", "2G"]);
    }

    #[test]
    fn a_cell_without_an_entry_was_not_read() {
        let cell = cell(None);
        assert_eq!((cell.status, cell.text.as_str(), cell.title.as_str()), ("none", "", "not read"));
    }
}
