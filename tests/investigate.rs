//! Investigations of one entity: exactly its rows, few reads, and the same bytes everywhere.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};
use serde_json::{Value, json};

use crate::same_bytes::{assert_same, files_of};
use crate::sandbox::{Sandbox, Setup};
use crate::support::{Place, batch_of, row, stderr, stdout};

type Rows = Vec<BTreeMap<String, Value>>;

const FIRST: &str = "2026-03-01";
const SECOND: &str = "2026-03-02";

fn at(date: &str, time: &str) -> Value {
    json!(format!("{date}T{time}Z"))
}

fn connection(
    date: &str,
    device: &str,
    address: &str,
    account: &str,
    remote: &str,
) -> BTreeMap<String, Value> {
    row([
        ("Timestamp", at(date, "08:00:00")),
        ("DeviceName", json!(device)),
        ("LocalIP", json!(address)),
        ("RemoteIP", json!(remote)),
        ("InitiatingProcessAccountName", json!(account)),
    ])
}

fn session(date: &str, source: &str, destination: &str) -> BTreeMap<String, Value> {
    row([
        ("TimeGenerated", at(date, "09:00:00")),
        ("DeviceVendor", json!("Palo Alto Networks")),
        ("DeviceEventClassID", json!("TRAFFIC")),
        ("SourceIP", json!(source)),
        ("DestinationIP", json!(destination)),
        ("SentBytes", json!(5_000_000)),
        ("ReceivedBytes", json!(0)),
    ])
}

fn process(device: &str, account: &str, command: &str) -> BTreeMap<String, Value> {
    row([
        ("Timestamp", at(FIRST, "10:00:00")),
        ("DeviceName", json!(device)),
        ("InitiatingProcessAccountName", json!(account)),
        ("FileName", json!("7z.exe")),
        ("ProcessCommandLine", json!(command)),
    ])
}

fn upload(date: &str, caller: &str, account: &str) -> BTreeMap<String, Value> {
    row([
        ("TimeGenerated", at(date, "11:00:00")),
        ("CallerIpAddress", json!(caller)),
        ("AccountName", json!(account)),
        ("OperationName", json!("PutBlob")),
    ])
}

fn audit(by: &str) -> BTreeMap<String, Value> {
    row([
        ("TimeGenerated", at(FIRST, "12:00:00")),
        ("OperationName", json!("Microsoft.Storage/storageAccounts/listKeys/action")),
        ("InitiatedBy", json!(json!({ "user": { "userPrincipalName": by } }).to_string())),
    ])
}

/// Two devices, two users with the same name prefix, and an address that moves from one device to the other overnight.
fn place() -> Place {
    let file = row([
        ("Timestamp", at(FIRST, "10:01:00")),
        ("DeviceName", json!("ws-1")),
        ("FileName", json!("loot.7z")),
        ("FolderPath", json!("c:\\temp")),
    ]);
    let tables: Vec<(&str, &str, Rows)> = vec![
        (
            "DeviceNetworkEvents",
            FIRST,
            vec![
                connection(FIRST, "WS-1", "10.0.0.5", "CORP\\ada", "203.0.113.9"),
                connection(FIRST, "ws-2", "10.0.0.6", "adam", "203.0.113.8"),
            ],
        ),
        (
            "DeviceNetworkEvents",
            SECOND,
            vec![
                connection(SECOND, "ws-1.corp.example", "10.0.0.7", "Ada", "203.0.113.9"),
                connection(SECOND, "ws-2", "10.0.0.5", "adam", "203.0.113.8"),
            ],
        ),
        ("CommonSecurityLog", FIRST, vec![session(FIRST, "10.0.0.5", "198.51.100.1")]),
        (
            "CommonSecurityLog",
            SECOND,
            vec![session(SECOND, "10.0.0.5", "198.51.100.2"), session(SECOND, "10.0.0.7", "198.51.100.3")],
        ),
        ("DeviceFileEvents", FIRST, vec![file]),
        (
            "DeviceProcessEvents",
            FIRST,
            vec![
                process("ws-1", "ada@corp.example", "7z a loot.7z c:\\finance"),
                process("ws-2", "adam", "7z a other.7z c:\\plans"),
            ],
        ),
        (
            "StorageBlobLogs",
            FIRST,
            vec![upload(FIRST, "10.0.0.5:4711", "loot"), upload(FIRST, "10.0.0.6", "x")],
        ),
        ("StorageBlobLogs", SECOND, vec![upload(SECOND, "10.0.0.5", "other")]),
        ("AuditLogs", FIRST, vec![audit("ada@corp.example"), audit("adam@corp.example")]),
    ];
    let place = Place::new();
    for (table, date, rows) in tables {
        place.write_rows(table, date, "part-0.parquet", &rows);
    }
    place
}

