//! No all-clear without examination: data that exists but could not be examined gives exit status 3, and if nothing was examined, the
//! risk is "not assessed" in every output.

use std::collections::BTreeMap;
use std::fs;
use std::process::Output;

use arrow::array::{Array, RecordBatch, new_null_array};
use serde_json::{Value, json};

use crate::page_client::{View, get};
use crate::sandbox::{Sandbox, Setup};
use crate::support::{Place, batch_of, hindcast, read_json, row, stderr, stdout};

const TABLE: &str = "CommonSecurityLog";
const DATE: &str = "2026-02-02";

type Row = BTreeMap<String, Value>;

/// A firewall row with all required columns.
fn session(minute: usize) -> Row {
    row([
        ("TimeGenerated", json!(format!("{DATE}T10:{:02}:{:02}Z", minute / 60, minute % 60))),
        ("DeviceVendor", json!("Palo Alto Networks")),
        ("DeviceEventClassID", json!("TRAFFIC")),
        ("Activity", json!("start")),
        ("LogSeverity", json!("1")),
        ("SimplifiedDeviceAction", json!("Allowed")),
        ("ApplicationProtocol", json!("ssl")),
        ("Protocol", json!("tcp")),
        ("SourceIP", json!("10.0.0.1")),
        ("DestinationIP", json!("203.0.113.9")),
        ("DestinationPort", json!(443)),
        ("SentBytes", json!(100)),
        ("ReceivedBytes", json!(100)),
    ])
}

/// A lake of `rows` rows, each changed by `change`.
fn lake_of(rows: usize, change: impl Fn(usize, &mut Row)) -> Place {
    let place = Place::new();
    let changed = |index| {
        let mut row = session(index);
        change(index, &mut row);
        row
    };
    place.write_rows(TABLE, DATE, "a.parquet", &(0..rows).map(changed).collect::<Vec<_>>());
    place
}

fn rename(row: &mut Row, from: &str, to: &str) {
    if let Some(value) = row.remove(from) {
        row.insert(to.to_owned(), value);
    }
}

fn audit(place: &Place) {
    let rows =
        [row([("TimeGenerated", json!(format!("{DATE}T10:00:00Z"))), ("OperationName", json!("Read"))])];
    place.write_rows("AuditLogs", DATE, "a.parquet", &rows);
}

fn gap(place: &Place, kind: &str) -> Value {
    let summary = place.summary();
    let gaps = summary["coverage"]["gaps"].as_array().expect("gaps");
    gaps.iter().find(|gap| gap["kind"] == kind).unwrap_or_else(|| panic!("no {kind} in {gaps:?}")).clone()
}

/// The scan must exit with 3 and print `words`; its risk must be "not assessed".
fn assert_not_assessed(place: &Place, output: &Output, words: &[&str]) {
    assert_eq!(output.status.code(), Some(3), "{}{}", stdout(output), stderr(output));
    let summary = place.summary();
    assert_eq!(
        (&summary["risk"]["score"], &summary["risk"]["level"]),
        (&Value::Null, &json!("not assessed"))
    );
    assert_eq!(summary["suites"], json!({}));
    assert!(
        summary["risk_by_day"].as_array().expect("days").iter().all(|day| day["level"] == "not assessed")
    );
    let printed = stdout(output);
    assert!(printed.contains("risk          not assessed"), "{printed}");
    let reasons = summary["risk"]["explanation"].to_string();
    for word in words {
        assert!(printed.contains(word) && reasons.contains(word), "{word:?} in {printed}{reasons}");
    }
    // With `--fail-on`, the exit status never says that all findings are below the level.
    let output = place.scan("--fail-on high --allow-partial");
    assert_eq!(output.status.code(), Some(3), "{}", stdout(&output));
}

