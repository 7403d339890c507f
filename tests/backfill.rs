//! Backfills: each row equals the scan of its window, locally and on a cluster; finished windows are not computed again.

use std::fs::{self, File};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};

use crate::page_client::get;
use crate::same_bytes::{assert_same, files_of};
use crate::sandbox::{Sandbox, Setup, free_port};
use crate::support::{Place, hindcast, read_json, stderr, stdout};

const DEMO: &str = "--days 2 --rows-per-day 4000 --seed 3";
const SPAN: &str = "--from 2026-01-05 --to 2026-01-07";

fn arguments(place: &Place, out: &str, more: &str) -> String {
    format!("backfill --lake {} --out {} {more}", place.lake().display(), place.path(out).display())
}

/// Runs a backfill into `out`, which must succeed, and returns its output.
fn backfill(place: &Place, out: &str, more: &str) -> String {
    let output = hindcast(&arguments(place, out, more));
    assert!(output.status.success(), "{}", stderr(&output));
    stdout(&output)
}

fn rows(place: &Place, out: &str) -> Vec<Value> {
    let text = fs::read_to_string(place.path(out).join("backfill.jsonl")).expect("backfill.jsonl");
    text.lines().map(|line| serde_json::from_str(line).expect("a row")).collect()
}

/// Compares a row with a scan of its window.
fn assert_row_is_its_scan(place: &Place, row: &Value) {
    let (from, to) = (row["from"].as_str().expect("from"), row["to"].as_str().expect("to"));
    place.scan_well(&format!("--from {from} --to {to}"));
    let summary = place.summary();
    assert_eq!((&row["from"], &row["to"]), (&summary["window"]["from"], &summary["window"]["to"]));
    for part in ["suites", "risk", "incidents"] {
        assert_eq!(row[part], summary[part], "{part} of {from}");
    }
    assert_eq!(row["complete"], summary["coverage"]["complete"]);
    let findings = place.findings();
    for severity in ["critical", "high", "medium", "low"] {
        let count = findings.iter().filter(|finding| finding["severity"] == severity).count();
        assert_eq!(row["findings"][severity], json!(count), "{severity} of {from}");
    }
    let tables = summary["coverage"]["tables"].as_array().expect("coverage");
    let scanned: u64 = tables.iter().filter_map(|entry| entry["rows"].as_u64()).sum();
    assert_eq!(row["rows"], json!(scanned));
}

#[test]
fn each_row_is_the_scan_of_its_window() {
    let place = Place::with_demo(DEMO);
    let printed = backfill(&place, "days", &format!("--no-cache {SPAN}"));
    assert!(printed.contains("2 of 2 windows computed"), "{printed}");
    let days = rows(&place, "days");
    assert_eq!(days.len(), 2);
    assert!(days.iter().any(|row| row["risk"]["score"].as_u64() > Some(0)));
    days.iter().for_each(|row| assert_row_is_its_scan(&place, row));

    // Windows that start or end within dates, and one after all data.
    let odd = "--no-cache --from 2026-01-05T07:30:00Z --to 2026-01-09 --window 20h --step 31h";
    backfill(&place, "odd", odd);
    let cut = rows(&place, "odd");
    assert_eq!(cut.len(), 3);
    assert_eq!(cut[1]["from"], "2026-01-06T14:30:00Z");
    assert_row_is_its_scan(&place, &cut[0]);
    let last = &cut[2];
    assert_eq!((&last["risk"], &last["complete"]), (&Value::Null, &json!(true)));
    assert!(last["reason"].as_str().is_some_and(|reason| reason.contains("no file")));
    assert_eq!(read_json::<Value>(&place.path("odd/summary.json"))["windows_without_data"], 1);
}

#[test]
fn parquet_has_the_same_rows_and_the_chart_is_complete() {
    let place = Place::with_demo("--days 1 --rows-per-day 2000 --seed 3");
    let printed =
        backfill(&place, "out", "--no-cache --from 2026-01-05 --to 2026-01-06 --window 12h --step 6h");
    assert!(printed.contains("3 of 3 windows computed"), "{printed}");
    let file = File::open(place.path("out/backfill.parquet")).expect("backfill.parquet");
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("Parquet").build().expect("a reader");
    let batches: Vec<_> = reader.map(|batch| batch.expect("rows")).collect();
    let names: Vec<String> = batches[0].schema().fields().iter().map(|field| field.name().clone()).collect();
    for name in
        ["from", "to", "firewall_score", "firewall_level", "risk", "risk_level", "findings_high", "complete"]
    {
        assert!(names.iter().any(|known| known == name), "{name} in {names:?}");
    }
    assert_eq!(batches.iter().map(|batch| batch.num_rows()).sum::<usize>(), rows(&place, "out").len());
    let page = fs::read_to_string(place.path("out/backfill.html")).expect("backfill.html");
    assert!(page.contains("<svg") && page.trim_end().ends_with("</html>"));
    assert!(!page.contains("http:") && !page.contains("https:") && !page.contains("<script"));
}

