//! Which files, columns and rows of a lake are read: committed files, columns of any file, rows up to the newest one.

use std::fs;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, Date32Array, Int32Array, RecordBatch, StringArray, TimestampMicrosecondArray,
    TimestampMillisecondArray, TimestampNanosecondArray, TimestampSecondArray,
};
use serde_json::json;

use crate::support::{Place, batch_of_columns, run, stderr, stdout};

const DATE: &str = "2026-02-01";
/// 2026-02-01T00:00:00Z, in days and seconds since 1970.
const DAY: i32 = 20_485;
const MIDNIGHT_SECONDS: i64 = 1_769_904_000;

/// Three sessions of 10 bytes each at the given times.
fn sessions(times: ArrayRef, has_sent: bool) -> RecordBatch {
    let text = |value: &str| Arc::new(StringArray::from(vec![value; 3])) as ArrayRef;
    let mut columns = vec![
        ("TimeGenerated", times),
        ("DeviceVendor", text("Palo Alto Networks")),
        ("DeviceEventClassID", text("TRAFFIC")),
        ("SourceIP", text("10.0.0.1")),
        ("DestinationIP", text("203.0.113.9")),
        ("ReceivedBytes", Arc::new(Int32Array::from(vec![1; 3])) as ArrayRef),
    ];
    if has_sent {
        columns.push(("SentBytes", Arc::new(Int32Array::from(vec![10; 3]))));
    }
    batch_of_columns(columns)
}

/// The same second three times: it is the minimum of its row group and the newest time of the lake.
fn of_one_second() -> ArrayRef {
    Arc::new(TimestampMillisecondArray::from(vec![(MIDNIGHT_SECONDS + 60) * 1_000; 3]))
}

fn sessions_and_bytes(place: &Place) -> (i64, i64) {
    let talkers = place.table("top_talkers");
    let of = |name: &str| talkers.first().and_then(|row| row[name].as_i64()).unwrap_or_default();
    (of("sessions"), of("bytes_sent"))
}

#[test]
fn the_newest_rows_are_read_in_any_time_unit() {
    let second = MIDNIGHT_SECONDS + 60;
    let forms: [(&str, ArrayRef); 5] = [
        ("seconds", Arc::new(TimestampSecondArray::from(vec![second; 3]))),
        ("milliseconds", of_one_second()),
        ("microseconds", Arc::new(TimestampMicrosecondArray::from(vec![second * 1_000_000; 3]))),
        ("nanoseconds", Arc::new(TimestampNanosecondArray::from(vec![second * 1_000_000_000; 3]))),
        ("days", Arc::new(Date32Array::from(vec![DAY; 3]))),
    ];
    for (form, times) in forms {
        let place = Place::new();
        place.write_batch("CommonSecurityLog", DATE, "a.parquet", &sessions(times, true));
        for window in ["--last 24h", "--to 2026-02-01T00:01:00.0005Z", "--to 2026-02-01T12:00:00Z"] {
            place.scan_well(&format!("--only top_talkers {window}"));
            assert_eq!(sessions_and_bytes(&place), (3, 30), "{form}, {window}");
        }
    }
}

#[test]
fn a_row_from_a_fast_clock_does_not_move_the_window() {
    let place = Place::new();
    place.write_batch("CommonSecurityLog", DATE, "a.parquet", &sessions(of_one_second(), true));
    let ahead = Arc::new(TimestampSecondArray::from(vec![4_070_995_200; 3]));
    place.write_batch("CommonSecurityLog", "2099-01-02", "a.parquet", &sessions(ahead, true));
    let output = place.scan("--only top_talkers --last 24h");
    assert_eq!(sessions_and_bytes(&place), (3, 30), "{}", stdout(&output));
    assert!(stderr(&output).contains("later than tomorrow"), "{}", stderr(&output));
    // Without other rows, it is the newest.
    fs::remove_dir_all(place.lake().join(format!("CommonSecurityLog/date={DATE}"))).expect("removed");
    place.scan_well("--only top_talkers --last 24h");
    assert_eq!(sessions_and_bytes(&place), (3, 30));
}

#[test]
fn a_column_of_one_file_among_many_is_found() {
    let place = Place::new();
    for (file, has_sent) in [("a.parquet", false), ("b.parquet", true), ("c.parquet", false)] {
        place.write_batch("CommonSecurityLog", DATE, file, &sessions(of_one_second(), has_sent));
    }
    place.scan_well("--only top_talkers");
    assert_eq!(sessions_and_bytes(&place), (9, 30));
}

#[test]
fn uncommitted_files_and_files_without_a_date_are_not_read() {
    let place = Place::new();
    let written = place.write_batch("CommonSecurityLog", DATE, "a.parquet", &sessions(of_one_second(), true));
    let table = place.lake().join("CommonSecurityLog");
    let copies = [
        "date=2026-02-01/_temporary/0/task_1/part-0.parquet",
        "date=2026-02-01/.staging/b.parquet",
        "date=2026-2-2/c.parquet",
        "loose.parquet",
    ];
    for copy in copies {
        let copy = table.join(copy);
        fs::create_dir_all(copy.parent().expect("a folder")).expect("a folder");
        fs::copy(&written, copy).expect("copied");
    }
    let output = place.scan("--only top_talkers");
    assert_eq!((output.status.code(), sessions_and_bytes(&place)), (Some(3), (3, 30)));
    for unread in ["date=2026-2-2", "loose.parquet"] {
        assert!(stderr(&output).contains(unread), "{}", stderr(&output));
    }
    // Folders below the date and capital letters make no difference.
    fs::create_dir_all(table.join("date=2026-02-01/hour=00")).expect("a folder");
    fs::copy(&written, table.join("date=2026-02-01/hour=00/D.PARQUET")).expect("copied");
    place.scan("--only top_talkers");
    assert_eq!(sessions_and_bytes(&place), (6, 60));
    // Without files that have no date, everything is read.
    fs::remove_dir_all(table.join("date=2026-2-2")).expect("removed");
    fs::remove_file(table.join("loose.parquet")).expect("removed");
    place.scan_well("--only top_talkers");
    assert_eq!(sessions_and_bytes(&place), (6, 60));
}

#[test]
fn a_local_lake_may_have_any_name() {
    let place = Place::new();
    place.write_batch("CommonSecurityLog", DATE, "a.parquet", &sessions(of_one_second(), true));
    let (lake, out) = (place.path("soc lake 50% ü"), place.out());
    fs::rename(place.lake(), &lake).expect("renamed");
    let (lake, out) = (lake.display().to_string(), out.display().to_string());
    let scan =
        ["scan", "--lake", &lake, "--out", &out, "--no-cache", "--format", "json", "--only", "top_talkers"];
    let output = run(&scan);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(sessions_and_bytes(&place), (3, 30));
    let output = run(&["tables", "--lake", &lake, "--json", "show", "CommonSecurityLog"]);
    assert!(output.status.success() && stdout(&output).contains("SentBytes"), "{}", stderr(&output));
}

#[test]
fn a_quiet_scan_reports_unreadable_files() {
    let place = Place::new();
    place.write_batch("CommonSecurityLog", DATE, "a.parquet", &sessions(of_one_second(), true));
    fs::write(place.lake().join(format!("CommonSecurityLog/date={DATE}/torn.parquet")), "PAR1")
        .expect("written");
    let output = place.scan("--only top_talkers --quiet");
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(3), ""));
    assert!(stderr(&output).contains("torn.parquet"), "{}", stderr(&output));
    assert_eq!(place.coverage("CommonSecurityLog", DATE)["status"], json!("failed"));
}
