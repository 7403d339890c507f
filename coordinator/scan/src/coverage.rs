//! Coverage: what a scan read and what it did not. There is one entry for each table and date, one for each run of dates without
//! data, and a gap for whatever could not be looked at regardless of the date.

use chrono::NaiveDate;
use hindcast_engine::StateFault;
use hindcast_lake::selection::SelectionStats;
use serde::{Deserialize, Serialize};

use super::date_reason::DateReasons;
use super::gap::Gap;
use super::read_version::ReadVersion;
use super::row_filter::RowFilter;

/// The outcome for one table and date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Read.
    Scanned,
    /// Present, without a row in the window.
    Empty,
    /// Absent.
    Missing,
    /// A file, or the time of a row, could not be read.
    Failed,
}

impl Status {
    /// The name in output.
    pub fn name(self) -> &'static str {
        match self {
            Status::Scanned => "scanned",
            Status::Empty => "empty",
            Status::Missing => "missing",
            Status::Failed => "failed",
        }
    }
}

/// One table and date, or a run of dates for which the table has no data.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CoverageEntry {
    /// The table.
    pub table: String,
    /// The root of this part of the table, if the lake has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
    /// The date of its folder; the first of a run.
    pub date: NaiveDate,
    /// The last date of a run; absent for a single date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub through: Option<NaiveDate>,
    /// The outcome.
    pub status: Status,
    /// Files read.
    pub files: u64,
    /// Rows in the window.
    pub rows: u64,
    /// Bytes of the files read.
    pub bytes: u64,
    /// What was not read, and why; none if everything was read.
    #[serde(rename = "reason", default)]
    pub reasons: DateReasons,
    /// In an investigation: how many of the row groups and bytes were read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read: Option<ReadSummary>,
}

impl CoverageEntry {
    /// Number of dates of the entry.
    pub fn dates(&self) -> u64 {
        self.through.map_or(1, |last| (last - self.date).num_days().unsigned_abs() + 1)
    }

    /// Whether the entry covers `date`.
    pub fn holds(&self, date: NaiveDate) -> bool {
        (self.date..=self.through.unwrap_or(self.date)).contains(&date)
    }

    /// The table, with its root if the lake has several, formatted for people.
    pub fn place(&self) -> String {
        match &self.root {
            Some(root) => format!("{} in root {root}", self.table),
            None => self.table.clone(),
        }
    }

    /// Its date or dates, formatted for people.
    pub fn when(&self) -> String {
        format_dates(self.date, self.through.unwrap_or(self.date), self.dates())
    }

    /// Table, dates and reason, formatted for people.
    pub fn unread_text(&self) -> String {
        let reasons = self.reasons.to_string();
        let reasons = if reasons.is_empty() { self.status.name() } else { &reasons };
        format!("{} {}: {reasons}", self.place(), self.when())
    }
}

/// A range of `count` dates, formatted for people.
pub fn format_dates(first: NaiveDate, last: NaiveDate, count: u64) -> String {
    if first == last { first.to_string() } else { format!("{first} to {last} ({count} dates)") }
}

/// How much of the files was read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadSummary {
    /// Row groups of the files.
    pub row_groups: u64,
    /// Row groups read.
    pub row_groups_read: u64,
    /// Bytes of all row groups.
    pub bytes: u64,
    /// Bytes of the row groups read.
    pub bytes_read: u64,
}

impl ReadSummary {
    /// Adds the numbers of `more`.
    pub(super) fn add(&mut self, more: &Self) {
        self.row_groups += more.row_groups;
        self.row_groups_read += more.row_groups_read;
        self.bytes += more.bytes;
        self.bytes_read += more.bytes_read;
    }

    pub(super) fn of(stats: &SelectionStats) -> Self {
        let SelectionStats { row_groups, row_groups_read, bytes, bytes_read, .. } = *stats;
        Self { row_groups, row_groups_read, bytes, bytes_read }
    }
}

/// Coverage of a scan.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Coverage {
    /// Every table and date of the window; a run of dates without data is one entry.
    pub tables: Vec<CoverageEntry>,
    /// What was not looked at, regardless of the date.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<Gap>,
    /// Whether everything present was looked at: no date failed, and there is no gap.
    pub complete: bool,
    /// The versions of tables with a log that were read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub versions: Vec<ReadVersion>,
    /// The rows that suites chose by the value of a column, such as the vendor, and those that they left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<RowFilter>,
    /// Every table and date before the window that some analyses look back at. They run without what is absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub look_back: Vec<CoverageEntry>,
    /// Stored state that was damaged and was computed again; no result differs by it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replaced_state: Vec<StateFault>,
}

impl Coverage {
    /// Dates before the window that could not be read.
    pub fn unread_past(&self) -> impl Iterator<Item = &CoverageEntry> {
        self.look_back.iter().filter(|entry| entry.status == Status::Failed)
    }

    /// Number of dates, over all tables, with that status.
    pub fn count(&self, status: Status) -> u64 {
        self.tables.iter().filter(|entry| entry.status == status).map(CoverageEntry::dates).sum()
    }

    /// Rows of all tables in the window.
    pub fn rows(&self) -> u64 {
        self.tables.iter().map(|entry| entry.rows).sum()
    }

    /// Whether the suite looks at some rows of the table in `root`, as far as is known.
    pub(super) fn has_rows_taken(&self, table: &str, root: Option<&str>) -> bool {
        let is_of = |gap: &Gap| gap.table == table && gap.root.as_deref() == root;
        !self.gaps.iter().any(|gap| gap.is_of_rows() && is_of(gap))
    }