/// The scan must exit with 3 and print `words`, with the risk of the rest.
fn assert_incomplete(place: &Place, output: &Output, words: &[&str]) {
    assert_eq!(output.status.code(), Some(3), "{}{}", stdout(output), stderr(output));
    let summary = place.summary();
    assert_eq!(summary["coverage"]["complete"], false);
    assert!(summary["risk"]["score"].is_u64(), "{}", summary["risk"]);
    for word in words {
        assert!(stdout(output).contains(word), "{word:?} in {}", stdout(output));
    }
    assert_eq!(place.scan("--allow-partial").status.code(), Some(0));
}

#[test]
fn a_table_with_differently_written_columns() {
    let renamed = |row: &mut Row, new: fn(&str) -> String| {
        *row = std::mem::take(row).into_iter().map(|(name, value)| (new(&name), value)).collect();
    };
    // Names in another case are the same names.
    lake_of(3, |_, row| renamed(row, str::to_lowercase)).scan_well("");
    let other: fn(&str) -> String = |name| format!("_{}", name.to_lowercase());
    let place = lake_of(3, |_, row| renamed(row, other));
    let output = place.scan("");
    assert_not_assessed(
        &place,
        &output,
        &["TimeGenerated (the nearest there is _timegenerated)", "SourceIP"],
    );
    let gap = gap(&place, "columns");
    assert_eq!(gap["table"], TABLE);
    for (list, name) in [("looked_for", "SourceIP"), ("looked_for", "DeviceVendor"), ("found", "_sourceip")] {
        assert!(gap[list].as_array().is_some_and(|names| names.contains(&json!(name))), "{gap}");
    }
    // With a mapping of their names they are read.
    let names = session(0).into_keys().map(|name| format!("{name} = '{}'\n", other(&name)));
    let mapping = format!("[tables.{TABLE}.columns]\n{}", names.collect::<String>());
    fs::write(place.lake().join("hindcast.toml"), mapping).expect("written");
    place.scan_well("");
}

#[test]
fn one_column_under_another_name() {
    let place = lake_of(3, |_, row| rename(row, "SourceIP", "src_ip"));
    let output = place.scan("");
    assert_incomplete(&place, &output, &["SourceIP (the nearest there is src_ip)"]);
    // Without a mapping it is read as null.
    let place = lake_of(3, |_, row| rename(row, "SentBytes", "bytes_sent"));
    assert_incomplete(&place, &place.scan("--only attack_timeline"), &["SentBytes", "bytes_sent"]);
    // With an unknown name, or missing: most analyses of the table could not run.
    let place = lake_of(3, |_, row| rename(row, "SourceIP", "client"));
    assert_incomplete(&place, &place.scan(""), &["SourceIP (the nearest there is client)"]);
    let place = lake_of(3, |_, row| {
        row.remove("SourceIP");
    });
    assert_incomplete(
        &place,
        &place.scan(""),
        &["it was read without some columns: it has no column SourceIP."],
    );
    // A time column with another name: every file fails, and candidates are named.
    let place = lake_of(3, |_, row| rename(row, "TimeGenerated", "ts"));
    assert_not_assessed(&place, &place.scan(""), &["TimeGenerated (the nearest there is ts)"]);
}

#[test]
fn a_missing_table_or_a_missing_column_of_few_analyses_is_not_a_gap() {
    let place = lake_of(3, |_, row| {
        row.remove("LogSeverity");
    });
    place.scan_well("");
    assert!(place.summary()["disabled"]["threat_breakdown"].is_string());
    assert_eq!(place.summary()["coverage"]["gaps"], Value::Null);
    // The requested table is missing in the lake: nothing could run.
    let output = place.scan("--suite exfiltration");
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(stdout(&output).contains("no analysis could run: the lake has no table AuditLogs"));
    assert_eq!(place.summary()["risk"]["level"], "not assessed");
}

