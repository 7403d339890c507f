//! Imports of raw logs into a lake: exactly once, all or nothing, and unreadable lines are reported with their numbers.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Place, hindcast, row, stderr, stdout};

/// Rows of traffic, one per second, as exported from a workspace: each with an id, a nested column and a null column.
pub fn traffic(rows: u64, first_id: u64) -> String {
    let row = |id: u64| {
        let time = 1_767_571_200 + id;
        json!({
            "Type": "CommonSecurityLog",
            "TenantId": "t",
            "TimeGenerated": chrono::DateTime::from_timestamp(time as i64, 0).expect("a time").to_rfc3339(),
            "DeviceVendor": "Palo Alto Networks",
            "DeviceEventClassID": "TRAFFIC",
            "SourceIP": format!("10.0.{}.{}", id % 7, id % 250),
            "DestinationIP": "198.51.100.7",
            "SimplifiedDeviceAction": "Allowed",
            "SentBytes": id,
            "Extra": {"flow": id},
            "RecordId": format!("r{id}"),
            "Nothing": null,
        })
        .to_string()
    };
    (first_id..first_id + rows).map(|id| row(id) + "\n").collect()
}

impl Place {
    /// Imports `files` into the lake with further `arguments`, and returns the report.
    pub fn import(&self, files: &str, arguments: &str) -> Value {
        let lake = self.lake().display().to_string();
        let output = hindcast(&format!("import {files} --lake {lake} --json {arguments}"));
        assert!(output.status.success(), "{}", stderr(&output));
        serde_json::from_slice(&output.stdout).expect("a report")
    }

    /// Writes a file next to the lake, and returns its path.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        fs::write(&path, content).expect("a file");
        path.display().to_string()
    }

    /// The output of `tables show` for a table.
    pub fn shown(&self, table: &str) -> Value {
        let lake = self.lake().display().to_string();
        let output = hindcast(&format!("tables --lake {lake} --json show {table}"));
        assert!(output.status.success(), "{}", stderr(&output));
        serde_json::from_slice(&output.stdout).expect("a table")
    }

    fn rows(&self, table: &str) -> u64 {
        let shown = self.shown(table);
        shown["dates"].as_array().expect("dates").iter().filter_map(|date| date["rows"].as_u64()).sum()
    }
}

#[test]
fn a_file_is_imported_once_with_any_compression() {
    let place = Place::new();
    let text = traffic(100_000, 0);
    let plain = place.file("plain.ndjson", &text);
    let report = place.import(&plain, "");
    assert_eq!(report["files"][0]["source"], "monitor-export");
    assert_eq!(report["files"][0]["rows"]["CommonSecurityLog"], 100_000);
    assert_eq!(report["tables"]["CommonSecurityLog"]["dates"], json!(["2026-01-05", "2026-01-06"]));
    let copy = place.file("copy.ndjson", &text);
    assert_eq!(place.import(&copy, "")["files"][0]["already_imported"], true);
    assert_eq!(place.rows("CommonSecurityLog"), 100_000);
    place.scan_well("--suite firewall");
    let talkers = place.table("traffic_overview");
    assert_eq!(talkers[0]["events"], 100_000);

    let shown = place.shown("CommonSecurityLog");
    let column = |name: &str| {
        let columns = shown["columns"].as_array().expect("columns");
        columns.iter().find(|column| column["name"] == name).map(|column| column["types"][0].clone())
    };
    assert_eq!(column("SentBytes"), Some(json!("Int64")));
    assert_eq!((column("AdditionalFields"), column("Extra")), (Some(json!("Utf8")), None));
    assert_eq!(shown["telemetry"]["empty_hours"], 0);

    // The same rows in an archive are other content; the markers of a deleted table are deleted.
    let lake = place.lake().display().to_string();
    assert!(hindcast(&format!("tables --lake {lake} delete CommonSecurityLog --yes")).status.success());
    let packed = zstd_of(text.as_bytes());
    let packed = place.file("packed.ndjson.zst", packed);
    assert_eq!(place.import(&format!("{packed} {plain}"), "--record-id RecordId")["duplicates"], 100_000);
    assert_eq!(place.rows("CommonSecurityLog"), 100_000);
    let later = place.file("later.ndjson", traffic(10, 99_995));
    assert_eq!(place.import(&later, "--record-id RecordId")["duplicates"], 5);
    assert_eq!(place.rows("CommonSecurityLog"), 100_005);
}

fn zstd_of(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).expect("packed")
}

/// Any number of threads gives the same files; rows of one source are stored together.
#[test]
fn threads_do_not_change_the_files() {
    let contents = |threads: &str| {
        let place = Place::new();
        let file = place.file("rows.ndjson", traffic(60_000, 0));
        place.import(&file, &format!("--threads {threads}"));
        let mut found: Vec<Vec<u8>> = Vec::new();
        for date in ["2026-01-05"] {
            let folder = place.lake().join(format!("CommonSecurityLog/date={date}"));
            for entry in fs::read_dir(folder).expect("a folder") {
                found.push(fs::read(entry.expect("an entry").path()).expect("a file"));
            }
        }
        found
    };
    assert_eq!(contents("1"), contents("4"));
}