fn investigate_well(place: &Place, entity: &str, arguments: &str) -> String {
    let output = place.investigate(entity, arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    stdout(&output)
}

fn column(rows: &[Value], name: &str) -> BTreeSet<String> {
    rows.iter().map(|row| row[name].as_str().unwrap_or("null").to_owned()).collect()
}

fn texts(expected: &[&str]) -> BTreeSet<String> {
    expected.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn a_device_has_the_address_of_each_day_and_no_other_devices_rows() {
    let place = place();
    let page = investigate_well(&place, "device WS-1.corp.example", "");
    let peers = column(&place.table("entity_peers"), "peer");
    assert_eq!(peers, texts(&["203.0.113.9", "198.51.100.1", "198.51.100.3", "loot"]));
    let summary = place.summary();
    let entity = &summary["entity"];
    assert_eq!(entity["name"], "ws-1");
    assert_eq!(entity["rows"], 7, "{entity:#}");
    assert_eq!(entity["names"], json!({ "WS-1": 1, "ws-1.corp.example": 1, "ws-1": 2 }));
    // The table of twenty and the findings are only of the device.
    let exfiltration = place.table("data_exfiltration");
    assert_eq!(column(&exfiltration, "destination_ip"), texts(&["198.51.100.1", "198.51.100.3"]));
    let staging = place.table("compression_staging");
    assert_eq!(column(&staging, "command_line"), texts(&["7z a loot.7z c:\\finance"]));
    let found: BTreeSet<String> = column(&place.findings(), "analysis");
    assert_eq!(found, texts(&["compression_staging", "data_exfiltration"]));
    for line in
        ["device    ws-1.corp.example", "related   ", "ip      10.0.0.7: 1 row, 2026-03-02", "user    "]
    {
        assert!(page.contains(line), "{line} is not in\n{page}");
    }
}

#[test]
fn all_forms_of_a_user_name_are_one_user_and_a_longer_name_is_another() {
    let place = place();
    for name in ["ada", "CORP\\ada", "ADA@corp.example"] {
        investigate_well(&place, &format!("user {name}"), "");
        let entity = &place.summary()["entity"];
        assert_eq!(entity["name"], "ada");
        let names = json!({ "CORP\\ada": 1, "Ada": 1, "ada@corp.example": 2 });
        assert_eq!((&entity["names"], &entity["rows"]), (&names, &json!(4)), "{name}");
        let found = place.findings();
        let audits = found.iter().filter(|finding| finding["analysis"] == "storage_audit");
        let entities = audits.filter_map(|finding| finding["entities"].as_array()).flatten();
        let named: Vec<&str> = entities.filter_map(|entity| entity["name"].as_str()).collect();
        assert_eq!(named, ["ada"], "{name}");
    }
    // For another domain, only the rows without a domain.
    investigate_well(&place, "user OTHER\\ada", "");
    assert_eq!(place.summary()["entity"]["names"], json!({ "Ada": 1 }));
    let audits = place.table("storage_audit");
    assert!(audits.is_empty(), "{audits:?}");
}

#[test]
fn cloud_accounts_contain_the_name_and_their_findings_must_name_the_user() {
    let place = place();
    let office = |user: &str, address: &str| {
        row([
            ("TimeGenerated", json!("2026-03-01T08:00:00Z")),
            ("Operation", json!("FileDownloaded")),
            ("UserType", json!("Regular")),
            ("UserId", json!(user)),
            ("ClientIP", json!(address)),
        ])
    };
    let rows = [office("ada@corp.example", "192.0.2.1"), office("adam@corp.example", "192.0.2.2")];
    place.write_rows("OfficeActivity", "2026-03-01", "part-0.parquet", &rows);
    investigate_well(&place, "user ada", "");
    assert_eq!(column(&place.table("user_activity"), "ip"), texts(&["192.0.2.1", "192.0.2.2"]));
    investigate_well(&place, "user ada@corp.example", "");
    assert_eq!(column(&place.table("user_activity"), "ip"), texts(&["192.0.2.1"]));
}

#[test]
fn an_address_has_the_processes_of_the_device_that_had_it_on_that_day() {
    let place = place();
    investigate_well(&place, "ip 10.0.0.5", "");
    let activity = place.table("entity_activity");
    let processes: Vec<&Value> =
        activity.iter().filter(|row| row["table"] == "DeviceProcessEvents").collect();
    assert_eq!(processes.len(), 1);
    assert_eq!(processes[0]["rows"], 1);
    let staging = place.table("compression_staging");
    assert_eq!(column(&staging, "device_name"), texts(&["ws-1"]));
    // Both devices had the address, each on its day.
    assert_eq!(column(&place.table("entity_ties"), "name"), texts(&["ws-1", "ws-2"]));
}

#[test]
fn unknown_names_are_reported_with_similar_ones() {
    let place = place();
    let page = investigate_well(&place, "device ws-1O", "");
    assert!(
        page.contains("no row of the window names it") && page.contains("did you mean ws-1, ws-2?"),
        "{page}"
    );
    assert!(place.table("entity_activity").is_empty() && place.findings().is_empty());
    for (entity, expected) in [("ip ws-1", "is not an address"), ("host ws-1", "invalid value 'host'")] {
        let output = place.investigate(entity, "");
        assert_eq!(output.status.code(), Some(2), "{entity}");
        assert!(stderr(&output).contains(expected), "{}", stderr(&output));
    }
    let output = place.scan("--only user_activity");
    assert_eq!(output.status.code(), Some(2), "an analysis of investigations belongs to no suite");
}

#[test]
fn dates_without_a_name_of_the_entity_are_skipped() {
    let place = place();
    investigate_well(&place, "user ada", "");
    // No row relates ada to an address: the storage log, which only has addresses, is not read.
    for date in ["2026-03-01", "2026-03-02"] {
        let entry = place.coverage("StorageBlobLogs", date);
        assert_eq!((&entry["status"], &entry["files"]), (&json!("empty"), &json!(0)), "{entry}");
        assert!(entry["reason"].as_str().expect("a reason").starts_with("not read"), "{entry}");
    }
    let summary = place.summary();
    assert_eq!(summary["entity"]["dates_passed_over"], 2);
    assert_eq!(summary["coverage"]["complete"], true);
}

/// Writes one file of four row groups with one device each, and breaks the data of the third.
fn write_row_groups(place: &Place, is_dictionary: bool) {
    let rows: Vec<_> = (0..400)
        .map(|index| {
            row([
                ("Timestamp", json!(format!("2026-03-01T10:00:{:02}Z", index % 60))),
                ("DeviceName", json!(format!("WS-{}.corp.example", index / 100))),
                ("ActionType", json!("FileCreated")),
                ("FileName", json!(format!("file-{index}.txt"))),
            ])
        })
        .collect();
    let folder = place.lake().join("DeviceFileEvents/date=2026-03-01");
    fs::create_dir_all(&folder).expect("a folder");
    let path = folder.join("part-0.parquet");
    let batch = batch_of(&rows);
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(100))
        .set_dictionary_enabled(is_dictionary)
        .build();
    let file = File::create(&path).expect("a file");
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).expect("a writer");
    writer.write(&batch).expect("rows written");
    writer.close().expect("a footer");
    break_data_pages(&path, 2);
}