#[test]
fn a_killed_backfill_resumes_and_a_late_file_recomputes_its_windows() {
    let place = Place::with_demo(DEMO);
    let state = place.path("state");
    let windows = format!("{SPAN} --window 6h --step 2h --suite exfiltration");
    let with_state = format!("{windows} --state {}", state.display());
    let mut killed = Command::new(env!("CARGO_BIN_EXE_hindcast"))
        .args(arguments(&place, "out", &with_state).split_whitespace())
        .stdout(Stdio::null())
        .spawn()
        .expect("the binary runs");
    let row_count = || {
        let rows =
            fs::read_dir(state.join("backfill")).into_iter().flatten().map(|row| row.expect("an entry"));
        // A row has another name until it is complete.
        rows.filter(|row| row.path().extension().is_some_and(|extension| extension == "json")).count()
    };
    let start = Instant::now();
    while row_count() < 3 {
        assert!(start.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(5));
    }
    killed.kill().expect("killed");
    killed.wait().expect("ended");
    let done = row_count();
    assert!(done < 22 && !place.path("out").exists(), "{done} windows were done");
    let computed = |printed: &str| -> usize {
        let line = printed.lines().find(|line| line.contains("windows computed")).expect("a line");
        line.split(' ').next().and_then(|count| count.parse().ok()).expect("a count")
    };
    let left = computed(&backfill(&place, "out", &with_state));
    assert_eq!(done + left, 22, "{done} done, then {left} computed");
    assert_eq!(computed(&backfill(&place, "again", &with_state)), 0);
    backfill(&place, "fresh", &format!("{windows} --no-cache --threads 1"));
    for out in ["out", "again"] {
        assert_same(&files_of(&place.path("fresh")), &files_of(&place.path(out)), out);
    }

    // Other parameters give other rows; a late file changes the windows of its date.
    let to_compute = |more: &str| {
        backfill(&place, "out", &format!("{with_state} --dry-run {more}")).matches("to compute").count()
    };
    assert_eq!((to_compute(""), to_compute("--preset notebook")), (0, 22));
    let folder = place.lake().join("DeviceFileEvents/date=2026-01-06");
    let file = fs::read_dir(&folder).expect("files").next().expect("a file").expect("an entry").path();
    fs::copy(file, folder.join("late.parquet")).expect("copied");
    assert_eq!(to_compute(""), 12);
    assert_eq!(computed(&backfill(&place, "out", &with_state)), 12);
}

#[test]
fn windows_share_the_state_of_whole_days() {
    let place = Place::with_demo(DEMO);
    let state = place.path("state");
    let cheap = format!("{SPAN} --suite exfiltration --state {}", state.display());
    assert!(backfill(&place, "days", &cheap).contains("2 of 2 windows computed"));
    let of_state = |table: &str| {
        let dates = fs::read_dir(state.join(table)).expect("state").count();
        (dates, files_of(&state.join(table)).keys().filter(|name| name.ends_with(".json")).count())
    };
    let (dates, manifests) = of_state("DeviceFileEvents");
    assert_eq!((dates, manifests % 2), (2, 0), "one manifest per date and rollup");
    let printed = backfill(&place, "both", &format!("{cheap} --window 48h --step 24h"));
    assert!(printed.contains("1 of 1 windows computed"), "{printed}");
    assert_eq!(of_state("DeviceFileEvents"), (dates, manifests), "the days already have state");
}

