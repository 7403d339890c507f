//! Lakes with several roots: the demo lake divided by rows, by dates and over two stores gives the same results, which say where
//! rows came from.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Output;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};

use crate::object_stores::Store;
use crate::sandbox::{Sandbox, Setup};
use crate::support::{Place, files_below, hindcast, read_json, run, stderr, stdout};

const DEMO: &str = "--days 2 --rows-per-day 3000 --seed 11";

/// Whether a row of a file, of those from a date, is in the second root.
type IsSecond = fn(date: usize, row: usize) -> bool;

/// Divides the tables of `whole` into the lake of a new place and its folder `emea`.
fn divided(whole: &Place, is_second: IsSecond) -> Place {
    let place = Place::new();
    for (relative, path) in files_below(&whole.lake()) {
        let Some((_, rest)) = relative.split_once("/date=") else { continue };
        let day: usize = rest[8..10].parse().expect("a day");
        let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&path).expect("a file"));
        let batches: Vec<RecordBatch> =
            reader.expect("Parquet").build().expect("a reader").map(|rows| rows.expect("rows")).collect();
        for (folder, second) in [("lake", false), ("emea", true)] {
            let mut row = 0;
            let parts = batches.iter().map(|batch| {
                let kept: BooleanArray =
                    (row..row + batch.num_rows()).map(|row| Some(is_second(day, row) == second)).collect();
                row += batch.num_rows();
                filter_record_batch(batch, &kept).expect("some rows")
            });
            let parts: Vec<RecordBatch> = parts.filter(|part| part.num_rows() > 0).collect();
            if !parts.is_empty() {
                write(&place.path(folder).join(&relative), &parts);
            }
        }
    }
    name_root(&place, &place.path("emea").display().to_string(), "");
    place
}

fn write(path: &Path, parts: &[RecordBatch]) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("a date folder");
    let file = File::create(path).expect("a file");
    let mut writer = ArrowWriter::try_new(file, parts[0].schema(), None).expect("a writer");
    parts.iter().for_each(|part| writer.write(part).expect("rows written"));
    writer.close().expect("a footer");
}

/// Names the root `emea` at `url` in the lake's own configuration.
fn name_root(place: &Place, url: &str, more: &str) {
    let text = format!("[[roots]]\nname = \"emea\"\nurl = {url:?}\n{more}");
    fs::write(place.lake().join("hindcast.toml"), text).expect("a configuration");
}

/// Values of a file with one per line, without their roots.
fn without_roots(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).expect("a file");
    let values = text.lines().map(|line| {
        let mut value: Value = serde_json::from_str(line).expect("JSON");
        let fields = value.as_object_mut().expect("an object");
        // OCSF has a place of its own for them.
        fields.remove("roots");
        fields.remove("unmapped");
        value
    });
    values.collect()
}

fn findings_of(out: &Path) -> Vec<Value> {
    let text = fs::read_to_string(out.join("findings.jsonl")).expect("findings");
    text.lines().map(|line| serde_json::from_str(line).expect("a finding")).collect()
}

/// Asserts that the results in `out` are those in `expected`, apart from roots.
fn assert_same(expected: &Path, out: &Path) {
    let tables = |folder: &Path| -> Vec<(String, Vec<u8>)> {
        let files = files_below(&folder.join("tables")).into_iter();
        files.map(|(name, path)| (name, fs::read(path).expect("a table"))).collect()
    };
    let (one, other) = (tables(expected), tables(out));
    assert_eq!(one.len(), other.len());
    for ((name, bytes), (other_name, other_bytes)) in one.iter().zip(&other) {
        assert!(name == other_name && bytes == other_bytes, "{name} differs");
    }
    for file in ["findings.jsonl", "incidents.jsonl", "entities.jsonl"] {
        assert_eq!(without_roots(&expected.join(file)), without_roots(&out.join(file)), "{file}");
    }
    let (one, other): (Value, Value) =
        (read_json(&expected.join("summary.json")), read_json(&out.join("summary.json")));
    for field in ["window", "suites", "risk", "findings", "incidents", "hubs", "analyses", "disabled"] {
        assert_eq!(one[field], other[field], "{field}");
    }
    assert!(one.get("roots").is_none());
    let rows = |summary: &Value| -> u64 {
        let entries = summary["coverage"]["tables"].as_array().expect("entries");
        entries.iter().filter_map(|entry| entry["rows"].as_u64()).sum()
    };
    assert_eq!(rows(&one), rows(&other));
    let of_roots: u64 =
        other["roots"].as_array().expect("roots").iter().filter_map(|root| root["rows"].as_u64()).sum();
    assert_eq!(of_roots, rows(&other));
}