#[test]
fn a_table_under_another_name() {
    let place = lake_of(3, |_, _| {});
    audit(&place);
    fs::rename(place.lake().join(TABLE), place.lake().join("commonsecuritylog")).expect("renamed");
    assert_incomplete(&place, &place.scan(""), &["one called commonsecuritylog"]);
    // A folder with something else is not a table.
    fs::remove_dir_all(place.lake().join("commonsecuritylog")).expect("removed");
    fs::create_dir_all(place.lake().join("commonsecuritylog/raw")).expect("a folder");
    fs::write(place.lake().join("commonsecuritylog/raw/a.log"), "a line").expect("a file");
    place.scan_well("");
}

#[test]
fn no_row_of_the_vendor() {
    let place = lake_of(280, |_, row| {
        row.insert("DeviceVendor".to_owned(), json!("Fortinet"));
    });
    assert_not_assessed(
        &place,
        &place.scan(""),
        &["Fortinet (280)", "Palo Alto Networks", "firewall.vendor"],
    );
    let gap = gap(&place, "rows");
    assert_eq!(gap["looked_for"], json!(["Palo Alto Networks"]));
    assert_eq!(gap["found"], json!(["Fortinet (280)"]));
    // With other tables that are read, the rest is assessed, and a suite that examined nothing does not report that it found nothing.
    audit(&place);
    let output = place.scan("");
    assert_incomplete(&place, &output, &["Fortinet (280)", "firewall      not assessed"]);
    assert_eq!(place.summary()["suites"].as_object().map(|suites| suites.len()), Some(1));
    // Each analysis alone reports it too, for any rollups.
    for analysis in ["attack_timeline", "dns_tunneling", "threat_breakdown", "traffic_overview"] {
        let output = place.scan(&format!("--only {analysis}"));
        assert_eq!(output.status.code(), Some(3), "{analysis}");
        assert!(stdout(&output).contains("Fortinet (280)"), "{analysis}: {}", stdout(&output));
    }
    // One row of the vendor is enough.
    place.write_rows(TABLE, DATE, "b.parquet", &[session(1)]);
    place.scan_well("");
    place.scan_well("--only attack_timeline");
}

#[test]
fn no_row_of_the_event_classes() {
    let place = lake_of(9, |index, row| {
        row.insert("DeviceEventClassID".to_owned(), if index < 7 { json!("end") } else { Value::Null });
    });
    for arguments in ["", "--only attack_timeline", "--only beaconing"] {
        let output = place.scan(arguments);
        assert_eq!(output.status.code(), Some(3), "{arguments}: {}", stdout(&output));
        let expected =
            "DeviceEventClassID is end (7), no value (2), but the analyses read only TRAFFIC or THREAT";
        assert!(stdout(&output).contains(expected), "{}", stdout(&output));
        assert_eq!(place.summary()["risk"]["level"], "not assessed");
    }
    // An analysis that needs no class has examined the rows.
    place.scan_well("--only dns_tunneling");
    // Sessions without a threat are a good day.
    lake_of(3, |_, _| {}).scan_well("--only threat_breakdown");
}

#[test]
fn no_row_of_the_kinds_of_users() {
    let place = Place::new();
    let event = row([
        ("TimeGenerated", json!(format!("{DATE}T10:00:00Z"))),
        ("UserType", json!("0")),
        ("RecordType", json!("6")),
        ("Operation", json!("FileDownloaded")),
        ("UserId", json!("ada@corp.example")),
        ("ClientIP", json!("203.0.113.9")),
    ]);
    place.write_rows("OfficeActivity", DATE, "a.parquet", &[event.clone(), event]);
    assert_not_assessed(&place, &place.scan(""), &["UserType is 0 (2)", "Regular", "office365.user_types"]);
}

