//! Look-backs: rows before a window count in baselines if the lake has them, and appear in no result.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};

use crate::support::{Place, hindcast, read_json, row, stderr, stdout};

const MEBIBYTE: u64 = 1 << 20;

/// Bytes a device sends at a time, such as `2026-03-02T10:30:00Z`.
fn sent(device: &str, time: &str, bytes: u64) -> BTreeMap<String, Value> {
    row([("Timestamp", json!(time)), ("DeviceName", json!(device)), ("BytesSent", json!(bytes))])
}

/// Ten minutes into each hour of a day in March 2026.
fn hours(day: u32) -> impl Iterator<Item = String> {
    (0..24).map(move |hour| format!("2026-03-{day:02}T{hour:02}:10:00Z"))
}

/// Three days of a device that sends the same amount each hour.
fn steady(place: &Place) {
    for day in 1..=3 {
        let rows: Vec<_> = hours(day).map(|time| sent("srv-1", &time, 5 * MEBIBYTE)).collect();
        place.write_rows("DeviceNetworkEvents", &format!("2026-03-{day:02}"), "a.parquet", &rows);
    }
}

/// Device and hour of the spikes that a scan with `arguments` finds.
fn spikes(place: &Place, arguments: &str) -> Vec<(String, String)> {
    place.scan_well(&format!("--only egress_spikes {arguments}"));
    let text = |row: &Value, column: &str| row[column].as_str().expect("a text").to_owned();
    let found = place.table("egress_spikes");
    found.iter().map(|row| (text(row, "device_name"), text(row, "hour"))).collect()
}

#[test]
fn steady_traffic_is_not_a_spike_for_any_start_of_a_window() {
    let place = Place::new();
    steady(&place);
    for window in [
        "--from 2026-03-02 --to 2026-03-03",
        "--from 2026-03-03 --to 2026-03-04",
        "--from 2026-03-02T12:00:00Z --to 2026-03-03T12:00:00Z",
        "--from 2026-03-02T12:20:00Z --to 2026-03-03T12:20:00Z",
        "--from 2026-03-02T12:05:00Z --to 2026-03-02T12:15:00Z",
        "--last 30h",
    ] {
        assert!(spikes(&place, window).is_empty(), "{window}: {:?}", place.table("egress_spikes"));
    }
    // Nothing is known before the first row of the lake: six hours are needed first.
    let first = spikes(&place, "");
    assert_eq!(first[0], ("srv-1".to_owned(), "2026-03-01T06:00:00Z".to_owned()));
    // The notebook's baseline only has rows of the window.
    assert_eq!(spikes(&place, "--preset notebook --from 2026-03-02 --to 2026-03-03").len(), 7);
}

#[test]
fn a_new_device_needs_its_own_baseline() {
    let place = Place::new();
    steady(&place);
    let times = ["2026-03-03T04:10:00Z", "2026-03-03T05:10:00Z", "2026-03-03T06:10:00Z"];
    let mut rows: Vec<_> = hours(3).map(|time| sent("srv-1", &time, 5 * MEBIBYTE)).collect();
    rows.extend(times.map(|time| sent("new", time, MEBIBYTE)));
    rows.push(sent("new", "2026-03-03T09:10:00Z", 900 * MEBIBYTE));
    place.write_rows("DeviceNetworkEvents", "2026-03-03", "a.parquet", &rows);
    let day = "--from 2026-03-03 --to 2026-03-04";
    assert!(spikes(&place, day).is_empty());
    let config = place.path("own.toml");
    fs::write(&config, "[egress_spikes]\nmin_history = 3").expect("a file");
    assert_eq!(
        spikes(&place, &format!("{day} --config {}", config.display())),
        [("new".to_owned(), "2026-03-03T09:00:00Z".to_owned())]
    );
}

