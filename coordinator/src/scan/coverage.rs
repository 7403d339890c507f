//! What was looked at and what was not: one entry a table and date.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use hindcast_common::catalog::DateFolder;
use hindcast_common::selection::SelectionStats;
use hindcast_common::time::Window;
use serde::{Deserialize, Serialize};

use super::investigate::LookedUp;
use super::ledger::UnitRecord;
use super::plan::{PlannedTable, ScanPlan};

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
    /// A file of it could not be read.
    Failed,
}

/// One table and date.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CoverageEntry {
    /// The table.
    pub table: String,
    /// The date of its folder.
    pub date: NaiveDate,
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
    pub read: Option<ReadTold>,
}

/// What was read, of what there is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadTold {
    /// Row groups of the files.
    pub row_groups: u64,
    /// Row groups read.
    pub row_groups_read: u64,
    /// Bytes of all row groups.
    pub bytes: u64,
    /// Bytes of those read.
    pub bytes_read: u64,
}

impl ReadTold {
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

/// Coverage of a scan.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Coverage {
    /// Every table and date of the window.
    pub tables: Vec<CoverageEntry>,
    /// Whether every file in the window was read.
    pub complete: bool,
    /// Every table and date before the window that some analyses look back at. They do without what is not there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub look_back: Vec<CoverageEntry>,
}

impl Coverage {
    /// What could not be read of the time before the window.
    pub fn unread_past(&self) -> impl Iterator<Item = &CoverageEntry> {
        self.look_back.iter().filter(|entry| entry.status == Status::Failed)
    }
}

/// Why a date of a table that the lake has is missing.
pub const NO_FOLDER: &str = "the table has no folder of this date";
/// Why a date was passed over that can't hold an entity's rows.
pub const CANNOT_NAME: &str =
    "not read: no row of this date can name the entity, and nothing ties it to a name there";

/// The coverage a plan's units came to; of an entity's, with what looking it up came to. Units of `past` are of the time before
/// the window.
pub(super) fn coverage_of(
    plan: &ScanPlan,
    records: &[UnitRecord],
    past: &[UnitRecord],
    looked: Option<&LookedUp<'_>>,
) -> Coverage {
    let (of_window, of_past) = (by_folder(records), by_folder(past));
    let mut tables = Vec::new();
    let mut look_back = Vec::new();
    for (index, planned) in plan.tables.iter().enumerate() {
        let name = planned.table.spec.name;
        let is_passed_over = |date| looked.is_some_and(|looked| looked.passed_over.contains(&(index, date)));
        for (date, has_folder) in dates_of(&plan.window, &planned.folders) {
            tables.push(match of_window.get(&(index, date)) {
                Some(units) => entry_of(name, date, units),
                None if is_passed_over(date) => unread(name, date, Status::Empty, CANNOT_NAME),
                None => without_file(name, date, has_folder),
            });
        }
        if let Some(past) = &planned.past {
            let is_passed_over = |date| {
                looked.is_some() && past.folders.iter().any(|own| own.date == date && !own.files.is_empty())
            };
            for (date, has_folder) in dates_of(&past.window, &past.folders) {
                look_back.push(match of_past.get(&(index, date)) {
                    Some(units) => entry_of(name, date, units),
                    None if is_passed_over(date) => unread(name, date, Status::Empty, CANNOT_NAME),
                    None => without_file(name, date, has_folder),
                });
            }
        }
    }
    for name in &plan.missing_tables {
        for date in plan.window.dates() {
            tables.push(unread(name, date, Status::Missing, "the lake has no such table"));
        }
    }
    for entries in [&mut tables, &mut look_back] {
        entries.sort_by(|left, right| (&left.table, left.date).cmp(&(&right.table, right.date)));
    }
    if let Some(looked) = looked {
        add_faults(&mut tables, looked.identities.records(), looked.tables());
    }
    let complete = tables.iter().all(|entry| entry.status != Status::Failed);
    Coverage { tables, complete, look_back }
}

fn by_folder(records: &[UnitRecord]) -> BTreeMap<(usize, NaiveDate), Vec<&UnitRecord>> {
    let mut by_folder: BTreeMap<(usize, NaiveDate), Vec<&UnitRecord>> = BTreeMap::new();
    for record in records {
        by_folder.entry((record.unit.table, record.unit.date)).or_default().push(record);
    }
    by_folder
}

