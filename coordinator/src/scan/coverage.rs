//! What was looked at and what was not: one entry for each table and date, and for runs of dates of which there is nothing;
//! and what of a table could not be looked at whatever the date.

use chrono::NaiveDate;
use hindcast_common::engine::StateFault;
use hindcast_common::selection::SelectionStats;
use serde::{Deserialize, Serialize};

/// What became of a table's date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Read.
    Scanned,
    /// There, without a row in the window.
    Empty,
    /// Not there.
    Missing,
    /// Something of it could not be read: a file, or the time of a row.
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

/// One table and date, or a run of dates of which the table has nothing.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CoverageEntry {
    /// The table.
    pub table: String,
    /// The date of its folder; the first of a run.
    pub date: NaiveDate,
    /// The last date of a run; absent for one date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub through: Option<NaiveDate>,
    /// What became of it.
    pub status: Status,
    /// Files read.
    pub files: u64,
    /// Rows in the window.
    pub rows: u64,
    /// Bytes of the files read.
    pub bytes: u64,
    /// What was not read, and why; absent where all was.
    pub reason: Option<String>,
    /// Where an entity's rows alone were looked for: the row groups read of all, and the bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read: Option<ReadSummary>,
}

impl CoverageEntry {
    /// Dates it is of.
    pub fn dates(&self) -> u64 {
        self.through.map_or(1, |last| (last - self.date).num_days().unsigned_abs() + 1)
    }

    /// Whether it is of `date`.
    pub fn holds(&self, date: NaiveDate) -> bool {
        (self.date..=self.through.unwrap_or(self.date)).contains(&date)
    }

    /// Its date or dates, as people read them.
    pub fn when(&self) -> String {
        format_dates(self.date, self.through.unwrap_or(self.date), self.dates())
    }

    /// What of it could not be read, and why, as people read it.
    pub fn unread_text(&self) -> String {
        format!("{} {}: {}", self.table, self.when(), self.reason.as_deref().unwrap_or("failed"))
    }
}

/// Dates from one to another, so many, as people read them.
pub fn format_dates(first: NaiveDate, last: NaiveDate, count: u64) -> String {
    if first == last { first.to_string() } else { format!("{first} to {last} ({count} dates)") }
}

/// What was read, of what there is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadSummary {
    /// Row groups of the files.
    pub row_groups: u64,
    /// Row groups read.
    pub row_groups_read: u64,
    /// Bytes of all row groups.
    pub bytes: u64,
    /// Bytes of those read.
    pub bytes_read: u64,
}

impl ReadSummary {
    /// Adds what was read elsewhere.
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

/// Why something that is there was not looked at, whatever its date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GapKind {
    /// The table is there under another name.
    Table,
    /// Parquet files lie where no layout explains them.
    Layout,
    /// Columns are not there, or under other names.
    Columns,
    /// No row has the value that the suite looks for.
    Rows,
    /// The newest rows, from which a window is counted back, could not be read.
    Newest,
    /// A detection that a user brought failed.
    Detection,
}

/// Something that was to be looked at, is there, and was not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Why.
    pub kind: GapKind,
    /// The table; of a detection that failed, its id.
    pub table: String,
    /// The whole, for people.
    pub reason: String,
    /// What was looked for: names of tables or columns, or values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub looked_for: Vec<String>,
    /// What is there: names that are like them, values with the number of their rows, or paths.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub found: Vec<String>,
}

impl Gap {
    /// Table and reason.
    pub fn text(&self) -> String {
        format!("{}: {}", self.table, self.reason)
    }
}

/// Coverage of a scan.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Coverage {
    /// Every table and date of the window; runs of dates of which a table has nothing are one entry.
    pub tables: Vec<CoverageEntry>,
    /// What was not looked at whatever its date.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<Gap>,
    /// Whether all that is there was looked at: no date failed, and there is no gap.
    pub complete: bool,
    /// Every table and date before the window that some analyses look back at. They do without what is not there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub look_back: Vec<CoverageEntry>,
    /// State from earlier that was damaged and had to be computed again: it changed no result.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replaced_state: Vec<StateFault>,
}

impl Coverage {
    /// What could not be read of the time before the window.
    pub fn unread_past(&self) -> impl Iterator<Item = &CoverageEntry> {
        self.look_back.iter().filter(|entry| entry.status == Status::Failed)
    }

    /// Dates of tables of that status.
    pub fn count(&self, status: Status) -> u64 {
        self.tables.iter().filter(|entry| entry.status == status).map(CoverageEntry::dates).sum()
    }

    /// Rows of all tables in the window.
    pub fn rows(&self) -> u64 {
        self.tables.iter().map(|entry| entry.rows).sum()
    }

    /// Whether rows of the table are among those that its suite looks at, as far as is known.
    pub(super) fn has_rows_taken(&self, table: &str) -> bool {
        !self.gaps.iter().any(|gap| gap.kind == GapKind::Rows && gap.table == table)
    }

    /// What was not looked at and should have been, gaps first.
    pub fn unread(&self) -> impl Iterator<Item = String> + '_ {
        let failed = self.tables.iter().filter(|entry| entry.status == Status::Failed);
        let failed = failed.map(CoverageEntry::unread_text);
        self.gaps.iter().map(Gap::text).chain(failed)
    }

    /// Dates for a chart with a column for each: all of the window where they are `most` or fewer, else those alone of which
    /// something is there.
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

/// Why a date of a table that the lake has is missing.
pub const NO_FOLDER: &str = "the table has no folder of this date";
/// Why a date was passed over that can't hold an entity's rows.
pub const CANNOT_NAME: &str =
    "not read: no row of this date can name the entity, and nothing ties it to a name there";

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