#[test]
fn unreadable_times() {
    let place = lake_of(3, |index, row| {
        row.insert("TimeGenerated".to_owned(), json!(format!("half past {index}")));
    });
    assert_not_assessed(&place, &place.scan(""), &["3 rows have no readable time"]);
    assert_eq!(place.coverage(TABLE, DATE)["status"], "failed");
    assert_not_assessed(&place, &place.scan("--last 24h"), &["none of its 3 rows has a readable time"]);
    // Rows without any time.
    let place = Place::new();
    let rows = batch_of(&(0..3).map(session).collect::<Vec<_>>());
    let mut columns = rows.columns().to_vec();
    let position = rows.schema().index_of("TimeGenerated").expect("a time");
    columns[position] = new_null_array(columns[position].data_type(), rows.num_rows());
    let rows = RecordBatch::try_new(rows.schema(), columns).expect("rows");
    place.write_batch(TABLE, DATE, "a.parquet", &rows);
    assert_not_assessed(&place, &place.scan(""), &["3 rows have no readable time"]);
    // Some of them: the rest is examined.
    let place = lake_of(3, |index, row| {
        if index == 1 {
            row.insert("TimeGenerated".to_owned(), json!("soon"));
        }
    });
    assert_incomplete(&place, &place.scan(""), &["1 row has no readable time"]);
}

#[test]
fn unreadable_newest_dates() {
    let place = lake_of(3, |_, _| {});
    let folder = place.lake().join(TABLE).join("date=2026-02-03");
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join("a.parquet"), "xxxx").expect("a file");
    let output = place.scan("--last 1h");
    assert_eq!(gap(&place, "newest")["table"], TABLE);
    assert_incomplete(&place, &output, &["the newest date 2026-02-03 could not be read", "a.parquet"]);
    // The newest date of another table does not replace it.
    place.write_rows(
        "AuditLogs",
        "2026-02-04",
        "a.parquet",
        &[row([("TimeGenerated", json!("2026-02-04T00:00:00Z")), ("OperationName", json!("Read"))])],
    );
    assert_eq!(place.scan("--last 48h").status.code(), Some(3));
    // Without other data.
    let place = Place::new();
    fs::create_dir_all(place.lake().join(TABLE)).expect("a folder");
    fs::create_dir_all(place.lake().join(TABLE).join("date=2026-02-03")).expect("a folder");
    fs::write(place.lake().join(TABLE).join("date=2026-02-03/a.parquet"), "xxxx").expect("a file");
    assert_not_assessed(&place, &place.scan("--last 24h"), &["2026-02-03 could not be read"]);
    assert_eq!(place.coverage(TABLE, "2026-02-03")["status"], "failed");
}

#[test]
fn folders_with_an_unknown_layout() {
    let place = lake_of(3, |_, _| {});
    let table = place.lake().join(TABLE);
    let laid_out = table.join("batch-7");
    fs::create_dir_all(&laid_out).expect("a folder");
    fs::rename(table.join(format!("date={DATE}/a.parquet")), laid_out.join("a.parquet")).expect("moved");
    fs::remove_dir(table.join(format!("date={DATE}"))).expect("removed");
    let words = ["batch-7", "no date=YYYY-MM-DD folder"];
    assert_not_assessed(&place, &place.scan(""), &words);
    assert_not_assessed(&place, &place.scan(&format!("--from {DATE} --to 2026-02-03")), &words);
    // With other folders in a known layout; folders without Parquet files are not data.
    audit(&place);
    fs::create_dir_all(place.lake().join("AuditLogs/notes")).expect("a folder");
    fs::write(place.lake().join("AuditLogs/notes/readme.txt"), "notes").expect("a file");
    assert_incomplete(&place, &place.scan(""), &words);
    place.scan_well("--only storage_audit");
}

#[test]
fn a_window_without_a_row() {
    let place = lake_of(3, |_, _| {});
    let output = place.scan(&format!("--from {DATE}T20:00:00Z --to {DATE}T21:00:00Z"));
    assert_eq!(output.status.code(), Some(3));
    assert!(stdout(&output).contains("the window contains no rows"), "{}", stdout(&output));
    assert_eq!(place.summary()["coverage"]["complete"], true);
    // An entity may have no row: this is a valid answer.
    let output = place.investigate("ip 192.0.2.99", "");
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
}

