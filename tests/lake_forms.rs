//! The same rows in all forms of lakes: time units, zones, numbers as text, renamed columns, drifting schemas.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, Decimal128Array, DictionaryArray, Int32Array, RecordBatch, StringArray, StringViewArray,
    TimestampMillisecondArray, TimestampNanosecondArray, TimestampSecondArray,
};
use arrow::datatypes::Int32Type;
use serde_json::{Value, json};

use crate::support::{Place, batch_of_columns, row, stdout};

const DATE: &str = "2026-02-01";
/// 2026-02-01T00:00:00Z.
const MIDNIGHT_SECONDS: i64 = 1_769_904_000;
const TIMES: [i64; 3] = [MIDNIGHT_SECONDS + 60, MIDNIGHT_SECONDS + 120, MIDNIGHT_SECONDS + 180];

/// Three sessions of 10, 20 and 30 bytes with the given time, text and byte columns.
fn sessions(time_name: &str, time: ArrayRef, source: (&str, ArrayRef), sent: ArrayRef) -> RecordBatch {
    let text = |value: &str| Arc::new(StringArray::from(vec![value; 3])) as ArrayRef;
    batch_of_columns(vec![
        (time_name, time),
        ("DeviceVendor", text("Palo Alto Networks")),
        ("DeviceEventClassID", text("TRAFFIC")),
        source,
        ("DestinationIP", text("203.0.113.9")),
        ("SentBytes", sent),
        ("ReceivedBytes", Arc::new(Int32Array::from(vec![1; 3]))),
    ])
}

fn plain_source() -> (&'static str, ArrayRef) {
    ("SourceIP", Arc::new(StringArray::from(vec!["10.0.0.1"; 3])))
}

fn plain_sent() -> ArrayRef {
    Arc::new(Int32Array::from(vec![10, 20, 30]))
}

fn assert_read(place: &Place, form: &str) {
    place.scan_well("--only top_talkers");
    let talkers = place.table("top_talkers");
    assert_eq!(talkers.len(), 1, "{form}: {talkers:?}");
    let row = &talkers[0];
    assert_eq!(
        (&row["source_ip"], &row["sessions"], &row["bytes_sent"]),
        (&json!("10.0.0.1"), &json!(3), &json!(60)),
        "{form}"
    );
}

fn assert_batch_read(form: &str, sessions: &RecordBatch) {
    let place = Place::new();
    place.write_batch("CommonSecurityLog", DATE, "a.parquet", sessions);
    assert_read(&place, form);
}

#[test]
fn times_of_any_unit_and_zone() {
    let nanos: Vec<i64> = TIMES.iter().map(|second| second * 1_000_000_000 + 1).collect();
    let millis: Vec<i64> = TIMES.iter().map(|second| second * 1_000).collect();
    let texts = |format: fn(i64) -> String| -> ArrayRef {
        Arc::new(StringArray::from(
            TIMES.iter().map(|second| format(second - MIDNIGHT_SECONDS)).collect::<Vec<_>>(),
        ))
    };
    let forms: [(&str, ArrayRef); 7] = [
        ("seconds", Arc::new(TimestampSecondArray::from(TIMES.to_vec()))),
        (
            "milliseconds with UTC",
            Arc::new(TimestampMillisecondArray::from(millis.clone()).with_timezone("UTC")),
        ),
        (
            "milliseconds with an offset",
            Arc::new(TimestampMillisecondArray::from(millis).with_timezone("+02:00")),
        ),
        ("nanoseconds", Arc::new(TimestampNanosecondArray::from(nanos))),
        ("RFC 3339 text", texts(|offset| format!("2026-02-01T00:{:02}:00Z", offset / 60))),
        ("text with an offset", texts(|offset| format!("2026-02-01T01:{:02}:00.500+01:00", offset / 60))),
        ("text without a zone", texts(|offset| format!("2026-02-01 00:{:02}:00", offset / 60))),
    ];
    for (form, time) in forms {
        assert_batch_read(form, &sessions("TimeGenerated", time, plain_source(), plain_sent()));
    }
}

#[test]
fn numbers_and_texts_of_any_type() {
    let time = || Arc::new(TimestampSecondArray::from(TIMES.to_vec())) as ArrayRef;
    let decimals =
        Decimal128Array::from(vec![1000, 2000, 3000]).with_precision_and_scale(12, 2).expect("decimals");
    let numbers: [(&str, ArrayRef); 2] =
        [("text", Arc::new(StringArray::from(vec!["10", " 20 ", "30.0"]))), ("decimals", Arc::new(decimals))];
    for (form, sent) in numbers {
        assert_batch_read(form, &sessions("TimeGenerated", time(), plain_source(), sent));
    }
    let dictionary: DictionaryArray<Int32Type> = vec!["10.0.0.1"; 3].into_iter().collect();
    let texts: [(&str, ArrayRef); 2] = [
        ("a dictionary", Arc::new(dictionary)),
        ("string views", Arc::new(StringViewArray::from(vec!["10.0.0.1"; 3]))),
    ];
    for (form, source) in texts {
        assert_batch_read(form, &sessions("TimeGenerated", time(), ("SourceIP", source), plain_sent()));
    }
}

