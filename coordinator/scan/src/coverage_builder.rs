//! Builds the coverage of a scan from the records of its units.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use hindcast_base::time::{Window, date_of_us};
use hindcast_engine::StateFault;
use hindcast_lake::{DateFolder, TableSpec};

use super::coverage::{Coverage, CoverageEntry, ReadSummary, Status};
use super::date_reason::{DateReason, DateReasons};
use super::entity_lookup::SkippedFolders;
use super::gap::Gap;
use super::plan::{PlannedTable, ScanPlan};
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
            let (spec, root) = (planned.table.spec, planned.table.root.as_deref());
            let in_root = |entry| CoverageEntry { root: root.map(str::to_owned), ..entry };
            let units = |date: NaiveDate| of_window.get(&(index, date)).map(Vec::as_slice);
            let is_skipped = |date: NaiveDate| skipped.of_window.contains(&(index, date));
            let of_table = entries(spec, &plan.window, &planned.folders, units, is_skipped);
            tables.extend(of_table.into_iter().map(in_root));
            if let Some(past) = &planned.past {
                let units = |date: NaiveDate| of_past.get(&(index, date)).map(Vec::as_slice);
                let is_skipped = |date: NaiveDate| skipped.past.contains(&(index, date));
                let of_past = entries(spec, &past.window, &past.folders, units, is_skipped);
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
        let Self { tables, look_back, replaced_state, filters, .. } = self;
        Coverage { tables, gaps, complete, filters, look_back, replaced_state }
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
    spec: &TableSpec,
    window: &Window,
    folders: &[DateFolder],
    units: impl Fn(NaiveDate) -> Option<&'a [&'a UnitRecord]>,
    is_skipped: impl Fn(NaiveDate) -> bool,
) -> Vec<CoverageEntry> {
    let dates: Vec<NaiveDate> = folders.iter().map(|folder| folder.date).collect();
    let missing = |(first, last)| run(spec.name, first, last, DateReason::NoFolder);
    let mut entries: Vec<CoverageEntry> = runs_between(window, &dates).into_iter().map(missing).collect();
    for folder in folders {
        entries.push(match units(folder.date) {
            Some(units) => entry_of(spec, folder.date, units),
            None => {
                let is_skipped = is_skipped(folder.date);
                let reason = if is_skipped { DateReason::CannotNameEntity } else { DateReason::NoFile };
                unread(spec.name, folder.date, Status::Empty, reason)
            }
        });
    }
    entries
}

/// First and last dates of the runs of `window` that have none of `dates`, which are in order.
fn runs_between(window: &Window, dates: &[NaiveDate]) -> Vec<(NaiveDate, NaiveDate)> {
    let mut runs = Vec::new();
    let mut next = Some(window.first_date());
    for date in dates {
        let last = date.pred_opt().map(|last| last.min(window.last_date()));
        runs.extend(next.zip(last).filter(|(first, last)| first <= last));
        next = next.max(date.succ_opt());
    }
    runs.extend(next.map(|first| (first, window.last_date())).filter(|(first, last)| first <= last));
    runs
}

