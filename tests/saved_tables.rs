//! `tables save`: every row once, by its own date, after any earlier saves and merges.

use std::fs;

use arrow::array::{ArrayRef, Int32Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use std::sync::Arc;

use crate::side_by_side::TABLE;
use crate::support::{Place, hindcast, stderr, stdout};

const SAVED: &str = "Rows_SPRK";
const MINUTE_US: i64 = 60_000_000;
/// 2026-03-01T00:00:00Z, in minutes since 1970.
const FIRST_DAY: i64 = 29_538_720;
const DAY: i64 = 24 * 60;

/// Rows of one vendor at these minutes after the start of the first day; their sent bytes are the minute.
fn rows_at(minutes: &[i64], vendor: &str) -> RecordBatch {
    let times: Vec<i64> = minutes.iter().map(|minute| (FIRST_DAY + minute) * MINUTE_US).collect();
    let sent: Vec<i32> = minutes.iter().map(|minute| *minute as i32).collect();
    let columns: [(&str, ArrayRef); 5] = [
        ("TimeGenerated", Arc::new(TimestampMicrosecondArray::from(times))),
        ("DeviceVendor", Arc::new(StringArray::from(vec![vendor; minutes.len()]))),
        ("DestinationIP", Arc::new(StringArray::from(vec!["8.8.8.8"; minutes.len()]))),
        ("SentBytes", Arc::new(Int32Array::from(sent))),
        ("ReceivedBytes", Arc::new(Int32Array::from(vec![1; minutes.len()]))),
    ];
    RecordBatch::try_from_iter(columns).expect("a batch")
}

impl Place {
    fn write_minutes(&self, day: i64, file: &str, minutes: &[i64]) {
        let batch = rows_at(minutes, "Palo Alto Networks");
        self.write_batch(TABLE, &format!("2026-03-{:02}", day + 1), file, &batch);
    }

    fn save(&self, window: &str) -> String {
        let output = hindcast(&format!("tables --lake {} save {SAVED} {window}", self.lake().display()));
        assert!(output.status.success(), "{}", stderr(&output));
        stdout(&output)
    }

    fn compact(&self, table: &str) {
        let output = hindcast(&format!("tables --lake {} compact {table}", self.lake().display()));
        assert!(output.status.success(), "{}", stderr(&output));
    }

    /// Compares the saved minutes, date by date.
    fn assert_saved(&self, expected: impl IntoIterator<Item = i64>, what: &str) {
        let mut by_day: Vec<Vec<i64>> = vec![Vec::new(); 5];
        expected.into_iter().for_each(|minute| by_day[(minute / DAY) as usize].push(minute));
        for (day, mut expected) in by_day.into_iter().enumerate() {
            let folder = format!("{SAVED}/date=2026-03-{:02}", day + 1);
            let sent = self.values_below(&folder, "SentBytes");
            let mut sent: Vec<i64> = sent.iter().map(|sent| sent.parse().expect("a number")).collect();
            sent.sort_unstable();
            expected.sort_unstable();
            assert_eq!(sent, expected, "{what}, day {day}");
        }
    }
}

/// The rows of a day, one per hour.
fn hours(day: i64) -> Vec<i64> {
    (0..24).map(|hour| day * DAY + hour * 60).collect()
}

#[test]
fn overlapping_windows_save_each_row_once() {
    let place = Place::new();
    place.write_minutes(0, "a.parquet", &hours(0));
    let half_past: Vec<i64> = hours(0).iter().map(|minute| minute + 30).collect();
    place.write_minutes(0, "b.parquet", &half_past);
    let all = || hours(0).into_iter().chain(half_past.clone());
    let day = "--from 2026-03-01 --to 2026-03-02";
    for (window, what) in [
        (day, "the day"),
        (day, "again"),
        ("--from 2026-03-01T12:00:00Z --to 2026-03-02", "its last half"),
        ("--from 2026-03-01T12:00:00Z --to 2026-03-02", "that again"),
        ("--from 2026-03-01T06:15:00Z --to 2026-03-01T13:10:00Z", "some of both"),
        (day, "the day at last"),
    ] {
        place.save(window);
        place.assert_saved(all(), what);
    }
    place.compact(SAVED);
    assert!(place.save(day).contains("the table now has 48 rows"));
    place.assert_saved(all(), "after the saved table was compacted");
    place.compact(TABLE);
    place.save(day);
    place.assert_saved(all(), "after the source was compacted");
    place.compact(SAVED);
    place.assert_saved(all(), "saved, compacted, saved, compacted");
}

#[test]
fn a_rolling_day_saves_each_row_once() {
    let place = Place::new();
    (0..3).for_each(|day| place.write_minutes(day, "a.parquet", &hours(day)));
    for hour in [0, 6, 12, 18, 24] {
        let at = |minutes: i64| {
            let time = chrono::DateTime::from_timestamp((FIRST_DAY + minutes) * 60, 0).expect("a time");
            time.format("%Y-%m-%dT%H:%M:%SZ").to_string()
        };
        place.save(&format!("--from {} --to {}", at(hour * 60), at(DAY + hour * 60)));
    }
    place.assert_saved(hours(0).into_iter().chain(hours(1)), "five saves of a day, six hours apart");
}

#[test]
fn rows_are_saved_by_their_own_date_and_dates_deleted_in_the_source_stay() {
    let place = Place::new();
    place.write_minutes(0, "a.parquet", &[600]);
    place.write_minutes(1, "a.parquet", &[DAY - 1, DAY + 1]);
    place.save("--from 2026-03-01 --to 2026-03-03");
    place.assert_saved([600, DAY - 1, DAY + 1], "a late row");
    // Rows of another vendor are not saved again.
    let other = rows_at(&[30], "Zeek");
    place.write_batch(SAVED, "2026-03-01", "other.parquet", &other);
    place.save("");
    place.assert_saved([30, 600, DAY - 1, DAY + 1], "with rows of another vendor");
    fs::remove_dir_all(place.lake().join(TABLE).join("date=2026-03-01")).expect("removed");
    fs::remove_dir_all(place.lake().join(TABLE).join("date=2026-03-02")).expect("removed");
    place.write_minutes(2, "a.parquet", &[2 * DAY]);
    place.save("--from 2026-03-01 --to 2026-03-04");
    place.assert_saved([30, 600, DAY - 1, DAY + 1, 2 * DAY], "dates that the source no longer has");
}
