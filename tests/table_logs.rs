//! Every command refuses tables of Iceberg and Hudi by name, and commands that write refuse those of Delta Lake; nothing in them changes.

use std::fs;
use std::process::Output;

use serde_json::{Value, json};

use crate::same_bytes::files_of;
use crate::sandbox::{Sandbox, Setup};
use crate::support::{Place, hindcast, read_json, row, stderr, stdout};

const TABLE: &str = "CommonSecurityLog";
const DATE: &str = "2026-01-05";
const DELTA: &str = "Delta Lake";
/// The folder of each format's log, and the format's name.
const LOGS: [(&str, &str); 3] = [
    ("_delta_log/00000000000000000000.json", DELTA),
    ("metadata/v1.metadata.json", "Iceberg"),
    (".hoodie/hoodie.properties", "Hudi"),
];

/// A lake with a plain table AuditLogs, and a table with a log.
fn lake_with(log: &str) -> Place {
    let place = Place::new();
    let time = ("TimeGenerated", json!(format!("{DATE}T10:00:00Z")));
    for file in ["live.parquet", "replaced.parquet"] {
        let session = row([
            time.clone(),
            ("DeviceVendor", json!("Palo Alto Networks")),
            ("DeviceEventClassID", json!("TRAFFIC")),
            ("SourceIP", json!("10.0.0.1")),
            ("DestinationIP", json!("203.0.113.9")),
            ("SentBytes", json!(1)),
            ("ReceivedBytes", json!(1)),
        ]);
        place.write_rows(TABLE, DATE, file, &[session]);
    }
    let audit = row([time, ("OperationName", json!("ListKeys")), ("InitiatedBy", json!("ada"))]);
    place.write_rows("AuditLogs", DATE, "a.parquet", &[audit]);
    let log = place.lake().join(TABLE).join(log);
    fs::create_dir_all(log.parent().expect("a folder")).expect("a folder");
    fs::write(log, "{}\n").expect("written");
    place
}

fn assert_refused(output: &Output, kind: &str, what: &str) {
    assert_words(output, &[TABLE, kind, "Nothing was read or written", "date=YYYY-MM-DD"], what);
}

fn assert_unwritten(output: &Output, kind: &str, what: &str) {
    assert_words(output, &[TABLE, kind, "Nothing was written"], what);
}

fn assert_words(output: &Output, words: &[&str], what: &str) {
    assert_eq!(output.status.code(), Some(2), "{what}: {}{}", stdout(output), stderr(output));
    let message = stderr(output);
    for word in words {
        assert!(message.contains(word), "{what}: {word:?} in {message}");
    }
}

fn assert_damaged(output: &Output, what: &str) {
    assert!(!output.status.success(), "{what}: {}", stdout(output));
    let message = stderr(output);
    assert!(message.contains("the Delta log of ") && message.contains(TABLE), "{what}: {message}");
}

