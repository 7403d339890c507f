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

/// The same lake, whose table is a Delta table: of its two files, the log has one.
fn lake_with_delta() -> Place {
    let place = lake_with(DELTA_LOG);
    let table = place.lake().join(TABLE);
    let live = format!("date={DATE}/live.parquet");
    let names = ["TimeGenerated", "DeviceVendor", "DeviceEventClassID", "SourceIP", "DestinationIP"];
    let field = |name: &str, kind: &str| json!({ "name": name, "type": kind, "nullable": true, "metadata": {} });
    let mut fields: Vec<Value> = names.map(|name| field(name, "string")).to_vec();
    fields.extend(["SentBytes", "ReceivedBytes"].map(|name| field(name, "long")));
    fields.push(field("date", "date"));
    let actions = [
        json!({ "commitInfo": { "timestamp": 1_767_607_200_000_i64, "operation": "WRITE" } }),
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
    fs::write(table.join(DELTA_LOG), lines.join("\n")).expect("written");
    place
}

/// Commands that read the table of a lake.
fn reads(place: &Place) -> Vec<String> {
    let (lake, out) = (place.lake().display().to_string(), place.out().display().to_string());
    vec![
        format!("scan --lake {lake} --out {out} --no-cache"),
        format!("scan --lake {lake} --out {out} --no-cache --only top_talkers"),
        format!("investigate ip 10.0.0.1 --lake {lake} --out {out} --no-cache"),
        format!("backfill --lake {lake} --out {out} --no-cache --from {DATE} --to 2026-01-06 --window 1d"),
        format!("tables --lake {lake} show {TABLE}"),
        format!("tables --lake {lake} save Copy_SPRK"),
    ]
}

/// Commands that would write to the table of a lake.
fn writes(place: &Place) -> Vec<String> {
    let lines = format!(r#"{{"TimeGenerated":"{DATE}T11:00:00Z","DeviceVendor":"x"}}"#);
    let typed = format!(
        r#"{{"Type":"{TABLE}","TenantId":"t","TimeGenerated":"{DATE}T11:00:00Z","DeviceVendor":"x"}}"#
    );
    let (lines_file, typed_file) = (place.path("lines.ndjson"), place.path("typed.ndjson"));
    fs::write(&lines_file, lines + "\n").expect("written");
    fs::write(&typed_file, typed + "\n").expect("written");
    let lake = place.lake().display().to_string();
    vec![
        format!("tables --lake {lake} compact {TABLE}"),
        format!("tables --lake {lake} delete {TABLE} --yes"),
        format!("tables --lake {lake} delete {TABLE}"),
        format!("import {} --table {TABLE} --lake {lake}", lines_file.display()),
        format!("import {} --lake {lake}", typed_file.display()),
    ]
}

fn assert_refused(output: &Output, words: &[&str], what: &str) {
    assert_eq!(output.status.code(), Some(2), "{what}: {}{}", stdout(output), stderr(output));
    let message = stderr(output);
    for word in words {
        assert!(message.contains(word), "{what}: {word:?} in {message}");
    }
}

fn assert_not_read(output: &Output, kind: &str, what: &str) {
    let words = [TABLE, kind, "Nothing was read or written", "Delta Lake", "date=YYYY-MM-DD"];
    assert_refused(output, &words, what);
}

#[test]
fn tables_of_iceberg_and_hudi_are_neither_read_nor_written() {
    for (log, kind) in LOGS {
        let place = lake_with(log);
        let (reads, writes) = (reads(&place), writes(&place));
        let before = files_of(&place.lake());
        for command in reads {
            assert_not_read(&hindcast(&command), kind, &command);
            assert!(files_of(&place.lake()) == before, "{command}");
        }
        for command in writes {
            assert_refused(&hindcast(&command), &[TABLE, kind, "Nothing was written"], &command);
            assert!(files_of(&place.lake()) == before, "{command}");
        }
    }
}

#[test]
fn a_delta_table_is_read_and_never_written() {
    let place = lake_with_delta();
    let (reads, writes) = (reads(&place), writes(&place));
    let table = place.lake().join(TABLE);
    let before = files_of(&table);
    for command in reads {
        let output = hindcast(&command);
        assert!(output.status.success(), "{command}: {}{}", stdout(&output), stderr(&output));
        assert!(files_of(&table) == before, "{command}");
    }
    for command in writes {
        assert_refused(&hindcast(&command), &[TABLE, "Delta Lake", "Nothing was written"], &command);
        assert!(files_of(&table) == before, "{command}");
    }
    place.scan_well("--only top_talkers");
    // The log does not have the other file.
    let summary: Value = read_json(&place.out().join("summary.json"));
    assert_eq!(summary["coverage"]["tables"][0]["rows"], 1, "{summary}");
    let read = &summary["coverage"]["versions"][0];
    assert_eq!((read["table"].as_str(), read["version"].as_u64()), (Some(TABLE), Some(0)), "{summary}");
    assert!(read["committed"].is_string(), "{summary}");
    let listed = hindcast(&format!("tables --lake {} --json", place.lake().display()));
    let listed: Value = serde_json::from_slice(&listed.stdout).expect("tables");
    let entry = listed.as_array().and_then(|tables| tables.iter().find(|one| one["table"] == TABLE));
    assert_eq!(entry.map(|entry| &entry["version"]), Some(&json!(0)), "{listed}");
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
        assert!(entry(TABLE)["refused"].as_str().is_some_and(|reason| reason.contains(kind)), "{listed}");
        assert!(entry(TABLE)["dates"].as_array().is_some_and(Vec::is_empty), "{listed}");
        assert_eq!(entry("AuditLogs").get("refused"), None);
        let shown = hindcast(&format!("tables --lake {lake}"));
        assert!(stdout(&shown).contains("refused: ") && stdout(&shown).contains(kind), "{}", stdout(&shown));
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
    let log = |table: &str| place.lake().join(table).join(".hoodie");
    fs::create_dir(log("BlobServiceLogs")).expect("a folder");
    let read = place.scan("--suite exfiltration");
    assert!(!stderr(&read).contains("the Delta log of "), "{}", stderr(&read));
    fs::rename(log("BlobServiceLogs"), log("StorageBlobLogs")).expect("moved");
    let refused = place.scan("--suite exfiltration");
    assert!(!refused.status.success());
    assert!(stderr(&refused).contains("the Delta log of StorageBlobLogs"), "{}", stderr(&refused));
}

/// A log is recognised at any place of the table, with or without date folders.
#[test]
fn a_mapped_table_and_a_lake_that_is_a_table_are_refused() {
    for (log, kind) in [LOGS[0], LOGS[1], (DELTA_LOG, "Delta Lake")] {
        let place = lake_with(log);
        let (table, aside) = (place.lake().join(TABLE), place.path("elsewhere"));
        fs::rename(&table, &aside).expect("moved");
        fs::rename(aside.join(format!("date={DATE}")), aside.join("day=05")).expect("moved");
        let mapping = format!("[tables.{TABLE}]\nurl = '{}'\n", aside.display());
        fs::write(place.lake().join("hindcast.toml"), mapping).expect("written");
        if log != DELTA_LOG {
            assert_not_read(&place.scan("--suite firewall"), kind, "a mapped table");
        }

        let lake = aside.display().to_string();
        let before = files_of(&aside);
        let lines = place.path("lines.ndjson");
        fs::write(&lines, format!("{{\"TimeGenerated\":\"{DATE}T11:00:00Z\"}}\n")).expect("written");
        for command in [
            format!("scan --lake {lake} --out {} --no-cache", place.out().display()),
            format!("import {} --table {TABLE} --lake {lake}", lines.display()),
            format!("tables --lake {lake}"),
        ] {
            assert_refused(&hindcast(&command), &["the lake", kind, "[tables.<Name>]"], &command);
            assert!(files_of(&aside) == before, "{command}");
        }
    }
}

#[test]
fn a_coordinator_refuses_it_too() {
    let place = lake_with(LOGS[1].0);
    let sandbox = Sandbox::start(&place, Setup::local(&place), 1);
    let before = files_of(&place.lake());
    let refused = sandbox.scan(&place.out(), "--suite firewall");
    assert_not_read(&refused, "Hudi", "a scan");
    let lake = place.lake().display().to_string();
    let out = place.out().display().to_string();
    for command in [
        format!("investigate ip 10.0.0.1 --lake {lake} --out {out}"),
        format!("backfill --lake {lake} --out {out} --from {DATE} --to 2026-01-06 --window 1d"),
    ] {
        assert_not_read(&sandbox.hindcast(&command), "Hudi", &command);
    }
    let other = sandbox.scan(&place.out(), "--only storage_audit");
    assert!(other.status.success(), "{}", stderr(&other));
    assert!(files_of(&place.lake()) == before);
}
