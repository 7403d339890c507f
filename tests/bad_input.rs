//! Broken lakes: the error names file, column and position, and the rest is scanned anyway.

use std::fs;

use arrow::array::{BooleanArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use serde_json::{Value, json};
use std::sync::Arc;

use crate::support::{Place, batch_of, hindcast, row, stderr, stdout};

fn session(time: &str, destination: &str) -> std::collections::BTreeMap<String, Value> {
    row([
        ("TimeGenerated", json!(time)),
        ("DeviceVendor", json!("Palo Alto Networks")),
        ("DeviceEventClassID", json!("TRAFFIC")),
        ("SimplifiedDeviceAction", json!("Allowed")),
        ("SourceIP", json!("10.0.0.1")),
        ("DestinationIP", json!(destination)),
        ("SentBytes", json!(100)),
        ("ReceivedBytes", json!(100)),
    ])
}

/// A lake of two days with one valid file each.
fn good_lake() -> Place {
    let place = Place::new();
    for day in ["2026-02-01", "2026-02-02"] {
        place.write_rows(
            "CommonSecurityLog",
            day,
            "good.parquet",
            &[session(&format!("{day}T10:00:00Z"), "203.0.113.9")],
        );
    }
    place
}

/// Scans: the report must name the bad file with all `words`, and still count both valid days.
fn assert_reported(place: &Place, words: &[&str]) {
    let output = place.scan("--suite firewall");
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    let coverage = place.coverage("CommonSecurityLog", "2026-02-02");
    assert_eq!(coverage["status"], "failed");
    let reason = coverage["reason"].as_str().expect("a reason");
    for word in words {
        assert!(reason.contains(word), "{word:?} in {reason:?}");
        assert!(stdout(&output).contains(word), "{word:?} in the output");
    }
    assert_eq!(place.summary()["coverage"]["complete"], false);
    assert_eq!(place.table("top_talkers")[0]["sessions"], 2);
    assert_eq!(place.scan("--suite firewall --allow-partial").status.code(), Some(0));
}

#[test]
fn a_truncated_file() {
    let place = good_lake();
    let path = place.write_rows(
        "CommonSecurityLog",
        "2026-02-02",
        "torn.parquet",
        &[session("2026-02-02T11:00:00Z", "x")],
    );
    let bytes = fs::read(&path).expect("bytes");
    fs::write(&path, &bytes[..bytes.len() / 2]).expect("written");
    // The absolute path, which a person can open.
    let shown = format!("file {}: ", path.canonicalize().expect("a path").display());
    assert_reported(&place, &[shown.as_str(), "not a whole Parquet file"]);
}

#[test]
fn a_text_file_named_parquet() {
    let place = good_lake();
    fs::write(
        place.lake().join("CommonSecurityLog/date=2026-02-02/notes.parquet"),
        "TimeGenerated,SourceIP\n",
    )
    .expect("written");
    assert_reported(&place, &["notes.parquet", "not a whole Parquet file"]);
}

#[test]
fn an_empty_file_named_parquet() {
    let place = good_lake();
    fs::write(place.lake().join("CommonSecurityLog/date=2026-02-02/void.parquet"), "").expect("written");
    assert_reported(&place, &["void.parquet"]);
}

#[test]
fn a_damaged_page_names_row_group_and_column() {
    let place = good_lake();
    let rows: Vec<_> = (0..5000)
        .map(|i| session("2026-02-02T11:00:00Z", &format!("203.0.{}.{}", i / 250, i % 250)))
        .collect();
    let path = place.write_rows("CommonSecurityLog", "2026-02-02", "flipped.parquet", &rows);
    let mut bytes = fs::read(&path).expect("bytes");
    let needle = b"203.0.1.100";
    let at =
        bytes.windows(needle.len()).position(|window| window == needle).expect("the dictionary holds it");
    // Change the length before a text: the value exceeds its page.
    bytes[at - 4..at].copy_from_slice(&u32::MAX.to_le_bytes());
    fs::write(&path, &bytes).expect("written");
    assert_reported(&place, &["flipped.parquet", "row group 0", "column DestinationIP"]);
}

#[test]
fn a_column_of_an_impossible_type() {
    let place = good_lake();
    let schema = Schema::new(vec![
        Field::new("TimeGenerated", DataType::Utf8, true),
        Field::new("DeviceVendor", DataType::Utf8, true),
        Field::new("SentBytes", DataType::Boolean, true),
    ]);
    let batch = RecordBatch::try_new(
        Arc::new(schema),
        vec![
            Arc::new(StringArray::from(vec!["2026-02-02T11:00:00Z"])),
            Arc::new(StringArray::from(vec!["Palo Alto Networks"])),
            Arc::new(BooleanArray::from(vec![true])),
        ],
    )
    .expect("a batch");
    place.write_batch("CommonSecurityLog", "2026-02-02", "odd.parquet", &batch);
    assert_reported(&place, &["odd.parquet", "column SentBytes", "Boolean"]);
}

#[test]
fn a_file_without_its_time_column() {
    let place = good_lake();
    let batch = batch_of(&[row([("DeviceVendor", json!("Palo Alto Networks"))])]);
    place.write_batch("CommonSecurityLog", "2026-02-02", "timeless.parquet", &batch);
    assert_reported(&place, &["timeless.parquet", "column TimeGenerated"]);
}

#[test]
fn empty_folders_tables_and_missing_dates_are_reported_without_failure() {
    let place = good_lake();
    fs::create_dir_all(place.lake().join("CommonSecurityLog/date=2026-02-03")).expect("a folder");
    place.write_batch(
        "CommonSecurityLog",
        "2026-02-05",
        "none.parquet",
        &batch_of(&[session("2026-02-05T00:00:00Z", "x")]).slice(0, 0),
    );
    place.scan_well("--suite firewall");
    assert_eq!(place.coverage("CommonSecurityLog", "2026-02-02")["status"], "scanned");
    assert_eq!(place.coverage("CommonSecurityLog", "2026-02-03")["status"], "empty");
    assert_eq!(place.coverage("CommonSecurityLog", "2026-02-04")["status"], "missing");
    assert_eq!(place.coverage("CommonSecurityLog", "2026-02-05")["status"], "empty");
}

#[test]
fn unreadable_values_are_null_and_counted() {
    let place = Place::new();
    let mut odd = session("2026-02-02T11:00:00Z", "203.0.113.9");
    odd.insert("SentBytes".into(), json!("lots"));
    let mut timeless = session("2026-02-02T11:00:00Z", "203.0.113.9");
    timeless.insert("TimeGenerated".into(), json!("soon"));
    let mut fine = session("2026-02-02T12:00:00Z", "203.0.113.9");
    fine.insert("SentBytes".into(), json!("77"));
    place.write_rows("CommonSecurityLog", "2026-02-02", "a.parquet", &[odd, timeless, fine]);
    // The row without a known time is in no window: it was not examined.
    assert_eq!(place.scan("--suite firewall").status.code(), Some(3));
    let talkers = place.table("top_talkers");
    assert_eq!((&talkers[0]["sessions"], &talkers[0]["bytes_sent"]), (&json!(2), &json!(77)));
    let coverage = place.coverage("CommonSecurityLog", "2026-02-02");
    assert_eq!((&coverage["status"], &coverage["rows"]), (&json!("failed"), &json!(2)));
    let reason = coverage["reason"].as_str().expect("a reason");
    assert!(
        reason.contains("1 row has no readable time") && reason.contains("1 value of SentBytes"),
        "{reason}"
    );
}

/// All rows of a date decide whether its times are readable, not the few rows of one entity.
#[test]
fn an_odd_row_of_one_entity_is_counted() {
    for (others, status) in [(20, "scanned"), (3, "failed")] {
        let place = Place::new();
        let mut own = session("2026-02-02T11:00:00Z", "203.0.113.9");
        own.insert("SourceIP".into(), json!("192.0.2.77"));
        let mut odd = own.clone();
        odd.insert("TimeGenerated".into(), json!("soon"));
        let mut rows = vec![own, odd];
        rows.extend((0..others).map(|_| session("2026-02-02T11:00:00Z", "203.0.113.9")));
        place.write_rows("CommonSecurityLog", "2026-02-02", "a.parquet", &rows);
        let output = place.investigate("ip 192.0.2.77", "--allow-partial");
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let coverage = place.coverage("CommonSecurityLog", "2026-02-02");
        assert_eq!(coverage["status"], status, "{coverage}");
        assert!(
            coverage["reason"].as_str().is_some_and(|reason| reason.contains("1 row has no readable time"))
        );
    }
}

/// A few of many rows may have no readable time, or no value in a filter column.
#[test]
fn odd_rows_are_counted() {
    let sessions = |rows: usize, odd: usize, column: &str, value: Value| -> Place {
        let place = Place::new();
        let rows = (0..rows).map(|index| {
            let mut row = session("2026-02-02T11:00:00Z", "203.0.113.9");
            if index < odd {
                row.insert(column.into(), value.clone());
            }
            row
        });
        place.write_rows("CommonSecurityLog", "2026-02-02", "a.parquet", &rows.collect::<Vec<_>>());
        let audit = [("TimeGenerated", json!("2026-02-02T11:00:00Z")), ("OperationName", json!("Read"))];
        place.write_rows("AuditLogs", "2026-02-02", "a.parquet", &[row(audit)]);
        place
    };
    for (rows, odd, code) in [(12, 1, 0), (12, 2, 3)] {
        let place = sessions(rows, odd, "TimeGenerated", json!("soon"));
        assert_eq!(place.scan("").status.code(), Some(code), "{odd} of {rows}");
        let reason = place.coverage("CommonSecurityLog", "2026-02-02")["reason"].clone();
        let expected = if odd == 1 { "1 row has no readable time" } else { "2 rows have no readable time" };
        assert!(reason.as_str().is_some_and(|reason| reason.contains(expected)), "{reason}");
    }
    for (rows, code) in [(3, 0), (12, 3)] {
        let place = sessions(rows, rows, "DeviceVendor", Value::Null);
        assert_eq!(place.scan("").status.code(), Some(code), "{rows}");
    }
}

/// The state of a scan that read more columns adds no counts for columns that this scan does not read.
#[test]
fn counts_of_unreadable_values_do_not_depend_on_the_cache() {
    let place = Place::new();
    let mut odd = session("2026-02-02T11:00:00Z", "203.0.113.9");
    odd.insert("SentBytes".into(), json!("lots"));
    place.write_rows("CommonSecurityLog", "2026-02-02", "a.parquet", &[odd]);
    let (lake, out, state) = (place.lake(), place.out(), place.path("state"));
    let scan = |arguments: &str| {
        let line = format!("scan --lake {} --out {} {arguments}", lake.display(), out.display());
        let output = hindcast(&line);
        assert!(output.status.success(), "{}", stderr(&output));
        place.coverage("CommonSecurityLog", "2026-02-02")
    };
    let cached = format!("--state {}", state.display());
    assert!(scan(&cached)["reason"].as_str().is_some_and(|reason| reason.contains("SentBytes")));
    let fresh = scan("--no-cache --only traffic_overview");
    assert_eq!(scan(&format!("{cached} --only traffic_overview")), fresh);
    assert_eq!(fresh["reason"], Value::Null);
}

#[test]
fn a_missing_lake() {
    let output = hindcast("scan --lake /nowhere/at/all");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("/nowhere/at/all") && stderr(&output).contains("does not exist"));
    let place = Place::new();
    fs::create_dir_all(place.lake()).expect("a folder");
    let output = place.scan("");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("CommonSecurityLog"), "{}", stderr(&output));
}