    /// What should have been looked at and was not, gaps first.
    pub fn unread(&self) -> impl Iterator<Item = String> + '_ {
        let failed = self.tables.iter().filter(|entry| entry.status == Status::Failed);
        let failed = failed.map(CoverageEntry::unread_text);
        self.gaps.iter().map(Gap::to_string).chain(failed)
    }

    /// Dates for a chart with one column per date: all dates of the window if they are at most `most`, else only those with data.
    pub fn charted_dates(&self, most: usize) -> Vec<NaiveDate> {
        let first = self.tables.iter().map(|entry| entry.date).min();
        let last = self.tables.iter().map(|entry| entry.through.unwrap_or(entry.date)).max();
        let (Some(first), Some(last)) = (first, last) else { return Vec::new() };
        if (last - first).num_days() < most as i64 {
            return first.iter_days().take_while(|date| *date <= last).collect();
        }
        let single = self.tables.iter().filter(|entry| entry.through.is_none()).map(|entry| entry.date);
        single.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
    }
}

/// How many table dates there are of each status.
pub fn status_counts(entries: &[CoverageEntry]) -> String {
    let count = |status| -> u64 {
        entries.iter().filter(|entry| entry.status == status).map(CoverageEntry::dates).sum()
    };
    format!(
        "{} table dates scanned, {} empty, {} missing, {} failed",
        count(Status::Scanned),
        count(Status::Empty),
        count(Status::Missing),
        count(Status::Failed)
    )
}

#[cfg(test)]
mod tests {
    use super::super::date_reason::DateReason;
    use super::super::gap::GapCause;
    use super::*;

    fn date(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn entry(table: &str, first: &str, through: Option<&str>, status: Status) -> CoverageEntry {
        CoverageEntry {
            table: table.into(),
            root: None,
            date: date(first),
            through: through.map(date),
            status,
            files: 1,
            rows: 5,
            bytes: 100,
            reasons: DateReasons::default(),
            read: None,
        }
    }

    fn coverage(tables: Vec<CoverageEntry>, gaps: Vec<Gap>) -> Coverage {
        let (filters, look_back, replaced_state) = (Vec::new(), Vec::new(), Vec::new());
        let versions = Vec::new();
        Coverage { tables, gaps, complete: true, versions, filters, look_back, replaced_state }
    }

    #[test]
    fn a_run_of_dates_counts_each_of_them() {
        let run = entry("AuditLogs", "2026-03-02", Some("2026-03-04"), Status::Missing);
        assert_eq!(run.dates(), 3);
        assert_eq!(run.when(), "2026-03-02 to 2026-03-04 (3 dates)");
        assert!(run.holds(date("2026-03-04")) && !run.holds(date("2026-03-05")));
        let single = entry("AuditLogs", "2026-03-01", None, Status::Scanned);
        assert_eq!((single.dates(), single.when()), (1, "2026-03-01".into()));
        let entries = vec![single, run];
        assert_eq!(status_counts(&entries), "1 table dates scanned, 0 empty, 3 missing, 0 failed");
        let coverage = coverage(entries, Vec::new());
        assert_eq!((coverage.count(Status::Missing), coverage.rows()), (3, 10));
    }

    #[test]
    fn gaps_and_failed_dates_are_unread() {
        let cause = GapCause::OtherTableName { found: "audit_logs".into() };
        let gap = Gap::new("AuditLogs", cause);
        let failed = CoverageEntry {
            reasons: DateReason::WithoutTime { rows: 5 }.into(),
            ..entry("OfficeActivity", "2026-03-01", None, Status::Failed)
        };
        let scanned = entry("OfficeActivity", "2026-03-02", None, Status::Scanned);
        let coverage = coverage(vec![failed, scanned], vec![gap]);
        let unread: Vec<String> = coverage.unread().collect();
        assert_eq!(
            unread,
            [
                "AuditLogs: the lake has no such table, but one called audit_logs",
                "OfficeActivity 2026-03-01: 5 rows have no readable time",
            ]
        );
        assert!(coverage.has_rows_taken("AuditLogs", None));
    }

    #[test]
    fn a_chart_of_a_long_window_shows_dates_with_data_alone() {
        let entries = vec![
            entry("AuditLogs", "2026-03-01", None, Status::Scanned),
            entry("AuditLogs", "2026-03-02", Some("2026-03-09"), Status::Missing),
            entry("AuditLogs", "2026-03-10", None, Status::Scanned),
        ];
        let coverage = coverage(entries, Vec::new());
        assert_eq!(coverage.charted_dates(10).len(), 10);
        assert_eq!(coverage.charted_dates(9), [date("2026-03-01"), date("2026-03-10")]);
        assert!(super::tests::coverage(Vec::new(), Vec::new()).charted_dates(9).is_empty());
    }

    #[test]
    fn entries_keep_their_json() {
        let missing = CoverageEntry {
            reasons: DateReason::NoFolder.into(),
            ..entry("AuditLogs", "2026-03-02", Some("2026-03-03"), Status::Missing)
        };
        let value = serde_json::to_value(&missing).unwrap();
        assert_eq!(
            value,
            serde_json::json!({
                "table": "AuditLogs",
                "date": "2026-03-02",
                "through": "2026-03-03",
                "status": "missing",
                "files": 1,
                "rows": 5,
                "bytes": 100,
                "reason": "the table has no folder of this date",
            })
        );
        let read: CoverageEntry = serde_json::from_value(value).unwrap();
        assert!(read.reasons.is_only(&DateReason::NoFolder));
        let whole = entry("AuditLogs", "2026-03-01", None, Status::Scanned);
        assert!(serde_json::to_value(&whole).unwrap()["reason"].is_null());
    }
}