/// Adds the files that could not be read while the entity was looked up.
fn add_faults(entries: &mut [CoverageEntry], records: &[UnitRecord], tables: &[PlannedTable]) {
    for record in records.iter().filter(|record| !record.faults.is_empty()) {
        let table = &tables[record.unit.table].table;
        let is_of = |entry: &CoverageEntry| entry.table == table.spec.name && entry.root.as_deref() == table.root.as_deref();
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
    let stats: Vec<_> = units.iter().filter_map(|unit| Some(&unit.manifests.first()?.stats)).collect();
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
    // A folder that the window cuts always has rows outside it; in a whole one they are worth reporting.
    if outside > 0 && units.iter().any(|unit| !unit.unit.is_clipped) {
        reasons.push(DateReason::OutsideWindow { rows: outside });
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
        read: stats.iter().filter_map(|stats| stats.selection.as_ref()).map(ReadSummary::of).reduce(
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

/// Days of the window with rows that were read: the first and last day of each run, in order.
pub(super) fn days_read<'a>(
    window: &Window,
    records: impl Iterator<Item = &'a UnitRecord>,
) -> Vec<(NaiveDate, NaiveDate)> {
    let spans = records.flat_map(|record| &record.manifests).filter_map(|manifest| {
        let (first, last) = (date_of_us(manifest.stats.min_us?), date_of_us(manifest.stats.max_us?));
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
mod tests {
    use hindcast_base::error::InputFault;
    use hindcast_base::time::parse_time;
    use hindcast_engine::{Manifest, RollupUnit, UnitStats};
    use hindcast_lake::selection::SelectionStats;
    use hindcast_lake::LakeFile;

    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn spec() -> &'static TableSpec {
        TableSpec::by_name("CommonSecurityLog").unwrap()
    }

    /// The record of a unit whose rows have these statistics.
    fn record(stats: UnitStats, is_clipped: bool, faulty: &[&str]) -> UnitRecord {
        let file = LakeFile::new("a.parquet".into(), 100, None);
        let unit = RollupUnit {
            table: 0,
            date: day("2026-01-01"),
            files: vec![file],
            window: Window::new(0, 1).unwrap(),
            is_clipped,
            rollups: Vec::new(),
            selection: None,
        };
        let manifest =
            Manifest { key: "key".into(), rollup: "event_bins".into(), stats, data: None, state_rows: 0 };
        let mut record = UnitRecord::new(unit, vec![manifest]);
        record.faults = faulty.iter().map(|file| fault(file)).collect();
        record
    }

    fn fault(file: &str) -> InputFault {
        InputFault { file: file.into(), row_group: None, column: None, reason: "cut short".into() }
    }

    fn stats(rows: u64, outside: u64, without_time: u64, unreadable: &[(&str, u64)]) -> UnitStats {
        UnitStats {
            rows,
            rows_outside: outside,
            rows_without_time: without_time,
            unreadable: unreadable.iter().map(|(column, count)| ((*column).to_owned(), *count)).collect(),
            ..UnitStats::default()
        }
    }

    fn entry(records: &[UnitRecord]) -> CoverageEntry {
        let records: Vec<&UnitRecord> = records.iter().collect();
        entry_of(spec(), day("2026-01-01"), &records)
    }

    #[test]
    fn a_date_is_scanned_empty_or_failed() {
        let of = |stats, faulty: &[&str]| entry(&[record(stats, false, faulty)]);
        assert_eq!(of(stats(5, 0, 0, &[]), &[]).status, Status::Scanned);
        assert_eq!(of(stats(0, 0, 0, &[]), &[]).status, Status::Empty);
        let failed = of(stats(5, 0, 0, &[]), &["b.parquet"]);
        assert_eq!((failed.status, failed.rows), (Status::Failed, 5));
        assert_eq!(failed.reasons.to_string(), "file b.parquet: cut short");
    }

    #[test]
    fn a_few_unreadable_times_are_counted_and_many_fail_the_date() {
        let of =
            |rows, unread| entry(&[record(stats(rows, 0, unread, &[("TimeGenerated", unread)]), false, &[])]);
        let few = of(99, 1);
        assert_eq!(few.status, Status::Scanned);
        assert_eq!(
            few.reasons.to_string(),
            "1 rows have no readable time; 1 values of TimeGenerated could not be read and count as null"
        );
        assert_eq!(of(90, 10).status, Status::Scanned);
        assert_eq!(of(89, 11).status, Status::Failed);
        // Rows that never had a time are as their writer left them, unless no row has one.
        assert_eq!(entry(&[record(stats(50, 0, 50, &[]), false, &[])]).status, Status::Scanned);
        assert_eq!(entry(&[record(stats(0, 0, 50, &[]), false, &[])]).status, Status::Failed);
    }

    #[test]
    fn the_share_of_unreadable_times_is_that_of_all_rows_read_for_an_entity() {
        let mut few_rows = stats(1, 0, 1, &[("TimeGenerated", 1)]);
        few_rows.selection = Some(SelectionStats { rows_read: 1_000, ..SelectionStats::default() });
        let entry = entry(&[record(few_rows, false, &[])]);
        assert_eq!(entry.status, Status::Scanned);
        assert!(entry.read.is_some());
    }

    #[test]
    fn rows_outside_the_window_are_reported_for_whole_dates() {
        let outside = |is_clipped| entry(&[record(stats(5, 3, 0, &[]), is_clipped, &[])]);
        assert!(outside(false).reasons.has(&DateReason::OutsideWindow { rows: 3 }));
        assert!(outside(true).reasons.is_empty());
    }

    #[test]
    fn unreadable_values_of_a_unit_are_counted_once_whatever_the_rollups() {
        let mut twice = record(stats(9, 0, 0, &[("SentBytes", 2)]), false, &[]);
        let other = Manifest {
            stats: stats(9, 0, 0, &[("SentBytes", 2), ("ReceivedBytes", 1)]),
            ..twice.manifests[0].clone()
        };
        twice.manifests.push(other);
        let units = [twice, record(stats(4, 0, 0, &[("SentBytes", 3)]), false, &[])];
        let entry = entry(&units);
        assert_eq!((entry.rows, entry.bytes), (13, 200));
        let values = |column: &str, values| DateReason::UnreadableValues { column: column.into(), values };
        assert!(entry.reasons.has(&values("SentBytes", 5)) && entry.reasons.has(&values("ReceivedBytes", 1)));
    }

    #[test]
    fn dates_without_a_folder_are_runs() {
        let runs = |from: &str, to: &str, dates: &[&str]| {
            let window = Window::new(parse_time(from).unwrap(), parse_time(to).unwrap()).unwrap();
            let dates: Vec<NaiveDate> = dates.iter().map(|text| day(text)).collect();
            let runs = runs_between(&window, &dates);
            runs.iter().map(|(first, last)| format!("{first} {last}")).collect::<Vec<_>>().join(", ")
        };
        assert_eq!(runs("2026-01-01", "2026-01-04", &["2026-01-01", "2026-01-02", "2026-01-03"]), "");
        assert_eq!(
            runs("2026-01-01", "2026-01-07T01:00:00Z", &["2026-01-02", "2026-01-04"]),
            "2026-01-01 2026-01-01, 2026-01-03 2026-01-03, 2026-01-05 2026-01-07"
        );
        // Folders outside the window that hold rows of it.
        assert_eq!(runs("2026-01-02", "2026-01-04", &["2026-01-01", "2026-01-06"]), "2026-01-02 2026-01-03");
        assert_eq!(runs("0001-01-01", "9999-12-31", &[]), "0001-01-01 9999-12-30");
    }

    #[test]
    fn spans_that_touch_are_one() {
        let spans =
            [("2026-01-05", "2026-01-06"), ("2026-01-01", "2026-01-02"), ("2026-01-03", "2026-01-03")];
        let spans = joined(spans.map(|(first, last)| (day(first), day(last))).to_vec());
        assert_eq!(spans, [(day("2026-01-01"), day("2026-01-03")), (day("2026-01-05"), day("2026-01-06"))]);
    }
}
