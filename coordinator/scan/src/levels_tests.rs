//! Scans with levels give what scans without them give: also if levels are damaged, missing or half written, and if dates change.

use std::fs;
use std::path::PathBuf;

use super::super::run::run_plan;
use super::super::test_lake::{TestLake, between};
use super::super::{ScanResult, Summary};

const ANALYSES: [&str; 4] = ["beaconing", "top_talkers", "attack_timeline", "rare_destinations"];
const VENDOR: &str = "Palo Alto Networks";
/// From a Monday to the next one, and the day after: the week is closed.
const WINDOW: (&str, &str) = ("2026-01-05", "2026-01-14");

/// A lake of nine dates: some pairs are in all of them, others in one.
fn lake() -> TestLake {
    let lake = TestLake::new();
    for day in 5..14 {
        write_date(&lake, day, &format!("10.0.1.{day}"));
    }
    lake
}

fn write_date(lake: &TestLake, day: u32, own: &str) {
    let sessions = [("10", "10.0.0.1"), ("11", "10.0.0.1"), ("12", "10.0.0.2"), ("13", own)];
    let sessions = sessions.map(|(hour, source)| (hour, VENDOR, source, "203.0.113.1"));
    lake.write_sessions(&format!("2026-01-{day:02}"), &sessions);
}

/// Its tables and its summary, without the list of replaced state, which is given apart.
fn outcome(result: &ScanResult) -> (String, String, Vec<String>) {
    let tables = result.tables.iter().map(|table| {
        let batches = table.batches().unwrap();
        format!("{}\n{}", table.name, arrow::util::pretty::pretty_format_batches(&batches).unwrap())
    });
    let tables: Vec<String> = tables.collect();
    let mut summary: Summary =
        serde_json::from_str(&serde_json::to_string(&result.report.summary).unwrap()).unwrap();
    let replaced = std::mem::take(&mut summary.coverage.replaced_state);
    let replaced = replaced.into_iter().map(|fault| fault.file).collect();
    (tables.join("\n"), serde_json::to_string(&summary).unwrap(), replaced)
}

async fn scan(lake: &TestLake, window: (&str, &str), use_cache: bool) -> (String, String, Vec<String>) {
    let config = lake.config("");
    let plan = lake.plan(&config, &ANALYSES, between(window.0, window.1)).await.unwrap();
    let state = lake.state();
    let mut options = lake.options(&config, &state);
    options.use_cache = use_cache;
    outcome(&run_plan(&plan, &options, &()).await.unwrap())
}

/// The files of levels of external pairs, which every scan reads, those of manifests first.
fn levels(lake: &TestLake) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![lake.state_path().join("levels/CommonSecurityLog/external_pairs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() { folders.push(entry) } else { files.push(entry) }
        }
    }
    files.sort_by_key(|file| (file.extension().is_none_or(|ending| ending != "json"), file.clone()));
    files
}

#[tokio::test]
async fn a_closed_week_is_combined_once_and_changes_nothing() {
    let lake = lake();
    let (tables, summary, _) = scan(&lake, WINDOW, false).await;
    assert!(levels(&lake).is_empty(), "no cache, no levels");
    let first = scan(&lake, WINDOW, true).await;
    assert_eq!((&first.0, &first.1, first.2.len()), (&tables, &summary, 0));
    let made = levels(&lake);
    assert!(
        made.iter().any(|file| file.display().to_string().contains("external_pairs/2026-01-05-7d/")),
        "{made:?}"
    );
    let times = |files: &[PathBuf]| -> Vec<_> {
        files.iter().map(|file| fs::metadata(file).unwrap().modified().unwrap()).collect()
    };
    let written = times(&made);
    let second = scan(&lake, WINDOW, true).await;
    assert_eq!((&second.0, &second.1, second.2.len()), (&tables, &summary, 0));
    assert_eq!((levels(&lake), times(&made)), (made, written), "nothing is made again");
    // The files of units in the level are not read any more.
    let units =
        fs::read_dir(lake.state_path().join("CommonSecurityLog/date=2026-01-06/external_pairs")).unwrap();
    for unit in units
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "parquet"))
    {
        fs::write(unit, "nothing").unwrap();
    }
    let third = scan(&lake, WINDOW, true).await;
    assert_eq!((&third.0, &third.1), (&tables, &summary));
}

#[tokio::test]
async fn damaged_and_missing_levels_cost_no_result_and_are_made_again() {
    let lake = lake();
    let (tables, summary, _) = scan(&lake, WINDOW, true).await;
    let made = levels(&lake);
    assert!(made.len() >= 2, "{made:?}");
    for (place, file) in made.iter().enumerate() {
        let whole = fs::read(file).unwrap();
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 4;
        for damaged in [Some(flipped), Some(whole[..whole.len() / 3].to_vec()), Some(Vec::new()), None] {
            match &damaged {
                Some(bytes) => fs::write(file, bytes).unwrap(),
                None => fs::remove_file(file).unwrap(),
            }
            let found = scan(&lake, WINDOW, true).await;
            assert_eq!((&found.0, &found.1), (&tables, &summary), "{file:?}");
            let is_manifest = file.extension().is_some_and(|ending| ending == "json");
            // A manifest that is gone is as one that never was.
            let is_named = found.2.iter().any(|name| file.ends_with(name) && name.starts_with("levels/"));
            assert_eq!(is_named, damaged.is_some() || !is_manifest, "{place}: {file:?} in {:?}", found.2);
            let again = scan(&lake, WINDOW, true).await;
            assert_eq!((&again.0, &again.1, again.2.len()), (&tables, &summary, 0));
            assert_eq!(fs::read(file).unwrap(), whole, "{file:?} is made again");
        }
    }
    // Parts without a manifest, as a process that was killed leaves them.
    made.iter()
        .filter(|file| file.extension().is_some_and(|end| end == "json"))
        .for_each(|file| fs::remove_file(file).unwrap());
    let found = scan(&lake, WINDOW, true).await;
    assert_eq!((&found.0, &found.1, levels(&lake)), (&tables, &summary, made));
}

#[tokio::test]
async fn late_rows_of_a_closed_week_are_in_the_next_result() {
    let lake = lake();
    scan(&lake, WINDOW, true).await;
    let before = levels(&lake).len();
    write_date(&lake, 7, "10.0.9.9");
    let late = scan(&lake, WINDOW, true).await;
    assert!(late.0.contains("10.0.9.9") && levels(&lake).len() > before);
    let fresh = scan(&lake, WINDOW, false).await;
    assert_eq!((late.0, late.1), (fresh.0, fresh.1));
}

#[tokio::test]
async fn a_moved_window_gives_what_it_gives_without_levels() {
    let lake = lake();
    scan(&lake, WINDOW, true).await;
    for window in
        [("2026-01-06", "2026-01-14"), ("2026-01-05", "2026-01-12"), ("2026-01-05T06:00:00Z", "2026-01-14")]
    {
        let with = scan(&lake, window, true).await;
        let without = scan(&lake, window, false).await;
        assert_eq!((with.0, with.1), (without.0, without.1), "{window:?}");
    }
}