#[test]
fn a_quiet_scan_and_its_pages_report_it() {
    let place = lake_of(280, |_, row| {
        row.insert("DeviceVendor".to_owned(), json!("Fortinet"));
    });
    let output = place.scan("--quiet --format json,parquet,html");
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(3), ""));
    for word in ["Fortinet (280)", "risk not assessed"] {
        assert!(stderr(&output).contains(word), "{}", stderr(&output));
    }
    let report = fs::read_to_string(place.out().join("report.html")).expect("report.html");
    for word in [">not assessed<", "This is not an all-clear", "Fortinet (280)"] {
        assert!(report.contains(word), "{word}");
    }
    assert!(!report.contains("Nothing was found."));
    let view = View::start(&place.out(), &[]);
    for (path, words) in [
        ("/", ["not assessed", "This is not an all-clear", "Fortinet (280)"]),
        ("/coverage", ["Not everything could be read", "Palo Alto Networks", "Fortinet (280)"]),
    ] {
        let page = get(view.port, path).body;
        words.iter().for_each(|word| assert!(page.contains(word), "{word} in {page}"));
    }
    let json = place.scan("--json");
    let summary: Value = serde_json::from_str(&stdout(&json)).expect("JSON");
    assert_eq!((json.status.code(), &summary["risk"]["level"]), (Some(3), &json!("not assessed")));
}

#[test]
fn windows_of_a_backfill_report_it() {
    let place = lake_of(280, |_, row| {
        row.insert("DeviceVendor".to_owned(), json!("Fortinet"));
    });
    let backfill = |more: &str| {
        hindcast(&format!(
            "backfill --lake {} --out {} --no-cache --from {DATE} --to 2026-02-04 {more}",
            place.lake().display(),
            place.out().display()
        ))
    };
    for more in ["", "--fail-on low --allow-partial"] {
        assert_eq!(backfill(more).status.code(), Some(3), "{more}");
    }
    let lines = fs::read_to_string(place.out().join("backfill.jsonl")).expect("backfill.jsonl");
    let row: Value = serde_json::from_str(lines.lines().next().expect("a row")).expect("JSON");
    assert_eq!((&row["risk"]["score"], &row["risk"]["level"]), (&Value::Null, &json!("not assessed")));
    assert_eq!((&row["complete"], &row["suites"]), (&json!(false), &json!({})));
    assert!(row["reason"].as_str().is_some_and(|reason| reason.contains("Fortinet (280)")), "{row}");
    let summary: Value = read_json(&place.out().join("summary.json"));
    assert_eq!((&summary["windows_not_assessed"], &summary["windows_without_data"]), (&json!(1), &json!(1)));
    assert_eq!(summary["highest"], Value::Null);
    let page = fs::read_to_string(place.out().join("backfill.html")).expect("backfill.html");
    assert!(page.contains("not assessed") && page.contains("Fortinet (280)"));
}

#[test]
fn a_coordinator_reports_it_too() {
    let place = lake_of(280, |_, row| {
        row.insert("DeviceVendor".to_owned(), json!("Fortinet"));
    });
    let sandbox = Sandbox::start(&place, Setup::local(&place), 1);
    let output = sandbox.scan(&place.out(), "--format json,parquet --fail-on high --allow-partial");
    assert_eq!(output.status.code(), Some(3), "{}{}", stdout(&output), stderr(&output));
    assert!(stdout(&output).contains("risk          not assessed"), "{}", stdout(&output));
    assert!(stdout(&output).contains("Fortinet (280)"), "{}", stdout(&output));
    assert_eq!(place.summary()["risk"]["level"], "not assessed");
    let listed = sandbox.jobs();
    let id = listed[0]["id"].as_str().expect("an id");
    let printed = stdout(&sandbox.hindcast(&format!("jobs get {id}")));
    assert!(printed.contains("risk       not assessed") && printed.contains("Fortinet (280)"), "{printed}");
}