#[test]
fn every_command_refuses_a_table_with_a_log() {
    for (log, kind) in LOGS {
        let place = lake_with(log);
        let lines = format!(r#"{{"TimeGenerated":"{DATE}T11:00:00Z","DeviceVendor":"x"}}"#);
        let typed = format!(
            r#"{{"Type":"{TABLE}","TenantId":"t","TimeGenerated":"{DATE}T11:00:00Z","DeviceVendor":"x"}}"#
        );
        fs::write(place.path("lines.ndjson"), lines + "\n").expect("written");
        fs::write(place.path("typed.ndjson"), typed + "\n").expect("written");
        let before = files_of(&place.lake());
        let lake = place.lake().display().to_string();
        let out = place.out().display().to_string();
        let (lines, typed) = (place.path("lines.ndjson"), place.path("typed.ndjson"));
        let (lines, typed) = (lines.display(), typed.display());
        let reading = [
            format!("scan --lake {lake} --out {out} --no-cache"),
            format!("scan --lake {lake} --out {out} --no-cache --only top_talkers"),
            format!("investigate ip 10.0.0.1 --lake {lake} --out {out} --no-cache"),
            format!(
                "backfill --lake {lake} --out {out} --no-cache --from {DATE} --to 2026-01-06 --window 1d"
            ),
            format!("tables --lake {lake} show {TABLE}"),
            format!("tables --lake {lake} save Copy_SPRK"),
        ];
        for command in reading {
            let output = hindcast(&command);
            match kind {
                // This log is read, but it has no table.
                DELTA => assert_damaged(&output, &command),
                _ => assert_refused(&output, kind, &command),
            }
            assert!(files_of(&place.lake()) == before, "{command}");
        }
        for command in [
            format!("tables --lake {lake} compact {TABLE}"),
            format!("tables --lake {lake} delete {TABLE} --yes"),
            format!("tables --lake {lake} delete {TABLE}"),
            format!("import {lines} --table {TABLE} --lake {lake}"),
            format!("import {typed} --lake {lake}"),
        ] {
            assert_unwritten(&hindcast(&command), kind, &command);
            assert!(files_of(&place.lake()) == before, "{command}");
        }
    }
}

/// A lake whose table is a Delta table: of its two files, the log has one.
fn lake_with_delta_table() -> Place {
    let log = "_delta_log/00000000000000000000.json";
    let place = lake_with(log);
    let table = place.lake().join(TABLE);
    let live = format!("date={DATE}/live.parquet");
    let field =
        |name: &str, kind: &str| json!({ "name": name, "type": kind, "nullable": true, "metadata": {} });
    let texts = ["TimeGenerated", "DeviceVendor", "DeviceEventClassID", "SourceIP", "DestinationIP"];
    let mut fields: Vec<Value> = texts.map(|name| field(name, "string")).to_vec();
    fields.extend(["SentBytes", "ReceivedBytes"].map(|name| field(name, "long")));
    fields.push(field("date", "date"));
    let actions = [
        json!({ "protocol": { "minReaderVersion": 1, "minWriterVersion": 2 } }),
        json!({ "metaData": {
            "id": "1", "format": { "provider": "parquet", "options": {} }, "partitionColumns": ["date"],
            "schemaString": json!({ "type": "struct", "fields": fields }).to_string(), "configuration": {}
        } }),
        json!({ "add": {
            "path": live, "partitionValues": { "date": DATE }, "modificationTime": 1_767_607_200_000_i64,
            "size": fs::metadata(table.join(&live)).expect("a file").len(), "dataChange": true
        } }),
    ];
    let lines: Vec<String> = actions.iter().map(Value::to_string).collect();
    fs::write(table.join(log), lines.join("\n")).expect("written");
    place
}

#[test]
fn a_delta_table_is_read_and_never_written() {
    let place = lake_with_delta_table();
    let (table, lines) = (place.lake().join(TABLE), place.path("lines.ndjson"));
    fs::write(&lines, format!("{{\"TimeGenerated\":\"{DATE}T11:00:00Z\"}}\n")).expect("written");
    let before = files_of(&table);
    let (lake, out) = (place.lake().display().to_string(), place.out().display().to_string());
    for command in [
        format!("scan --lake {lake} --out {out} --no-cache --suite firewall"),
        format!("investigate ip 10.0.0.1 --lake {lake} --out {out} --no-cache"),
        format!("tables --lake {lake} show {TABLE}"),
        format!("tables --lake {lake} save Copy_SPRK"),
    ] {
        let output = hindcast(&command);
        assert!(output.status.success(), "{command}: {}{}", stdout(&output), stderr(&output));
        assert!(files_of(&table) == before, "{command}");
    }
    for command in [
        format!("tables --lake {lake} compact {TABLE}"),
        format!("tables --lake {lake} delete {TABLE} --yes"),
        format!("import {} --table {TABLE} --lake {lake}", lines.display()),
    ] {
        assert_unwritten(&hindcast(&command), DELTA, &command);
        assert!(files_of(&table) == before, "{command}");
    }
    place.scan_well("--only top_talkers");
    // The log does not have the other file.
    let summary: Value = read_json(&place.out().join("summary.json"));
    assert_eq!(summary["coverage"]["tables"][0]["rows"], 1, "{summary}");
    let read = &summary["coverage"]["versions"][0];
    assert_eq!((read["table"].as_str(), read["version"].as_u64()), (Some(TABLE), Some(0)), "{summary}");
}

#[test]
fn other_tables_of_the_lake_work() {
    for (log, kind) in LOGS {
        let place = lake_with(log);
        place.scan_well("--only storage_audit");
        assert_eq!(place.table("storage_audit").len(), 1, "{kind}");
        let refused = place.scan("");
        assert!(stderr(&refused).contains("leave out, by --suite or --only"), "{}", stderr(&refused));
        assert!(stderr(&refused).contains("top_talkers"), "{}", stderr(&refused));
        let lake = place.lake().display().to_string();
        let listed = hindcast(&format!("tables --lake {lake} --json"));
        assert!(listed.status.success(), "{}", stderr(&listed));
        let listed: Value = serde_json::from_slice(&listed.stdout).expect("tables");
        let entry = |name: &str| {
            let tables = listed.as_array().expect("a list");
            tables.iter().find(|table| table["table"] == name).unwrap_or_else(|| panic!("no {name}")).clone()
        };
        let reason = if kind == DELTA { "Delta log" } else { kind };
        assert!(entry(TABLE)["refused"].as_str().is_some_and(|text| text.contains(reason)), "{listed}");
        assert!(entry(TABLE)["dates"].as_array().is_some_and(Vec::is_empty), "{listed}");
        assert_eq!(entry("AuditLogs").get("refused"), None);
        let shown = hindcast(&format!("tables --lake {lake}"));
        assert!(
            stdout(&shown).contains("refused: ") && stdout(&shown).contains(reason),
            "{}",
            stdout(&shown)
        );
    }
}

/// An alternative table is read as usual; a preferred one with a log is reported.
#[test]
fn a_table_that_is_not_needed_is_not_refused() {
    let place = lake_with(LOGS[0].0);
    let write = |table: &str| {
        let time = ("TimeGenerated", json!(format!("{DATE}T10:00:00Z")));
        place.write_rows(table, DATE, "a.parquet", &[row([time, ("OperationName", json!("PutBlob"))])]);
    };
    write("StorageBlobLogs");
    write("BlobServiceLogs");
    let log = |table: &str| place.lake().join(table).join("_delta_log");
    fs::create_dir(log("BlobServiceLogs")).expect("a folder");
    let read = place.scan("--only cli_storage_uploads");
    assert!(!stderr(&read).contains("the Delta log of "), "{}", stderr(&read));
    fs::rename(log("BlobServiceLogs"), log("StorageBlobLogs")).expect("moved");
    let refused = place.scan("--only cli_storage_uploads");
    assert!(!refused.status.success());
    assert!(stderr(&refused).contains("the Delta log of StorageBlobLogs"), "{}", stderr(&refused));
}

/// A log is recognised at any place of the table, with or without date folders.
#[test]
fn a_mapped_table_and_a_lake_that_is_a_table_are_refused() {
    let place = lake_with(LOGS[0].0);
    let (table, aside) = (place.lake().join(TABLE), place.path("elsewhere"));
    fs::rename(&table, &aside).expect("moved");
    fs::rename(aside.join(format!("date={DATE}")), aside.join("day=05")).expect("moved");
    let mapping = format!("[tables.{TABLE}]\nurl = '{}'\n", aside.display());
    fs::write(place.lake().join("hindcast.toml"), mapping).expect("written");
    assert_damaged(&place.scan("--suite firewall"), "a mapped table");

    let lake = aside.display().to_string();
    let before = files_of(&aside);
    let lines = place.path("lines.ndjson");
    fs::write(&lines, format!("{{\"TimeGenerated\":\"{DATE}T11:00:00Z\"}}\n")).expect("written");
    for command in [
        format!("scan --lake {lake} --out {} --no-cache", place.out().display()),
        format!("import {} --table {TABLE} --lake {lake}", lines.display()),
        format!("tables --lake {lake}"),
    ] {
        let output = hindcast(&command);
        assert_eq!(output.status.code(), Some(2), "{command}: {}", stdout(&output));
        assert!(stderr(&output).contains("the lake") && stderr(&output).contains("Delta Lake"), "{command}");
        assert!(files_of(&aside) == before, "{command}");
    }
}

#[test]
fn a_coordinator_refuses_it_too() {
    let place = lake_with(LOGS[1].0);
    let sandbox = Sandbox::start(&place, Setup::local(&place), 1);
    let before = files_of(&place.lake());
    let refused = sandbox.scan(&place.out(), "--suite firewall");
    assert_refused(&refused, "Iceberg", "a scan");
    let lake = place.lake().display().to_string();
    let out = place.out().display().to_string();
    for command in [
        format!("investigate ip 10.0.0.1 --lake {lake} --out {out}"),
        format!("backfill --lake {lake} --out {out} --from {DATE} --to 2026-01-06 --window 1d"),
    ] {
        assert_refused(&sandbox.hindcast(&command), "Iceberg", &command);
    }
    let other = sandbox.scan(&place.out(), "--only storage_audit");
    assert!(other.status.success(), "{}", stderr(&other));
    assert!(files_of(&place.lake()) == before);
}