fn break_data_pages(path: &Path, group: usize) {
    let reader = SerializedFileReader::new(File::open(path).expect("the file")).expect("parquet");
    let file = File::options().write(true).open(path).expect("the file");
    for chunk in reader.metadata().row_group(group).columns() {
        let (start, length) = chunk.byte_range();
        let data = chunk.data_page_offset() as u64;
        file.write_all_at(&vec![0xff; (start + length - data) as usize], data).expect("written");
    }
}

#[test]
fn row_groups_without_the_entity_are_not_read() {
    let place = Place::new();
    write_row_groups(&place, true);
    let page = investigate_well(&place, "device ws-1", "");
    let entry = place.coverage("DeviceFileEvents", "2026-03-01");
    assert_eq!((&entry["status"], &entry["rows"]), (&json!("scanned"), &json!(100)), "{entry}");
    assert_eq!((&entry["read"]["row_groups_read"], &entry["read"]["row_groups"]), (&json!(1), &json!(4)));
    assert!(page.contains("1 of 4 row groups"), "{page}");
    // The device of the broken row group is requested: the group is read, and the error reported.
    let output = place.investigate("device ws-2", "");
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    let reason = place.coverage("DeviceFileEvents", "2026-03-01")["reason"].clone();
    assert!(reason.as_str().is_some_and(|reason| reason.contains("row group 2")), "{reason}");
    // No row group has it: the file's data is not read.
    investigate_well(&place, "device ws-9", "");
    assert_eq!(place.summary()["entity"]["read"]["row_groups_read"], 0);
}