/// A spike in the first hours of a window, and one in the hour that contains the window's start.
#[test]
fn a_spike_at_the_start_of_a_window_equals_that_of_a_longer_scan() {
    let place = Place::new();
    steady(&place);
    let burst = [
        sent("srv-1", "2026-03-02T03:30:00Z", 500 * MEBIBYTE),
        sent("srv-1", "2026-03-02T15:29:00Z", 200 * MEBIBYTE),
        sent("srv-1", "2026-03-02T15:31:00Z", 100 * MEBIBYTE),
    ];
    place.write_rows("DeviceNetworkEvents", "2026-03-02", "burst.parquet", &burst);
    let rows_of = |window: &str| -> Vec<Value> {
        spikes(&place, window);
        let is_later = |row: &Value| row["hour"].as_str() > Some("2026-03-02");
        place.table("egress_spikes").into_iter().filter(is_later).collect()
    };
    let whole = rows_of("");
    assert_eq!(whole.len(), 2, "{whole:#?}");
    assert_eq!(rows_of("--from 2026-03-02 --to 2026-03-03"), whole);
    // The hour has rows on both sides of 15:30, and counts completely.
    assert_eq!(rows_of("--from 2026-03-02T15:30:00Z --to 2026-03-03"), whole[1..]);
    // It has none from 15:40 on: rows before a window are in no result.
    assert!(rows_of("--from 2026-03-02T15:40:00Z --to 2026-03-03").is_empty());
}

#[test]
fn rows_in_another_dates_folder_count_by_their_own_time() {
    let place = Place::new();
    steady(&place);
    // Late rows of the second day lie in the folder of the first, and the other way round.
    let early = [sent("srv-1", "2026-03-02T09:30:00Z", 500 * MEBIBYTE)];
    place.write_rows("DeviceNetworkEvents", "2026-03-01", "early.parquet", &early);
    let late: Vec<_> = hours(1).map(|time| sent("srv-2", &time, 50 * MEBIBYTE)).collect();
    place.write_rows("DeviceNetworkEvents", "2026-03-02", "late.parquet", &late);
    let then = [sent("srv-2", "2026-03-02T00:30:00Z", 80 * MEBIBYTE)];
    place.write_rows("DeviceNetworkEvents", "2026-03-02", "then.parquet", &then);
    let of_second_day = |arguments: &str| -> Vec<(String, String)> {
        let found = spikes(&place, arguments);
        found.into_iter().filter(|(_, hour)| hour.starts_with("2026-03-02")).collect()
    };
    let day = "--from 2026-03-02 --to 2026-03-03";
    assert_eq!(of_second_day(day), [("srv-1".to_owned(), "2026-03-02T09:00:00Z".to_owned())]);
    let config = place.path("slack.toml");
    fs::write(&config, "[tables.DeviceNetworkEvents]\nfolder_slack_days = 1").expect("a file");
    let slack = format!("--config {}", config.display());
    assert_eq!(of_second_day(&format!("{day} {slack}")), of_second_day(&slack));
}

#[test]
fn daily_scans_of_the_demo_find_every_planted_spike() {
    let place = Place::with_demo("--days 7 --rows-per-day 6000 --seed 7 --start 2026-01-05");
    let truth: Value = read_json(&place.lake().join("truth.json"));
    let attacks = truth["attacks"].as_array().expect("attacks");
    let planted: Vec<&Value> =
        attacks.iter().filter(|attack| attack["analysis"] == "egress_spikes").collect();
    assert_eq!(planted.len(), 4);
    let state = place.path("state");
    let mut daily = Vec::new();
    for day in 5..12 {
        let window = format!("--from 2026-01-{day:02} --to 2026-01-{:02}", day + 1);
        let arguments = format!("--only egress_spikes --format json {window} --state {}", state.display());
        let output = hindcast(&format!(
            "scan --lake {} --out {} {arguments}",
            place.lake().display(),
            place.out().display()
        ));
        assert!(output.status.success(), "{}", stderr(&output));
        // The day before has state from the last scan.
        assert!(stdout(&output).contains("1 of 1 units computed"), "{}", stdout(&output));
        daily.extend(place.table("egress_spikes"));
    }
    place.scan_well("--only egress_spikes");
    let mut whole = place.table("egress_spikes");
    for rows in [&mut daily, &mut whole] {
        rows.sort_by_key(|row| row["hour"].as_str().map(str::to_owned));
    }
    assert_eq!(daily, whole);
    for attack in planted {
        let device = &attack["entities"]["device_name"];
        assert!(daily.iter().any(|row| row["device_name"] == *device), "{attack} is not in {daily:#?}");
    }
}