#[test]
fn unreadable_lines_are_reported_with_their_numbers() {
    let place = Place::new();
    let mut text = traffic(3, 0);
    text += "not json\n";
    text += &traffic(2, 3);
    text += "{\"Type\":\"CommonSecurityLog\",\"TenantId\":\"t\",\"TimeGenerated\":\"someday\"}\n";
    let file = place.file("rows.ndjson", &text);
    let lake = place.lake().display().to_string();
    let strict = hindcast(&format!("import {file} --lake {lake} --strict"));
    assert_eq!(strict.status.code(), Some(2));
    assert!(stderr(&strict).contains("rows.ndjson, line 4: is not a JSON object"), "{}", stderr(&strict));
    assert!(!place.lake().join("CommonSecurityLog").exists());

    let report = place.import(&file, "--allow-rejects 30%");
    assert_eq!(report["files"][0]["rejects"], 2);
    let rejects = report["reject_files"][0].as_str().expect("a file");
    let rejects = fs::read_to_string(rejects.strip_prefix("file://").expect("a path")).expect("rejects");
    let rejects: Vec<Value> =
        rejects.lines().map(|line| serde_json::from_str(line).expect("a reject")).collect();
    assert_eq!((&rejects[0]["line"], &rejects[0]["text"]), (&json!(4), &json!("not json")));
    assert_eq!(
        (&rejects[1]["line"], &rejects[1]["reason"]),
        (&json!(7), &json!("\"someday\" is not a time"))
    );
    assert_eq!(place.rows("CommonSecurityLog"), 5);

    let unnamed = place.file("unnamed.csv", "a,b\n1,2\n");
    let output = hindcast(&format!("import {unnamed} --lake {lake}"));
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--table"), "{}", stderr(&output));
    let none = hindcast(&format!("import {lake}/nothing --lake {lake}"));
    assert!(stderr(&none).contains("there is no file"), "{}", stderr(&none));
}

/// An import that is killed at any moment leaves nothing that readers see, and can be run again immediately.
#[test]
fn a_killed_import_leaves_nothing_partial() {
    let place = Place::new();
    let file = place.file("rows.ndjson", traffic(150_000, 0));
    let lake = place.lake().display().to_string();
    for wait_ms in [30, 300, 900, 1500, 2200, 3000] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_hindcast"))
            .args(["import", &file, "--lake", &lake, "--quiet"])
            .stdout(Stdio::null())
            .spawn()
            .expect("started");
        std::thread::sleep(Duration::from_millis(wait_ms));
        let is_killed = child.kill().is_ok();
        let ended = child.wait().expect("ended");
        if ended.success() || !is_killed {
            break;
        }
        let listed = hindcast(&format!("tables --lake {lake} --json show CommonSecurityLog"));
        if listed.status.success() {
            let rows = place.rows("CommonSecurityLog");
            assert!(rows == 0 || rows == 150_000, "{rows} rows after {wait_ms} ms");
        }
    }
    place.import(&file, "");
    assert_eq!(place.rows("CommonSecurityLog"), 150_000);
    assert_eq!(place.import(&file, "")["files"][0]["already_imported"], true);
}

/// A deletion that is killed between a table's files and its markers can be run again, and so can the import.
#[test]
fn a_killed_deletion_can_be_completed() {
    let place = Place::new();
    let file = place.file("rows.ndjson", traffic(10, 0));
    let lake = place.lake().display().to_string();
    let delete = || hindcast(&format!("tables --lake {lake} delete CommonSecurityLog --yes"));
    for gone in ["CommonSecurityLog", "_hindcast/imports"] {
        place.import(&file, "");
        assert_eq!(place.rows("CommonSecurityLog"), 10);
        fs::remove_dir_all(place.lake().join(gone)).expect("removed");
        let deleted = delete();
        assert!(deleted.status.success(), "without {gone}: {}", stderr(&deleted));
        assert!(!place.lake().join("CommonSecurityLog").exists(), "without {gone}");
        assert_eq!(place.import(&file, "")["files"][0]["already_imported"], false, "without {gone}");
        assert_eq!(place.rows("CommonSecurityLog"), 10);
        assert!(delete().status.success());
    }
    let again = delete();
    assert_eq!(again.status.code(), Some(2));
    assert!(stderr(&again).contains("there is no table"), "{}", stderr(&again));
}