/// The dates of `window` and those of `folders`, in order, each with whether there is a folder of it.
fn dates_of(window: &Window, folders: &[DateFolder]) -> BTreeMap<NaiveDate, bool> {
    let dates = window.dates().into_iter().map(|date| (date, false));
    dates.chain(folders.iter().map(|folder| (folder.date, true))).collect()
}

fn without_file(table: &str, date: NaiveDate, has_folder: bool) -> CoverageEntry {
    match has_folder {
        true => unread(table, date, Status::Empty, "the folder has no Parquet file"),
        false => unread(table, date, Status::Missing, NO_FOLDER),
    }
}

/// Adds the files that could not be read when it was looked up who is who.
fn add_faults(entries: &mut [CoverageEntry], records: &[UnitRecord], tables: &[PlannedTable]) {
    for record in records.iter().filter(|record| !record.faults.is_empty()) {
        let table = tables[record.unit.table].table.spec.name;
        let is_entry = |entry: &&mut CoverageEntry| entry.table == table && entry.date == record.unit.date;
        let Some(entry) = entries.iter_mut().find(is_entry) else { continue };
        entry.status = Status::Failed;
        for fault in &record.faults {
            let told = fault.to_string();
            let reason = entry.reason.get_or_insert_default();
            // The same file failed when its rows were looked for, if they were.
            if !reason.contains(&fault.file) {
                let separator = if reason.is_empty() { "" } else { "; " };
                reason.push_str(&format!("{separator}{told}"));
            }
        }
    }
}

fn unread(table: &str, date: NaiveDate, status: Status, reason: &str) -> CoverageEntry {
    let reason = Some(reason.to_owned());
    CoverageEntry { table: table.to_owned(), date, status, files: 0, rows: 0, bytes: 0, reason, read: None }
}

fn entry_of(table: &str, date: NaiveDate, units: &[&UnitRecord]) -> CoverageEntry {
    let stats: Vec<_> = units.iter().filter_map(|unit| Some(&unit.manifests.first()?.stats)).collect();
    let rows: u64 = stats.iter().map(|stats| stats.rows).sum();
    let faults: Vec<_> = units.iter().flat_map(|unit| &unit.faults).collect();
    let mut paths: Vec<&str> =
        units.iter().flat_map(|unit| &unit.unit.files).map(|file| file.path.as_str()).collect();
    paths.dedup();
    let status = match (faults.is_empty(), rows) {
        (false, _) => Status::Failed,
        (true, 0) => Status::Empty,
        (true, _) => Status::Scanned,
    };
    let mut reasons: Vec<String> = faults.iter().map(ToString::to_string).collect();
    let outside: u64 = stats.iter().map(|stats| stats.rows_outside).sum();
    let without_time: u64 = stats.iter().map(|stats| stats.rows_without_time).sum();
    // A folder the window cuts has rows outside it by nature; in a whole one they are worth telling.
    if outside > 0 && units.iter().any(|unit| !unit.unit.is_clipped) {
        reasons.push(format!("{outside} rows have a time outside the window"));
    }
    if without_time > 0 {
        reasons.push(format!("{without_time} rows have no readable time"));
    }
    for (column, count) in unreadable(units) {
        reasons.push(format!("{count} values of {column} could not be read and count as null"));
    }
    CoverageEntry {
        table: table.to_owned(),
        date,
        status,
        files: paths.len() as u64,
        rows,
        bytes: units.iter().map(|unit| super::units::unit_bytes(&unit.unit)).sum(),
        reason: (!reasons.is_empty()).then(|| reasons.join("; ")),
        read: stats.iter().filter_map(|stats| stats.selection.as_ref()).map(ReadTold::of).reduce(
            |mut all, more| {
                all.add(&more);
                all
            },
        ),
    }
}

/// Unreadable values by column. Rollups computed at different times may have read different columns of a unit.
fn unreadable(units: &[&UnitRecord]) -> BTreeMap<String, u64> {
    let mut totals: BTreeMap<String, u64> = BTreeMap::new();
    for unit in units {
        let mut of_unit: BTreeMap<&str, u64> = BTreeMap::new();
        for (column, count) in unit.manifests.iter().flat_map(|manifest| &manifest.stats.unreadable) {
            let known = of_unit.entry(column).or_default();
            *known = (*known).max(*count);
        }
        for (column, count) in of_unit {
            *totals.entry(column.to_owned()).or_default() += count;
        }
    }
    totals
}
