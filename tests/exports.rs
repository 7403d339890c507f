//! Each export format contains what its readers need, and hostile text stays text in all formats. `tests/exports/check.py` opens the
//! same files with third-party readers.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use crate::support::{Place, read_json, row};

const DEMO: &str = "--days 1 --rows-per-day 4000 --seed 2";
const ALL: &str = "--format csv,jsonl,xlsx,ocsf,navigator,timesketch,asim,stix";

fn lines(place: &Place, file: &str) -> Vec<Value> {
    let text = fs::read_to_string(place.out().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    text.lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect()
}

fn texts<'a>(values: impl IntoIterator<Item = &'a Value>) -> BTreeSet<&'a str> {
    values.into_iter().filter_map(Value::as_str).collect()
}

#[test]
fn every_format_has_its_file_with_every_finding() {
    let place = Place::with_demo(DEMO);
    place.scan_well("");
    let native = place.findings();
    let incidents = lines(&place, "incidents.jsonl");
    place.scan_well(ALL);
    let findings = place.findings();
    assert!(!incidents.is_empty() && findings.len() == native.len());
    ocsf_events_have_their_classes(&findings, &lines(&place, "incidents.ocsf.jsonl"), &incidents);
    the_navigator_layer_scores_every_technique(&read_json(&place.out().join("navigator.json")), &native);
    the_timeline_is_in_order(&lines(&place, "timesketch.jsonl"), &native);
    alerts_have_the_mandatory_fields(&lines(&place, "asim_alert_event.jsonl"), &native);
    the_bundle_refers_to_nothing_outside(&read_json(&place.out().join("stix.json")), &native, &incidents);

    let rows = lines(&place, "tables/beaconing.jsonl");
    assert_eq!(Value::from(rows), Value::from(place.table("beaconing")));
    for (file, count) in [("findings.csv", native.len()), ("incidents.csv", incidents.len())] {
        let mut reader = csv::Reader::from_path(place.out().join(file)).expect("a CSV");
        let records: Vec<csv::StringRecord> = reader.records().map(|record| record.expect("a row")).collect();
        assert_eq!(records.len(), count, "{file}");
    }
    let workbook = fs::read(place.out().join("tables.xlsx")).expect("a workbook");
    assert!(workbook.starts_with(b"PK"));
}

fn ocsf_events_have_their_classes(findings: &[Value], events: &[Value], incidents: &[Value]) {
    for event in findings {
        assert_eq!((&event["class_uid"], &event["metadata"]["version"]), (&json!(2004), &json!("1.8.0")));
        assert!(event["finding_info"]["attacks"][0]["tactic"]["uid"].is_string(), "{event}");
    }
    assert_eq!(events.len(), incidents.len());
    for (event, incident) in events.iter().zip(incidents) {
        assert_eq!((&event["class_uid"], &event["type_uid"]), (&json!(2005), &json!(200_501)));
        let members = event["finding_info_list"].as_array().expect("findings");
        let ids: Vec<&Value> = members.iter().map(|member| &member["uid"]).collect();
        assert_eq!(ids, incident["findings"].as_array().expect("findings").iter().collect::<Vec<_>>());
        assert_eq!(event["unmapped"]["risk_score"], incident["score"]);
    }
}

fn the_navigator_layer_scores_every_technique(layer: &Value, findings: &[Value]) {
    assert_eq!(layer["versions"]["layer"], "4.5");
    assert_eq!(layer["domain"], "enterprise-attack");
    let techniques = layer["techniques"].as_array().expect("techniques");
    let shown = findings.iter().flat_map(|finding| finding["techniques"].as_array().expect("techniques"));
    let shown = texts(shown.map(|technique| &technique["id"]));
    assert_eq!(texts(techniques.iter().map(|technique| &technique["techniqueID"])), shown);
    for technique in techniques {
        assert!(technique["score"].as_u64().is_some_and(|score| score <= 100), "{technique}");
        assert!(technique["comment"].as_str().is_some_and(|comment| !comment.is_empty()), "{technique}");
    }
}

fn the_timeline_is_in_order(events: &[Value], findings: &[Value]) {
    let mut before = i64::MIN;
    for event in events {
        for field in ["message", "datetime", "timestamp_desc"] {
            assert!(event[field].is_string(), "{field}: {event}");
        }
        assert!(event["tag"].as_array().is_some_and(|tags| !tags.is_empty()), "{event}");
        let micros = event["timestamp"].as_i64().expect("microseconds");
        assert!(micros >= before, "{event}");
        before = micros;
    }
    let exported = texts(events.iter().map(|event| &event["finding_id"]));
    assert_eq!(exported, texts(findings.iter().map(|finding| &finding["id"])));
}

fn alerts_have_the_mandatory_fields(alerts: &[Value], findings: &[Value]) {
    assert_eq!(alerts.len(), findings.len());
    for (alert, finding) in alerts.iter().zip(findings) {
        assert_eq!(alert["EventSchema"], "AlertEvent");
        assert_eq!(alert["EventSchemaVersion"], "0.1");
        assert_eq!(alert["EventUid"], finding["id"]);
        for field in
            ["TimeGenerated", "EventStartTime", "EventEndTime", "EventProduct", "EventVendor", "EventType"]
        {
            assert!(alert[field].is_string(), "{field}: {alert}");
        }
        let severity = alert["EventSeverity"].as_str();
        assert!(["Low", "Medium", "High"].map(Some).contains(&severity), "{alert}");
        assert!(alert["ThreatRiskLevel"].as_u64().is_some_and(|risk| risk <= 100), "{alert}");
    }
}

