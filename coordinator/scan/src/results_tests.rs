//! Scans that use stored rows give what scans without them give: the same again, moved, with late rows, other parameters and damage.

use std::fs;
use std::path::PathBuf;

use super::super::run::run_plan;
use super::super::test_lake::{TestLake, between};
use super::super::{ScanResult, Summary};

const ANALYSES: [&str; 4] = ["beaconing", "beacon_scores", "data_exfiltration", "top_talkers"];
const VENDOR: &str = "Palo Alto Networks";

/// A lake of twelve dates: a source that is in all of them at one hour, and pairs of two dates.
fn lake() -> TestLake {
    let lake = TestLake::new();
    (5..17).for_each(|day| write_date(&lake, day, "10.0.7"));
    lake
}

fn write_date(lake: &TestLake, day: u32, network: &str) {
    let [own, other] = [day, day / 2].map(|host| format!("{network}.{host}"));
    let sessions = [
        ("10", "10.0.0.1", "203.0.113.1"),
        ("11", "10.0.0.1", "203.0.113.1"),
        ("12", own.as_str(), "203.0.113.2"),
        ("13", other.as_str(), "::ffff:203.0.113.1"),
        ("14", other.as_str(), "10.0.0.9"),
    ];
    let sessions = sessions.map(|(hour, source, destination)| (hour, VENDOR, source, destination));
    lake.write_sessions(&format!("2026-01-{day:02}"), &sessions);
}

/// Its tables and its summary.
fn outcome(result: &ScanResult) -> (String, String) {
    let tables = result.tables.iter().map(|table| {
        let batches = table.batches().unwrap();
        format!("{}\n{}", table.name, arrow::util::pretty::pretty_format_batches(&batches).unwrap())
    });
    let tables: Vec<String> = tables.collect();
    let mut summary: Summary =
        serde_json::from_str(&serde_json::to_string(&result.report.summary).unwrap()).unwrap();
    summary.coverage.replaced_state.clear();
    (tables.join("\n"), serde_json::to_string(&summary).unwrap())
}

async fn scan(lake: &TestLake, parameters: &str, window: (&str, &str), use_cache: bool) -> (String, String) {
    let config = lake.config(parameters);
    let plan = lake.plan(&config, &ANALYSES, between(window.0, window.1)).await.unwrap();
    let state = lake.state();
    let mut options = lake.options(&config, &state);
    options.use_cache = use_cache;
    outcome(&run_plan(&plan, &options, &()).await.unwrap())
}

async fn assert_same(lake: &TestLake, parameters: &str, window: (&str, &str)) {
    let with = scan(lake, parameters, window, true).await;
    let without = scan(lake, parameters, window, false).await;
    assert_eq!(with, without, "{parameters} {window:?}");
}

/// The files below the folder of stored rows.
fn stored(lake: &TestLake) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![lake.state_path().join("results")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() { folders.push(entry) } else { files.push(entry) }
        }
    }
    files.sort();
    files
}

fn made(lake: &TestLake) -> usize {
    stored(lake).iter().filter(|file| file.parent().is_some_and(|folder| folder.ends_with("made"))).count()
}

/// All state of units and levels is unreadable: what is read must be stored rows.
fn break_state(lake: &TestLake) {
    let mut folders = vec![lake.state_path()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                if !entry.ends_with("results") {
                    folders.push(entry);
                }
            } else if entry.extension().is_some_and(|ending| ending == "parquet")
                && entry.display().to_string().contains("_pairs")
            {
                fs::write(entry, "nothing").unwrap();
            }
        }
    }
}

const WINDOW: (&str, &str) = ("2026-01-05", "2026-01-15");
const MOVED: (&str, &str) = ("2026-01-06", "2026-01-16");

#[tokio::test]
async fn the_same_scan_reads_stored_rows() {
    let lake = lake();
    let first = scan(&lake, "", WINDOW, true).await;
    assert_eq!(first, scan(&lake, "", WINDOW, false).await);
    // One group reads external pairs, another also internal ones.
    assert_eq!(made(&lake), 2);
    let files = stored(&lake);
    assert_eq!(first, scan(&lake, "", WINDOW, true).await);
    assert_eq!(stored(&lake), files);
}

#[tokio::test]
async fn a_moved_window_gives_the_same_as_without_stored_rows() {
    let lake = lake();
    scan(&lake, "", WINDOW, true).await;
    assert_same(&lake, "", MOVED).await;
    assert_eq!(made(&lake), 4, "a moved window is stored too");
    assert_same(&lake, "", ("2026-01-07", "2026-01-17")).await;
    assert_same(&lake, "", ("2026-01-06T12:00:00Z", "2026-01-16T12:00:00Z")).await;
    assert_same(&lake, "", ("2026-01-05", "2026-01-17")).await;
    // A shorter one shares too little.
    assert_same(&lake, "", ("2026-01-11", "2026-01-16")).await;
    assert!(made(&lake) <= 2 * KEPT, "{}", made(&lake));
}

#[tokio::test]
async fn late_rows_and_other_parameters_are_not_missed() {
    let lake = lake();
    scan(&lake, "", WINDOW, true).await;
    write_date(&lake, 9, "10.0.8");
    assert_same(&lake, "", WINDOW).await;
    assert_same(&lake, "", MOVED).await;
    assert_same(&lake, "[beaconing]\nmin_intervals = 2\nmax_jitter = 9.0", WINDOW).await;
    assert_same(&lake, "[top_talkers]\nlimit = 2", WINDOW).await;
    assert_same(&lake, "[top_talkers]\nlimit = 2", MOVED).await;
}

#[tokio::test]
async fn damaged_rows_cost_no_result() {
    let lake = lake();
    let clean = scan(&lake, "", WINDOW, true).await;
    let moved = scan(&lake, "", MOVED, false).await;
    for file in stored(&lake) {
        let whole = fs::read(&file).unwrap();
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 1;
        for damaged in [Some(flipped), Some(whole[..whole.len() / 2].to_vec()), None] {
            match &damaged {
                Some(bytes) => fs::write(&file, bytes).unwrap(),
                None => fs::remove_file(&file).unwrap(),
            }
            assert_eq!(scan(&lake, "", WINDOW, true).await, clean, "{file:?}");
            fs::write(&file, &whole).unwrap();
        }
    }
    // The rows of the earlier window are damaged while the next one uses them.
    for file in stored(&lake).into_iter().step_by(3) {
        let whole = fs::read(&file).unwrap();
        fs::write(&file, "nothing").unwrap();
        assert_eq!(scan(&lake, "", MOVED, true).await, moved, "{file:?}");
        fs::write(&file, &whole).unwrap();
    }
}

#[tokio::test]
async fn stored_rows_need_no_state() {
    let lake = lake();
    let config = lake.config("");
    // Without findings nothing asks how common an address is.
    let plan = lake.plan(&config, &["top_talkers"], between(WINDOW.0, WINDOW.1)).await.unwrap();
    let state = lake.state();
    let options = lake.options(&config, &state);
    let first = outcome(&run_plan(&plan, &options, &()).await.unwrap());
    break_state(&lake);
    assert_eq!(outcome(&run_plan(&plan, &options, &()).await.unwrap()), first);
}

const KEPT: usize = super::KEPT_RESULTS;
