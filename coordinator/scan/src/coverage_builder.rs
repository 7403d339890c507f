//! Builds the coverage of a scan from the records of its units.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use hindcast_base::time::{Window, date_of_us};
use hindcast_engine::StateFault;
use hindcast_lake::{DateFolder, LakeTable, TableSpec};

use super::coverage::{Coverage, CoverageEntry, ReadSummary, Status};
use super::date_reason::{DateReason, DateReasons};
use super::entity_lookup::SkippedFolders;
use super::gap::Gap;
use super::plan::{PlannedTable, ScanPlan};
use super::read_version::ReadVersion;
use super::row_filter::RowFilter;
use super::unit_record::{PlanRecords, UnitRecord};

/// If more than one row in this many has an unreadable time, its date counts as not read. An import may reject the same share of
/// its records.
const MIN_ROWS_PER_UNREAD_TIME: u64 = 10;

/// Collects the coverage of a plan.
pub(super) struct CoverageBuilder<'a> {
    plan: &'a ScanPlan,
    tables: Vec<CoverageEntry>,
    look_back: Vec<CoverageEntry>,
    replaced_state: Vec<StateFault>,
    filters: Vec<RowFilter>,
}

impl<'a> CoverageBuilder<'a> {
    /// The coverage of the units in `records`. An investigation does not read the folders in `skipped`.
    pub(super) fn new(plan: &'a ScanPlan, records: &PlanRecords, skipped: &SkippedFolders) -> Self {
        let (of_window, of_past) = (by_folder(&records.of_window), by_folder(&records.past));
        let (mut tables, mut look_back) = (Vec::new(), Vec::new());
        for (index, planned) in plan.tables.iter().enumerate() {
            let (table, root) = (&planned.table, planned.table.root.as_deref());
            let in_root = |entry| CoverageEntry { root: root.map(str::to_owned), ..entry };
            let units = |date: NaiveDate| of_window.get(&(index, date)).map(Vec::as_slice);
            let is_skipped = |date: NaiveDate| skipped.of_window.contains(&(index, date));
            let of_table = entries(table, &plan.window, &planned.folders, units, is_skipped);
            tables.extend(of_table.into_iter().map(in_root));
            if let Some(past) = &planned.past {
                let units = |date: NaiveDate| of_past.get(&(index, date)).map(Vec::as_slice);
                let is_skipped = |date: NaiveDate| skipped.past.contains(&(index, date));
                let of_past = entries(table, &past.window, &past.folders, units, is_skipped);
                look_back.extend(of_past.into_iter().map(in_root));
            }
        }
        let (first, last) = (plan.window.first_date(), plan.window.last_date());
        tables.extend(plan.missing_tables.iter().map(|name| run(name, first, last, DateReason::NoTable)));
        tables.extend(plan.missing_in_roots.iter().map(|(root, name)| CoverageEntry {
            root: Some(root.to_string()),
            ..run(name, first, last, DateReason::NoTableInRoot)
        }));
        for entries in [&mut tables, &mut look_back] {
            entries.sort_by(|left, right| {
                (&left.table, &left.root, left.date).cmp(&(&right.table, &right.root, right.date))
            });
        }
        let all = records.of_window.iter().chain(&records.past);
        let replaced_state = all.flat_map(|record| &record.replaced).cloned().collect();
        Self { plan, tables, look_back, replaced_state, filters: Vec::new() }
    }

    /// Adds what could not be read while an entity was looked up: `records` of units of `tables`.
    #[must_use]
    pub(super) fn with_lookup(mut self, records: &[UnitRecord], tables: &[PlannedTable]) -> Self {
        add_faults(&mut self.tables, records, tables);
        self.replaced_state.extend(records.iter().flat_map(|record| &record.replaced).cloned());
        self
    }

    /// Adds what suites kept and left out of tables.
    #[must_use]
    pub(super) fn with_filters(self, filters: Vec<RowFilter>) -> Self {
        Self { filters, ..self }
    }

    /// The coverage, with the gaps of the plan and `gaps`, which only rows show.
    pub(super) fn build(mut self, gaps: Vec<Gap>) -> Coverage {
        let gaps: Vec<Gap> = self.plan.gaps.iter().cloned().chain(gaps).collect();
        let complete = gaps.is_empty() && self.tables.iter().all(|entry| entry.status != Status::Failed);
        self.replaced_state.sort_by(|left, right| left.file.cmp(&right.file));
        self.replaced_state.dedup_by(|left, right| left.file == right.file);
        let Self { plan, tables, look_back, replaced_state, filters } = self;
        let versions = ReadVersion::all_of(plan);
        Coverage { tables, gaps, complete, versions, filters, look_back, replaced_state }
    }
}