#[test]
fn row_groups_without_a_complete_dictionary_are_read() {
    let place = Place::new();
    write_row_groups(&place, false);
    assert_eq!(place.investigate("device ws-1", "").status.code(), Some(3));
    let output = place.investigate("device ws-1", "--allow-partial");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

#[test]
fn threads_and_workers_change_nothing() {
    let place = Place::with_demo("--days 3 --rows-per-day 6000 --seed 3");
    let truth: Value = crate::support::read_json(&place.lake().join("truth.json"));
    let attacks = truth["attacks"].as_array().expect("attacks");
    let device =
        attacks.iter().find_map(|attack| attack["entities"]["device_name"].as_str()).expect("a device");
    let address =
        attacks.iter().find_map(|attack| attack["entities"]["source_ip"].as_str()).expect("a source");
    let sandbox = Sandbox::start(&place, Setup::local(&place), 2);
    for entity in [format!("device {device}"), format!("ip {address}")] {
        let results = [1, 2, 7].map(|threads| {
            investigate_well(&place, &entity, &format!("--threads {threads}"));
            files_of(&place.out())
        });
        assert_same(&results[0], &results[1], "1 and 2 threads");
        assert_same(&results[0], &results[2], "1 and 7 threads");
        let rows = place.summary()["entity"]["rows"].as_u64().expect("rows");
        assert!(rows > 50 && !place.findings().is_empty(), "{entity}: {rows} rows");

        let out = place.path("remote");
        let lake = place.lake();
        let line = format!(
            "investigate {entity} --lake {} --out {} --format json,parquet --no-cache",
            lake.display(),
            out.display()
        );
        let output = sandbox.hindcast(&line);
        assert!(output.status.success(), "{}\n{}", stderr(&output), sandbox.logs());
        assert_same(&results[0], &files_of(&out), "locally and on two workers");
    }
}

#[test]
fn state_of_an_entity_is_not_shared_with_others() {
    let place = place();
    let run = |command: &str| {
        let line = format!(
            "{command} --lake {} --out {} --state {} --format json,parquet",
            place.lake().display(),
            place.out().display(),
            place.path("state").display()
        );
        let output = crate::support::hindcast(&line);
        assert!(output.status.success(), "{}", stderr(&output));
        (files_of(&place.out()), stdout(&output))
    };
    let (device, _) = run("investigate device ws-1");
    // No analysis of the suites can run on this lake's DeviceNetworkEvents.
    let (scan, _) = run("scan --allow-partial");
    let (other, _) = run("investigate device ws-2");
    let (again, printed) = run("investigate device ws-1");
    assert_same(&device, &again, "an investigation and its repetition after others");
    assert!(printed.contains("; 0 of "), "{printed}");
    assert!(device["tables/data_exfiltration.json"] != other["tables/data_exfiltration.json"]);
    place.scan_well("--allow-partial");
    assert_same(&scan, &files_of(&place.out()), "a scan after investigations and a fresh one");
}
