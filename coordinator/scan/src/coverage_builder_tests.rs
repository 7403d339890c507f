//! Tests of coverage.

use hindcast_base::error::InputFault;
use hindcast_base::time::{date_start_us, parse_time};
use hindcast_engine::{Manifest, RollupUnit, StateFolders, UnitStats};
use hindcast_lake::LakeFile;
use hindcast_lake::selection::SelectionStats;

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
        rollups: Default::default(),
        selection: None,
    };
    let manifest = Manifest {
        key: "table/date/event_bins/key".into(),
        rollup: "event_bins".into(),
        stats: stats.into(),
        data: None,
        state_rows: 0,
    };
    let mut record = UnitRecord::new(unit);
    record.add([manifest], &StateFolders::default());
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
        "1 row has no readable time; 1 value of TimeGenerated could not be read and counts as null"
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
    few_rows.selection = Some(Box::new(SelectionStats { rows_read: 1_000, ..SelectionStats::default() }));
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
        key: "table/date/external_pairs/key".into(),
        rollup: "external_pairs".into(),
        stats: stats(9, 0, 0, &[("SentBytes", 2), ("ReceivedBytes", 1)]).into(),
        ..twice.states[0].manifest()
    };
    twice.add([other], &StateFolders::default());
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
        let spans: Vec<_> = dates.iter().map(|text| (day(text), day(text))).collect();
        let runs = runs_between(&window, &spans);
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
fn listed_files_reach_beyond_their_dates() {
    let folder = |date: &str, last: &str| {
        let times_us = Some((date_start_us(day(date)), date_start_us(day(last))));
        let file = LakeFile::new("a.parquet".into(), 1, None).with(|file| file.times_us = times_us);
        DateFolder { date: day(date), files: vec![file] }
    };
    let folders = [
        folder("2025-12-30", "2026-01-02"),
        folder("2026-01-04", "2026-01-08"),
        folder("2026-01-05", "2026-01-05"),
        folder("2026-01-11", "2026-03-01"),
    ];
    let window = Window::new(parse_time("2026-01-01").unwrap(), parse_time("2026-01-13").unwrap()).unwrap();
    let text = |spans: Vec<(NaiveDate, NaiveDate)>| {
        spans.iter().map(|(first, last)| format!("{first} {last}")).collect::<Vec<_>>().join(", ")
    };
    let spans = spans_of(&window, &folders);
    assert_eq!(
        text(spans.clone()),
        "2025-12-30 2026-01-02, 2026-01-04 2026-01-04, 2026-01-05 2026-01-08, 2026-01-11 2026-01-12"
    );
    assert_eq!(text(runs_between(&window, &spans)), "2026-01-03 2026-01-03, 2026-01-09 2026-01-10");
}

#[test]
fn spans_that_touch_are_one() {
    let spans = [("2026-01-05", "2026-01-06"), ("2026-01-01", "2026-01-02"), ("2026-01-03", "2026-01-03")];
    let spans = joined(spans.map(|(first, last)| (day(first), day(last))).to_vec());
    assert_eq!(spans, [(day("2026-01-01"), day("2026-01-03")), (day("2026-01-05"), day("2026-01-06"))]);
}