#[test]
fn exit_codes_are_those_of_scans() {
    let place = Place::with_demo("--days 2 --rows-per-day 2000 --seed 3");
    let run = |more: &str| -> Output { hindcast(&arguments(&place, "out", &format!("--no-cache {more}"))) };
    let span = "--from 2026-01-05 --to 2026-01-07";
    assert_eq!(run(&format!("{span} --fail-on low --quiet")).status.code(), Some(4));
    let wrong = [
        ("--from 2026-01-05 --to 2026-01-05T12:00:00Z", "no window of 24h fits"),
        ("--from 2026-01-07 --to 2026-01-05", "the window is empty"),
        ("--from 2026-01-05 --to 2026-01-07 --step 0h", "must be positive"),
        ("--from 2026-01-05 --to 2026-01-07 --only beconing", "did you mean beaconing"),
        ("--from 2026-01-05 --to 2026-01-07 --coordinator 127.0.0.1:1", "remove --no-cache"),
    ];
    for (arguments, message) in wrong {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments}: {}", stderr(&output));
        assert!(stderr(&output).contains(message), "{arguments}: {}", stderr(&output));
    }
    fs::write(place.lake().join("DeviceFileEvents/date=2026-01-06/torn.parquet"), "PAR1").expect("written");
    let output = run(&format!("{span} --json"));
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    let summary: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&summary["complete"], &summary["windows_incomplete"]), (&json!(false), &json!(1)));
    let rows = rows(&place, "out");
    assert_eq!((&rows[0]["complete"], &rows[1]["complete"]), (&json!(true), &json!(false)));
    assert!(rows[1]["reason"].as_str().is_some_and(|reason| reason.contains("torn.parquet")));
    assert_eq!(run(&format!("{span} --allow-partial --quiet")).status.code(), Some(0));
}

#[test]
fn a_cluster_gives_the_same_rows() {
    let place = Place::with_demo(DEMO);
    backfill(&place, "here", &format!("--no-cache {SPAN} --window 24h --step 24h"));
    let web = free_port();
    let setup = Setup { config: format!("web = \"127.0.0.1:{web}\"\n"), ..Setup::local(&place) };
    let mut sandbox = Sandbox::start(&place, setup, 2);
    let there = |sandbox: &Sandbox, out: &str| {
        let output = sandbox.hindcast(&arguments(&place, out, &format!("{SPAN} --window 24h --step 24h")));
        assert!(output.status.success(), "{}\n{}", stderr(&output), sandbox.logs());
        stdout(&output)
    };
    let printed = there(&sandbox, "there");
    assert!(printed.contains("2 of 2 windows computed"), "{printed}");
    assert_same(&files_of(&place.path("here")), &files_of(&place.path("there")), "locally and on a cluster");
    assert_pages_show_the_rows(&place, web, &sandbox);
    // Another coordinator over the same state finds the rows.
    sandbox.kill_coordinator();
    sandbox.start_coordinator();
    sandbox.wait_until_ready();
    let printed = there(&sandbox, "again");
    assert!(printed.contains("0 of 2 windows computed"), "{printed}");
    assert_same(
        &files_of(&place.path("here")),
        &files_of(&place.path("again")),
        "local and cached on the cluster",
    );
}

/// Checks the page of each window's job, and that no job is shown as a scan with results.
fn assert_pages_show_the_rows(place: &Place, web: u16, sandbox: &Sandbox) {
    let listed = stdout(&sandbox.hindcast("jobs list --json"));
    let jobs: Vec<Value> = serde_json::from_str(&listed).expect("jobs");
    let pages =
        jobs.iter().map(|job| get(web, &format!("/jobs/{}", job["id"].as_str().expect("an id"))).body);
    let pages: Vec<String> = pages.collect();
    for row in rows(place, "there") {
        let risk = format!("\">{}</span> of 100", row["risk"]["score"]);
        let from = row["from"].as_str().expect("from");
        let day = from.split('T').next().expect("a day");
        let of_day: Vec<&String> =
            pages.iter().filter(|page| page.contains(&format!("note\"><time>{day}"))).collect();
        let [page] = of_day[..] else { panic!("{} pages of {day}: {pages:?}", of_day.len()) };
        assert!(page.contains(&risk) && page.contains("Computed by this job"), "{page}");
        let form =
            page.split("href=\"/submit?").nth(1).and_then(|rest| rest.split('"').next()).expect("a link");
        let filled = get(web, &format!("/submit?{}", form.replace("&#38;", "&"))).body;
        assert!(filled.contains(&format!("name=\"from\" value=\"{from}\"")), "{filled}");
    }
    assert!(get(web, "/").body.contains("; of a backfill"));
    let id = jobs[0]["id"].as_str().expect("an id");
    assert!(!get(web, "/compare").body.contains(id));
    assert_eq!(get(web, &format!("/jobs/{id}/findings")).status, 404);
}