fn scan(lake: &str, out: &Path, more: &[&str], environment: &[(String, String)]) -> Output {
    std::process::Command::new(env!("CARGO_BIN_EXE_hindcast"))
        .args(["scan", "--lake", lake, "--out", &out.display().to_string(), "--no-cache"])
        .args(["--format", "parquet,csv,html,ocsf,asim,timesketch,stix"])
        .args(more)
        .envs(environment.iter().cloned())
        .output()
        .expect("the binary runs")
}

/// The whole lake with its results.
fn whole() -> (Place, PathBuf) {
    let whole = Place::with_demo(DEMO);
    let output = scan(&whole.lake().display().to_string(), &whole.out(), &[], &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    let out = whole.out();
    (whole, out)
}

#[test]
fn rows_divided_over_two_roots_give_the_same_results_and_say_from_which() {
    let (whole, expected) = whole();
    let by_row: IsSecond = |_, row| row % 2 == 1;
    let by_date: IsSecond = |date, _| date % 2 == 1;
    for is_second in [by_row, by_date] {
        let place = divided(&whole, is_second);
        let output = scan(&place.lake().display().to_string(), &place.out(), &[], &[]);
        assert!(output.status.success(), "{}", stderr(&output));
        assert_same(&expected, &place.out());
        assert!(stdout(&output).contains("root          emea: "), "{}", stdout(&output));
        let page = fs::read_to_string(place.out().join("report.html")).expect("a report");
        assert!(page.contains("root emea") && page.contains("<h3>Roots</h3>"));
        let csv = fs::read_to_string(place.out().join("findings.csv")).expect("findings");
        assert!(csv.lines().next().is_some_and(|header| header.contains("roots")), "{csv}");
        let whole_csv = fs::read_to_string(expected.join("findings.csv")).expect("findings");
        assert!(!whole_csv.lines().next().expect("a header").contains("roots"));
    }
}

#[test]
fn a_finding_names_the_roots_that_hold_its_rows() {
    let (whole, _) = whole();
    let by_date: IsSecond = |date, _| date % 2 == 1;
    let place = divided(&whole, by_date);
    place.scan_well("");
    let summary = place.summary();
    let dates = |name: &str| {
        let roots = summary["roots"].as_array().expect("roots");
        let root = roots.iter().find(|root| root["name"] == name).expect("the root");
        (root["first_date"].clone(), root["last_date"].clone())
    };
    let (main, emea) = (dates("main"), dates("emea"));
    assert!(main.0 == main.1 && emea.0 == emea.1 && main.0 != emea.0, "{main:?} {emea:?}");
    let mut named = [0, 0];
    for finding in findings_of(&place.out()) {
        // It sums rows of several addresses, and names one of them: only rows that name that one say where it came from.
        if finding["analysis"] == "rare_combinations" {
            continue;
        }
        let day = |field: &str| finding[field].as_str().map(|time| time[..10].to_owned());
        let roots = &finding["roots"];
        if let (Some(first), Some(last)) = (day("first_seen"), day("last_seen")) {
            let expected = match (json!(first) == main.0, json!(last) == main.0) {
                (true, true) => json!(["main"]),
                (false, false) => json!(["emea"]),
                _ => json!(["emea", "main"]),
            };
            assert_eq!(roots, &expected, "{finding}");
            named[usize::from(roots.as_array().is_some_and(|roots| roots.len() > 1))] += 1;
        }
    }
    assert!(named.iter().all(|count| *count > 0), "{named:?}");
    let incidents = fs::read_to_string(place.out().join("incidents.jsonl")).expect("incidents");
    assert!(incidents.lines().all(|line| line.contains("\"roots\":[")), "{incidents}");
}

#[test]
fn a_root_in_a_store_and_one_on_disk_are_one_lake() {
    let Some(store) = Store::start() else { return };
    let (whole, expected) = whole();
    let place = divided(&whole, |_, row| row % 3 == 1);
    store.upload(&place.path("emea"));
    name_root(&place, "s3://telemetry/soc/lake", "");
    let output = scan(&place.lake().display().to_string(), &place.out(), &[], &store.environment());
    assert!(output.status.success(), "{}", stderr(&output));
    assert_same(&expected, &place.out());
    // The same two places, the other way round.
    fs::remove_file(place.lake().join("hindcast.toml")).expect("removed");
    let config = place.path("roots.toml");
    let text = format!("[[roots]]\nname = \"disk\"\nurl = {:?}\n", place.lake().display().to_string());
    fs::write(&config, text).expect("a configuration");
    let out = place.path("turned");
    let config = config.display().to_string();
    let output = scan("s3://telemetry/soc/lake", &out, &["--config", &config], &store.environment());
    assert!(output.status.success(), "{}", stderr(&output));
    assert_same(&expected, &out);
}

#[test]
fn a_job_reads_the_roots_that_its_coordinator_lists_and_no_others() {
    let whole = Place::with_demo(DEMO);
    whole.scan_well("");
    let place = divided(&whole, |_, row| row % 2 == 1);
    let lakes = place.path("lakes");
    fs::create_dir_all(&lakes).expect("a folder");
    for name in ["lake", "emea"] {
        fs::rename(place.path(name), lakes.join(name)).expect("moved");
    }
    fs::create_dir_all(place.lake()).expect("a folder");
    let lake = lakes.join("lake");
    let config = |url: &Path| {
        let text = format!("[[roots]]\nname = \"emea\"\nurl = {:?}\n", url.display().to_string());
        fs::write(lake.join("hindcast.toml"), text).expect("a configuration");
    };
    config(&lakes.join("emea"));
    let setup = Setup { lake: lakes.display().to_string(), ..Setup::local(&place) };
    let sandbox = Sandbox::start(&place, setup, 2);
    let scan = |out: &Path| {
        let (lake, out) = (lake.display(), out.display());
        sandbox.hindcast(&format!("scan --lake {lake} --out {out} --format parquet,json --quiet"))
    };
    let output = scan(&place.out());
    assert!(output.status.success(), "{}\n{}", stderr(&output), sandbox.logs());
    assert_same(&whole.out(), &place.out());
    assert!(findings_of(&place.out()).iter().all(|finding| finding["roots"].as_array().is_some()));
    config(&whole.lake());
    let output = scan(&place.path("other"));
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("root emea: ") && stderr(&output).contains("not among the lakes"));
}