fn by_folder(records: &[UnitRecord]) -> BTreeMap<(usize, NaiveDate), Vec<&UnitRecord>> {
    let mut by_folder: BTreeMap<(usize, NaiveDate), Vec<&UnitRecord>> = BTreeMap::new();
    for record in records {
        by_folder.entry((record.unit.table, record.unit.date)).or_default().push(record);
    }
    by_folder
}

/// The entries of a table in `window`: one for each of its folders, and one for each run of dates without a folder.
fn entries<'a>(
    table: &LakeTable,
    window: &Window,
    folders: &[DateFolder],
    units: impl Fn(NaiveDate) -> Option<&'a [&'a UnitRecord]>,
    is_skipped: impl Fn(NaiveDate) -> bool,
) -> Vec<CoverageEntry> {
    let (spec, spans) = (table.spec, spans_of(window, folders));
    let absent = if table.is_listed() { DateReason::NoRows } else { DateReason::NoFolder };
    let missing = |(first, last)| run(spec.name, first, last, absent.clone());
    let mut entries: Vec<CoverageEntry> = runs_between(window, &spans).into_iter().map(missing).collect();
    for (date, last) in spans {
        let entry = match units(date) {
            Some(units) => entry_of(spec, date, units),
            None => {
                let reason = if is_skipped(date) { DateReason::CannotNameEntity } else { DateReason::NoFile };
                unread(spec.name, date, Status::Empty, reason)
            }
        };
        entries.push(CoverageEntry { through: (last > date).then_some(last), ..entry });
    }
    entries
}

/// First and last date of each folder. The rows of a listed file may reach beyond its date: the dates up to that of the next
/// folder, as far as a file so far reaches them, are those of its folder.
fn spans_of(window: &Window, folders: &[DateFolder]) -> Vec<(NaiveDate, NaiveDate)> {
    let mut reached = NaiveDate::MIN;
    let nexts = folders.iter().skip(1).map(|next| next.date.pred_opt().unwrap_or(next.date));
    let nexts = nexts.chain([window.last_date()]);
    let span = |(folder, next): (&DateFolder, NaiveDate)| {
        reached = reached.max(folder.last_date());
        (folder.date, reached.min(next).min(window.last_date()).max(folder.date))
    };
    folders.iter().zip(nexts).map(span).collect()
}

/// First and last dates of the runs of `window` that are in none of `spans`, which are in order.
fn runs_between(window: &Window, spans: &[(NaiveDate, NaiveDate)]) -> Vec<(NaiveDate, NaiveDate)> {
    let mut runs = Vec::new();
    let mut next = Some(window.first_date());
    for (first, last) in spans {
        let before = first.pred_opt().map(|before| before.min(window.last_date()));
        runs.extend(next.zip(before).filter(|(first, last)| first <= last));
        next = next.max(last.succ_opt());
    }
    runs.extend(next.map(|first| (first, window.last_date())).filter(|(first, last)| first <= last));
    runs
}

/// Adds the files that could not be read while the entity was looked up.
fn add_faults(entries: &mut [CoverageEntry], records: &[UnitRecord], tables: &[PlannedTable]) {
    for record in records.iter().filter(|record| !record.faults.is_empty()) {
        let table = &tables[record.unit.table].table;
        let is_of = |entry: &CoverageEntry| {
            entry.table == table.spec.name && entry.root.as_deref() == table.root.as_deref()
        };
        let is_entry = |entry: &&mut CoverageEntry| is_of(entry) && entry.date == record.unit.date;
        let Some(entry) = entries.iter_mut().find(is_entry) else { continue };
        entry.status = Status::Failed;
        // A file may also have failed when its rows were selected.
        record.faults.iter().for_each(|fault| entry.reasons.add_file(fault));
    }
}

fn unread(table: &str, date: NaiveDate, status: Status, reason: DateReason) -> CoverageEntry {
    CoverageEntry {
        table: table.to_owned(),
        root: None,
        date,
        through: None,
        status,
        files: 0,
        rows: 0,
        bytes: 0,
        reasons: reason.into(),
        read: None,
    }
}

/// An entry for absent dates from `first` to `last`.
fn run(table: &str, first: NaiveDate, last: NaiveDate, reason: DateReason) -> CoverageEntry {
    CoverageEntry { through: (last > first).then_some(last), ..unread(table, first, Status::Missing, reason) }
}