#[test]
fn renamed_columns_workspaces_and_deeper_folders_are_found() {
    let place = Place::new();
    let source = ("src_ip", plain_source().1);
    let rows = sessions("ts", Arc::new(TimestampSecondArray::from(TIMES.to_vec())), source, plain_sent());
    let folder = place.lake().join("soc/CommonSecurityLog").join(format!("date={DATE}/hour=00"));
    fs::create_dir_all(&folder).expect("a folder");
    let written = place.write_batch("elsewhere", DATE, "a.parquet", &rows);
    fs::rename(written, folder.join("a.parquet")).expect("moved");
    let mapping = "[tables.CommonSecurityLog]\nworkspace = 'soc'\n[tables.CommonSecurityLog.columns]\nTimeGenerated = 'ts'\nSourceIP = 'src_ip'\n";
    fs::write(place.lake().join("hindcast.toml"), mapping).expect("written");
    assert_read(&place, "a workspace and renamed columns");

    // The same by URL, from the user's configuration.
    fs::remove_file(place.lake().join("hindcast.toml")).expect("removed");
    let url = place.lake().join("soc/CommonSecurityLog").display().to_string();
    let config = place.path("own.toml");
    fs::write(&config, mapping.replace("workspace = 'soc'", &format!("url = '{url}'"))).expect("written");
    place.scan_well(&format!("--only top_talkers --config {}", config.display()));
    assert_eq!(place.table("top_talkers")[0]["sessions"], 3);
}

#[test]
fn schemas_that_drift_within_a_day_are_read_together() {
    let place = Place::new();
    let first = sessions(
        "TimeGenerated",
        Arc::new(TimestampSecondArray::from(TIMES.to_vec())),
        plain_source(),
        plain_sent(),
    );
    place.write_batch("CommonSecurityLog", DATE, "a.parquet", &first);
    // Later files: bytes as text, times as text, no ReceivedBytes, an unknown column.
    place.write_rows(
        "CommonSecurityLog",
        DATE,
        "b.parquet",
        &[row([
            ("TimeGenerated", json!("2026-02-01T05:00:00Z")),
            ("DeviceVendor", json!("Palo Alto Networks")),
            ("DeviceEventClassID", json!("TRAFFIC")),
            ("SourceIP", json!("10.0.0.1")),
            ("DestinationIP", json!("203.0.113.9")),
            ("SentBytes", json!("40")),
            ("Surprise", json!("!")),
        ])],
    );
    place.scan_well("--only top_talkers");
    let row = &place.table("top_talkers")[0];
    assert_eq!(
        (&row["sessions"], &row["bytes_sent"], &row["bytes_received"]),
        (&json!(4), &json!(100), &json!(3))
    );
}

#[test]
fn rows_count_by_their_own_time_in_folders_of_another_date() {
    let event = |time: &str| -> BTreeMap<String, Value> {
        row([
            ("TimeGenerated", json!(time)),
            ("DeviceVendor", json!("Palo Alto Networks")),
            ("DeviceEventClassID", json!("TRAFFIC")),
            ("SimplifiedDeviceAction", json!("Allowed")),
        ])
    };
    let place = Place::new();
    place.write_rows(
        "CommonSecurityLog",
        "2026-02-02",
        "a.parquet",
        &[event("2026-02-01T23:59:00Z"), event("2026-02-02T10:00:00Z")],
    );
    place.write_rows(
        "CommonSecurityLog",
        "2026-02-03",
        "a.parquet",
        &[event("2026-02-02T23:58:00Z"), event("2026-02-03T10:00:00Z")],
    );
    let events = |arguments: &str| {
        place.scan_well(&format!("--only traffic_overview {arguments}"));
        place.table("traffic_overview").first().map_or(0, |row| row["events"].as_i64().unwrap_or_default())
    };
    assert_eq!(events("--from 2026-02-02 --to 2026-02-03"), 1);
    let reason = place.coverage("CommonSecurityLog", "2026-02-02")["reason"].to_string();
    assert!(reason.contains("1 row has a time outside the window"), "{reason}");
    // A lake with folders by arrival: one day of slack finds late rows.
    fs::write(place.lake().join("hindcast.toml"), "[tables.CommonSecurityLog]\nfolder_slack_days = 1")
        .expect("written");
    assert_eq!(events("--from 2026-02-02 --to 2026-02-03"), 2);
    assert_eq!(events("--from 2026-02-01 --to 2026-02-02"), 1);
    assert_eq!(events(""), 4);
}

#[test]
fn last_counts_back_from_the_newest_row() {
    let place = Place::new();
    place.write_batch(
        "CommonSecurityLog",
        DATE,
        "a.parquet",
        &sessions(
            "TimeGenerated",
            Arc::new(TimestampSecondArray::from(TIMES.to_vec())),
            plain_source(),
            plain_sent(),
        ),
    );
    let output = place.scan("--only top_talkers --last 61s");
    assert!(
        stdout(&output).contains("window    2026-02-01T00:01:59.000001Z to 2026-02-01T00:03:00.000001Z"),
        "{}",
        stdout(&output)
    );
    assert_eq!(place.table("top_talkers")[0]["sessions"], 2);
}