#[test]
fn coverage_lists_the_look_back_and_is_complete_without_it() {
    let place = Place::new();
    steady(&place);
    let config = place.path("day.toml");
    fs::write(&config, "[egress_spikes]\nbaseline = \"preceding_hours\"").expect("a file");
    let look_back = |window: &str| -> Vec<(String, String)> {
        spikes(&place, &format!("{window} --config {}", config.display()));
        let summary = place.summary();
        assert_eq!(summary["coverage"]["complete"], true, "{window}");
        let entries = summary["coverage"]["look_back"].as_array().expect("what was looked back at").clone();
        let text = |entry: &Value, name: &str| entry[name].as_str().expect("a text").to_owned();
        entries.iter().map(|entry| (text(entry, "date"), text(entry, "status"))).collect()
    };
    let of = |date: &str, status: &str| (date.to_owned(), status.to_owned());
    assert_eq!(look_back("--from 2026-03-02 --to 2026-03-03"), [of("2026-03-01", "scanned")]);
    assert_eq!(look_back("--from 2026-03-01 --to 2026-03-02"), [of("2026-02-28", "missing")]);
    assert_eq!(
        look_back("--from 2026-03-02T12:00:00Z --to 2026-03-03"),
        [of("2026-03-01", "scanned"), of("2026-03-02", "scanned")]
    );
    fs::write(place.lake().join("DeviceNetworkEvents/date=2026-03-01/torn.parquet"), "PAR1")
        .expect("written");
    assert_eq!(look_back("--from 2026-03-02 --to 2026-03-03"), [of("2026-03-01", "failed")]);
    let output = place.scan("--only egress_spikes --from 2026-03-02 --to 2026-03-03");
    assert!(stdout(&output).contains("torn.parquet"), "{}", stdout(&output));
    // The notebook's parameters have no look-back.
    spikes(&place, "--preset notebook --from 2026-03-02 --to 2026-03-03");
    assert!(place.summary()["coverage"].get("look_back").is_none());
}

#[test]
fn an_upload_is_a_finding_of_the_day_of_its_connection() {
    let place = Place::new();
    let cells = |time: &str, column: &str, value: &str| {
        let id = ("InitiatingProcessId", json!(7));
        row([("Timestamp", json!(time)), ("DeviceName", json!("ws-1")), id, (column, json!(value))])
    };
    let process = cells("2026-03-01T23:50:00Z", "ProcessCommandLine", "azcopy copy a b");
    place.write_rows("DeviceProcessEvents", "2026-03-01", "a.parquet", &[process]);
    for (date, time) in
        [("2026-03-01", "23:55:00Z"), ("2026-03-02", "00:10:00Z"), ("2026-03-02", "00:20:00Z")]
    {
        let connection = cells(&format!("{date}T{time}"), "RemoteUrl", "x.s3.amazonaws.com");
        let file = format!("{}.parquet", time.replace(':', "-"));
        place.write_rows("DeviceNetworkEvents", date, &file, &[connection]);
    }
    let findings = |window: &str| -> Vec<Value> {
        place.scan_well(&format!("--only cli_storage_uploads {window}"));
        place.findings()
    };
    let whole = findings("");
    let rows: Vec<&Value> = whole.iter().map(|finding| &finding["rows"]).collect();
    assert_eq!(rows, [&json!(1), &json!(2)]);
    let mut daily = findings("--from 2026-03-01 --to 2026-03-02");
    daily.extend(findings("--from 2026-03-02 --to 2026-03-03"));
    assert_eq!(daily, whole);
}

#[test]
fn a_late_file_also_recomputes_windows_that_look_back_at_it() {
    let place = Place::new();
    steady(&place);
    let to_compute = |more: &str| -> usize {
        let (lake, out, state) = (place.lake(), place.path("days"), place.path("state"));
        let places = format!("--lake {} --out {} --state {}", lake.display(), out.display(), state.display());
        let span = "--from 2026-03-01 --to 2026-03-04 --only egress_spikes";
        let output = hindcast(&format!("backfill {places} {span} {more}"));
        assert!(output.status.success(), "{}", stderr(&output));
        stdout(&output).matches("to compute").count()
    };
    to_compute("");
    assert_eq!(to_compute("--dry-run"), 0);
    let late = [sent("srv-1", "2026-03-01T20:30:00Z", 500 * MEBIBYTE)];
    place.write_rows("DeviceNetworkEvents", "2026-03-01", "late.parquet", &late);
    // The baseline of all three days includes that day.
    assert_eq!(to_compute("--dry-run"), 3);
}