#[test]
fn a_root_that_is_away_ends_the_scan_unless_it_is_optional() {
    let place = Place::with_demo("--days 1 --rows-per-day 500 --seed 12");
    let gone = place.path("gone").display().to_string();
    name_root(&place, &gone, "");
    let output = place.scan("");
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("root emea: there is no lake at"), "{}", stderr(&output));
    name_root(&place, &gone, "optional = true\n");
    let output = place.scan("");
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    let summary = place.summary();
    let gap = &summary["coverage"]["gaps"][0];
    assert_eq!((&gap["kind"], &gap["table"]), (&json!("root"), &json!("emea")));
    assert!(
        stdout(&output).contains("NOT READ emea: nothing of this root was looked at"),
        "{}",
        stdout(&output)
    );
    assert_eq!(place.scan("--allow-partial").status.code(), Some(0));
    for (url, hint) in [
        (place.lake().display().to_string(), "is the same place as"),
        (place.lake().join("AuditLogs").display().to_string(), "lies in"),
        (place.path("").display().to_string(), "contains"),
    ] {
        name_root(&place, &url, "");
        let output = place.scan("");
        assert_eq!(output.status.code(), Some(2), "{url}: {}", stderr(&output));
        assert!(stderr(&output).contains(hint), "{url}: {}", stderr(&output));
    }
}

#[test]
fn tables_are_written_in_one_root_only() {
    let whole = Place::with_demo("--days 1 --rows-per-day 500 --seed 13");
    let place = divided(&whole, |_, row| row % 2 == 1);
    let lake = place.lake().display().to_string();
    let tables = |arguments: &[&str]| run(&[&["tables", "--lake", lake.as_str()], arguments].concat());
    let listed: Vec<Value> = serde_json::from_slice(&tables(&["--json"]).stdout).expect("JSON");
    let names: Vec<&str> = listed.iter().filter_map(|entry| entry["root"].as_str()).collect();
    assert!(names.contains(&"main") && names.contains(&"emea") && names.len() == listed.len());
    let one: Vec<Value> =
        serde_json::from_slice(&tables(&["--json", "--root", "emea"]).stdout).expect("JSON");
    assert!(!one.is_empty() && one.iter().all(|entry| entry["root"].is_null()));

    let output = tables(&["--root", "amer", "show", "AuditLogs"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("it has main, emea"), "{}", stderr(&output));
    let output = tables(&["--root", "emea", "save", "Emea_SPRK"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(place.path("emea").join("Emea_SPRK").is_dir() && !place.lake().join("Emea_SPRK").exists());
    let output = tables(&["delete", "AuditLogs", "--yes"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(!place.lake().join("AuditLogs").exists() && place.path("emea").join("AuditLogs").is_dir());
    let output = tables(&["--root", "emea", "delete", "AuditLogs", "--yes"]);
    assert!(output.status.success() && !place.path("emea").join("AuditLogs").exists());
    let output = hindcast(&format!("tables --lake {lake} --root emea compact CommonSecurityLog"));
    assert!(output.status.success(), "{}", stderr(&output));
}