fn the_bundle_refers_to_nothing_outside(bundle: &Value, findings: &[Value], incidents: &[Value]) {
    let objects = bundle["objects"].as_array().expect("objects");
    let ids = texts(objects.iter().map(|object| &object["id"]));
    assert_eq!(ids.len(), objects.len(), "ids are distinct");
    let of_kind = |kind: &str| objects.iter().filter(|object| object["type"] == kind).count();
    assert_eq!((of_kind("observed-data"), of_kind("incident")), (findings.len(), incidents.len()));
    for object in objects {
        let fields = object.as_object().expect("an object");
        for (field, value) in
            fields.iter().filter(|(field, _)| field.ends_with("_ref") || field.ends_with("_refs"))
        {
            let refs = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
            assert!(texts(&refs).is_subset(&ids), "{field}: {object}");
        }
        if let (Some(created), Some(modified)) = (object["created"].as_str(), object["modified"].as_str()) {
            assert!(created.ends_with('Z') && modified.ends_with('Z'), "{object}");
        }
    }
}

#[test]
fn hostile_names_stay_text() {
    let place = Place::new();
    let account = "=cmd|'/c calc'!A1\"><script>alert(1)</script>\u{1b}[2J";
    let device = "ws-1\n|CEF:0";
    staging(&place, device, account, "zip -r out.zip docs");
    place.scan_well(&format!("--only compression_staging {ALL}"));
    let lowered = account.to_lowercase();
    let bundle: Value = read_json(&place.out().join("stix.json"));
    let logins = bundle["objects"].as_array().expect("objects").iter().map(|object| &object["account_login"]);
    assert!(texts(logins).contains(lowered.as_str()), "{bundle}");
    let mut reader = csv::Reader::from_path(place.out().join("findings.csv")).expect("a CSV");
    let column =
        reader.headers().expect("names").iter().position(|name| name == "entities").expect("entities");
    let record = reader.records().next().expect("a row").expect("a row");
    let entities: Value = serde_json::from_str(&record[column]).expect("JSON in a cell");
    assert!(entities.to_string().contains("<script>"), "{entities}");
    let alerts = lines(&place, "asim_alert_event.jsonl");
    assert_eq!(alerts[0]["Username"], lowered.as_str());
}

/// A user with this account who stages files on a device with this command.
fn staging(place: &Place, device: &str, account: &str, command: &str) {
    let process = row([
        ("Timestamp", json!("2026-01-05T10:00:00Z")),
        ("DeviceName", json!(device)),
        ("InitiatingProcessAccountName", json!(account)),
        ("ProcessCommandLine", json!(command)),
    ]);
    let file = row([
        ("Timestamp", json!("2026-01-05T10:01:00Z")),
        ("DeviceName", json!(device)),
        ("FileName", json!("out.zip")),
        ("FolderPath", json!("C:\\Temp")),
    ]);
    place.write_rows("DeviceProcessEvents", "2026-01-05", "a.parquet", &[process]);
    place.write_rows("DeviceFileEvents", "2026-01-05", "a.parquet", &[file]);
}

#[test]
fn a_text_longer_than_a_cell_is_cut_only_in_the_workbook() {
    let place = Place::new();
    // Each of these characters counts as two in a workbook.
    let command = format!("zip -r out.zip {}", "\u{1f600}".repeat(20_000));
    staging(&place, "ws-1", "ada", &command);
    place.scan_well("--only compression_staging --format xlsx,jsonl,csv");
    let workbook = fs::read(place.out().join("tables.xlsx")).expect("a workbook");
    assert!(workbook.starts_with(b"PK"));
    let whole = fs::read_to_string(place.out().join("tables/compression_staging.jsonl")).expect("rows");
    assert!(whole.contains(&"\u{1f600}".repeat(20_000)), "the other formats have the whole text");
    assert_eq!(place.findings().len(), 1);
}

#[test]
fn formulas_are_escaped_on_request() {
    let place = Place::new();
    staging(&place, "ws-1", "=cmd|'/c calc'!a1", "zip -r out.zip docs");
    let cells = |arguments: &str| -> BTreeSet<String> {
        place.scan_well(&format!("--only compression_staging --format csv {arguments}"));
        let mut found = BTreeSet::new();
        for file in ["tables/compression_staging.csv", "findings.csv"] {
            let mut reader = csv::Reader::from_path(place.out().join(file)).expect("a CSV");
            for record in reader.records() {
                found.extend(record.expect("a row").iter().map(str::to_owned));
            }
        }
        found
    };
    let begins = |cells: &BTreeSet<String>, sign: &str| cells.iter().any(|cell| cell.starts_with(sign));
    let plain = cells("");
    assert!(begins(&plain, "=cmd|") && !begins(&plain, "'=cmd|"), "{plain:?}");
    let escaped = cells("--csv-escape-formulas");
    assert!(begins(&escaped, "'=cmd|") && !begins(&escaped, "="), "{escaped:?}");
}

#[test]
fn a_failing_export_does_not_affect_the_others() {
    let place = Place::new();
    staging(&place, "ws-1", "ada", "zip -r out.zip docs");
    // The system refuses files with the size of the page, but no smaller ones.
    let scan = format!(
        "trap '' XFSZ; ulimit -f 2000; exec {} scan --lake {} --out {} --no-cache --only compression_staging --format html,csv,jsonl",
        env!("CARGO_BIN_EXE_hindcast"),
        place.lake().display(),
        place.out().display()
    );
    let output = std::process::Command::new("sh").args(["-c", &scan]).output().expect("a shell");
    let printed = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{printed}");
    assert!(printed.contains("report.html") && printed.contains("all others are in"), "{printed}");
    assert!(!place.out().join("report.html").exists());
    for file in ["summary.json", "findings.csv", "findings.jsonl", "tables/compression_staging.csv"] {
        assert!(place.out().join(file).exists(), "{file}");
    }
    assert_eq!(place.findings().len(), 1);
}