fn entry_of(spec: &TableSpec, date: NaiveDate, units: &[&UnitRecord]) -> CoverageEntry {
    let stats: Vec<_> = units.iter().filter_map(|unit| unit.stats()).collect();
    let rows: u64 = stats.iter().map(|stats| stats.rows).sum();
    let faults: Vec<_> = units.iter().flat_map(|unit| &unit.faults).collect();
    let mut paths: Vec<&str> =
        units.iter().flat_map(|unit| &unit.unit.files).map(|file| file.path.as_str()).collect();
    paths.dedup();
    let faulty_files = faults.iter().map(|fault| DateReason::File((*fault).clone()));
    let mut reasons: Vec<DateReason> = faulty_files.collect();
    let outside: u64 = stats.iter().map(|stats| stats.rows_outside).sum();
    let without_time: u64 = stats.iter().map(|stats| stats.rows_without_time).sum();
    let unreadable = unreadable(units);
    // Rows without a known time belong to no window: they were not looked at. A few are counted; many mean that the format of the
    // time is not supported. A row without a time is as its writer left it, unless no row has one. An entity has few rows, of which
    // one is soon a large part: there the share is that among all rows.
    let read_of_all: Option<u64> =
        stats.iter().map(|stats| Some(stats.selection.as_ref()?.rows_read)).sum::<Option<u64>>();
    let (all, has_none) = match read_of_all {
        Some(read) if !stats.is_empty() => (read, false),
        _ => (rows + outside + without_time, rows + outside == 0),
    };
    let unread_times = unreadable.get(spec.time_column).copied().unwrap_or(0);
    let lost_rows = without_time > 0 && (unread_times * MIN_ROWS_PER_UNREAD_TIME > all || has_none);
    let status = match (faults.is_empty() && !lost_rows, rows) {
        (false, _) => Status::Failed,
        (true, 0) => Status::Empty,
        (true, _) => Status::Scanned,
    };
    // What the window cuts always has rows outside it; in a whole folder or file they are worth reporting.
    let whole = units.iter().filter(|unit| !unit.unit.is_clipped).filter_map(|unit| unit.stats());
    let outside_in_whole: u64 = whole.map(|stats| stats.rows_outside).sum();
    if outside_in_whole > 0 {
        reasons.push(DateReason::OutsideWindow { rows: outside_in_whole });
    }
    if without_time > 0 {
        reasons.push(DateReason::WithoutTime { rows: without_time });
    }
    let unreadable = unreadable.into_iter();
    reasons.extend(unreadable.map(|(column, values)| DateReason::UnreadableValues { column, values }));
    CoverageEntry {
        table: spec.name.to_owned(),
        root: None,
        date,
        through: None,
        status,
        files: paths.len() as u64,
        rows,
        bytes: units.iter().map(|unit| super::units::unit_bytes(&unit.unit)).sum(),
        reasons: reasons.into_iter().collect::<DateReasons>(),
        read: stats.iter().filter_map(|stats| stats.selection.as_deref()).map(ReadSummary::of).reduce(
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
        // A rollup may have the state of several earlier units.
        let mut by_rollup: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        for state in &unit.states {
            for (column, count) in state.stats.unreadable.iter() {
                *by_rollup.entry((column, state.rollup())).or_default() += count;
            }
        }
        let mut of_unit: BTreeMap<&str, u64> = BTreeMap::new();
        for ((column, _), count) in by_rollup {
            let known = of_unit.entry(column).or_default();
            *known = (*known).max(count);
        }
        for (column, count) in of_unit {
            *totals.entry(column.to_owned()).or_default() += count;
        }
    }
    totals
}

/// Days of the window with rows that were read: the first and last day of each run, in order.
pub(super) fn days_read<'a>(
    window: &Window,
    records: impl Iterator<Item = &'a UnitRecord>,
) -> Vec<(NaiveDate, NaiveDate)> {
    let spans = records.filter_map(UnitRecord::stats).filter_map(|stats| {
        let (first, last) = (date_of_us(stats.min_us?), date_of_us(stats.max_us?));
        Some((first.max(window.first_date()), last.min(window.last_date())))
    });
    joined(spans.filter(|(first, last)| first <= last).collect())
}

/// Joins spans that touch or overlap.
pub(super) fn joined(mut spans: Vec<(NaiveDate, NaiveDate)>) -> Vec<(NaiveDate, NaiveDate)> {
    spans.sort_unstable();
    let mut joined: Vec<(NaiveDate, NaiveDate)> = Vec::new();
    for (first, last) in spans {
        match joined.last_mut() {
            Some(open) if open.1.succ_opt().is_none_or(|next| first <= next) => open.1 = open.1.max(last),
            _ => joined.push((first, last)),
        }
    }
    joined
}

#[cfg(test)]
#[path = "coverage_builder_tests.rs"]
mod tests;