#[test]
fn small_files_are_merged() {
    let place = Place::new();
    for part in 0..6 {
        let rows: Vec<_> = (0..50)
            .map(|number| {
                row([
                    ("TimeGenerated", json!(format!("2026-01-05T0{part}:00:{:02}Z", number % 60))),
                    ("SourceIP", json!(format!("10.0.0.{}", number % 5))),
                    ("DeviceVendor", json!("Palo Alto Networks")),
                    ("DeviceEventClassID", json!("TRAFFIC")),
                    ("DestinationIP", json!("198.51.100.7")),
                    ("SentBytes", json!(number)),
                    ("ReceivedBytes", json!(1)),
                ])
            })
            .collect();
        place.write_rows("CommonSecurityLog", "2026-01-05", &format!("part-{part}.parquet"), &rows);
    }
    place.scan_well("--suite firewall");
    let before = place.table("top_talkers");
    let lake = place.lake().display().to_string();
    let output = hindcast(&format!("tables --lake {lake} --json compact CommonSecurityLog"));
    assert!(output.status.success(), "{}", stderr(&output));
    let done: Value = serde_json::from_slice(&output.stdout).expect("a report");
    assert_eq!(
        (&done["files_before"], &done["files_after"], &done["rows"]),
        (&json!(6), &json!(1), &json!(300))
    );
    assert_eq!(
        fs::read_dir(place.lake().join("CommonSecurityLog/date=2026-01-05")).expect("a folder").count(),
        1
    );
    place.scan_well("--suite firewall");
    assert_eq!(place.table("top_talkers"), before);
    let again = hindcast(&format!("tables --lake {lake} compact CommonSecurityLog"));
    assert!(stdout(&again).contains("0 small files"), "{}", stdout(&again));
}

#[test]
fn gaps_silent_devices_and_drift_are_reported() {
    let place = Place::new();
    let line = |time: &str, device: &str, more: &str| {
        format!(
            "{{\"Timestamp\":\"{time}\",\"DeviceName\":\"{device}\",\"ActionType\":\"x\",\"Empty\":\"\"{more}}}\n"
        )
    };
    let mut first = line("2026-01-05T01:00:00Z", "quiet", "") + &line("2026-01-06T01:00:00Z", "quiet", "");
    first += &line("2026-01-06T02:00:00Z", "busy", "");
    let file = place.file("first.ndjson", first);
    place.import(&file, "--table DeviceFileEvents");
    let second =
        line("2026-01-08T02:00:00Z", "busy", ",\"FileSize\":1") + &line("2026-01-08T03:30:00Z", "busy", "");
    let file = place.file("second.ndjson", second);
    place.import(&file, "--table DeviceFileEvents");
    let telemetry = place.shown("DeviceFileEvents")["telemetry"].clone();
    assert_eq!((&telemetry["hours"], &telemetry["empty_hours"]), (&json!(75), &json!(70)));
    assert_eq!(telemetry["gaps"][1]["hours"], 47);
    assert_eq!(telemetry["silent_keys"], json!([{"key": "quiet", "last_seen": "2026-01-06T01:00:00Z"}]));
    assert_eq!(telemetry["drift"], json!(["FileSize is in 1 of 3 files"]));
}

#[test]
fn a_mapping_file_names_columns() {
    let place = Place::new();
    let mapping = place.file(
        "proxy.toml",
        "[[tables]]\ntable = \"CommonSecurityLog\"\ntime = [\"when\"]\n[tables.columns]\nSourceIP = \"client\"\n\
         SentBytes = [\"up\", \"bytes_up\"]\nReceivedBytes = \"down\"\n[tables.constants]\nDeviceVendor = \"Palo Alto Networks\"\n\
         DeviceEventClassID = \"TRAFFIC\"\nDestinationIP = \"198.51.100.7\"\n",
    );
    let file = place.file(
        "proxy.csv",
        "when;client;bytes_up;down;note\n1767571200;10.0.0.1;7;1;a\n1767571201;10.0.0.1;8;1;b\n",
    );
    place.import(&file, &format!("--mapping {mapping}"));
    place.scan_well("--suite firewall");
    let talkers = place.table("top_talkers");
    assert_eq!((&talkers[0]["source_ip"], &talkers[0]["bytes_sent"]), (&json!("10.0.0.1"), &json!(15)));
    let wrong = place.file("wrong.toml", "[[tables]]\ntabel = \"X\"\n");
    let lake = place.lake().display().to_string();
    let output = hindcast(&format!("import {file} --lake {lake} --mapping {wrong}"));
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("line 2"), "{}", stderr(&output));
}

/// A truncated gzip gives the rows before its end, and the report says so.
#[test]
fn a_truncated_file_is_reported() {
    let place = Place::new();
    let path = place.path("rows.ndjson.gz");
    let mut child = Command::new("gzip").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("gzip");
    let mut input = child.stdin.take().expect("input");
    let writer = std::thread::spawn(move || input.write_all(traffic(50_000, 0).as_bytes()));
    let packed = child.wait_with_output().expect("packed").stdout;
    writer.join().expect("written").expect("written");
    fs::write(&path, &packed[..packed.len() / 2]).expect("cut");
    let report = place.import(&path.display().to_string(), "");
    let rows = report["files"][0]["rows"]["CommonSecurityLog"].as_u64().expect("rows");
    assert!((10_000..50_000).contains(&rows), "{rows}");
    let rejects = report["reject_files"][0].as_str().expect("rejects");
    let rejects = fs::read_to_string(rejects.strip_prefix("file://").expect("a path")).expect("rejects");
    assert!(rejects.contains("can't be read to its end"), "{rejects}");
}
