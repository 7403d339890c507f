//! Jobs of a cluster end whatever fails, leave no state behind, and are listed without data that only their run needs.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::same_bytes::{assert_same, files_of};
use crate::sandbox::{Sandbox, Setup};
use crate::support::{Place, stderr, stdout};

const DEMO: &str = "--days 1 --rows-per-day 2000 --seed 3 --start 2026-01-05";

/// The id of the running job, once it is planned.
fn planned_job(sandbox: &Sandbox) -> String {
    let start = Instant::now();
    loop {
        let jobs = sandbox.jobs();
        let planned = jobs.iter().find(|job| job["state"] == "running" && job["progress"]["units"] != 0);
        if let Some(id) = planned.and_then(|job| job["id"].as_str()) {
            return id.to_owned();
        }
        assert!(start.elapsed() < Duration::from_secs(30), "{}", sandbox.logs());
    }
}

/// Number of files below a folder that other processes may be writing to: an incomplete file has a number after its name.
fn file_count(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let count = |path: PathBuf| match path.is_dir() {
        true => file_count(&path),
        false => usize::from(!path.display().to_string().contains('#')),
    };
    entries.map(count).sum()
}

#[test]
fn writing_an_end_is_retried_until_it_succeeds() {
    let place = Place::with_demo(DEMO);
    let mut sandbox = Sandbox::start(&place, Setup::local(&place), 1);
    sandbox.signal_worker(0, "KILL");
    let scan = sandbox.begin_scan(&place.path("never"), "--quiet");
    let id = planned_job(&sandbox);
    // A file in place of its folder: nothing can be written there.
    let (folder, aside) = (place.path("state/jobs").join(&id), place.path("aside"));
    fs::rename(&folder, &aside).expect("moved");
    fs::write(&folder, "").expect("a file");
    for _ in 0..2 {
        let refused = sandbox.hindcast(&format!("jobs cancel {id}"));
        assert_eq!(refused.status.code(), Some(1), "{}", stdout(&refused));
        assert!(stderr(&refused).contains("can't be stored yet: writing"), "{}", stderr(&refused));
    }
    let printed = stdout(&sandbox.hindcast(&format!("jobs get {id}")));
    assert!(printed.contains("running") && printed.contains("can't be stored yet"), "{printed}");
    fs::remove_file(&folder).expect("removed");
    fs::rename(&aside, &folder).expect("moved back");
    let cancelled = sandbox.hindcast(&format!("jobs cancel {id}"));
    assert!(stdout(&cancelled).contains("cancelled"), "{}", stderr(&cancelled));
    let output = sandbox.finish(scan);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("was cancelled"), "{}", stderr(&output));
    // The next coordinator does not start it again.
    sandbox.kill_coordinator();
    sandbox.start_coordinator();
    let printed = stdout(&sandbox.hindcast(&format!("jobs get {id}")));
    assert!(printed.contains("cancelled") && !printed.contains("stored yet"), "{printed}");
}

#[test]
fn a_job_without_a_cache_leaves_no_state_in_any_case() {
    let place = Place::with_demo(DEMO);
    let sandbox = Sandbox::start(&place, Setup::local(&place), 1);
    let begin = |out: &str| {
        sandbox.signal_worker(0, "STOP");
        let scan = sandbox.begin_scan(&place.path(out), "--no-cache --quiet");
        let id = planned_job(&sandbox);
        let folder = place.path("state/jobs").join(&id);
        (scan, id, folder)
    };
    let (scan, _, folder) = begin("failed");
    // Its results can't be written: a file is in place of their folder.
    fs::write(folder.join("tables"), "").expect("a file");
    sandbox.signal_worker(0, "CONT");
    let output = sandbox.finish(scan);
    assert_eq!(output.status.code(), Some(1), "{}", sandbox.logs());
    assert!(stderr(&output).contains("writing"), "{}", stderr(&output));
    let state = folder.join("state");
    assert!(state.exists() && file_count(&state) == 0, "{} has files", state.display());

    // State that its workers had written by then.
    let (scan, id, folder) = begin("cancelled");
    let state = folder.join("state");
    fs::create_dir_all(state.join("AuditLogs")).expect("a folder");
    fs::write(state.join("AuditLogs/rows.parquet"), "").expect("a file");
    let cancelled = sandbox.hindcast(&format!("jobs cancel {id}"));
    assert!(stdout(&cancelled).contains("cancelled"), "{}{}", stdout(&cancelled), stderr(&cancelled));
    let start = Instant::now();
    while file_count(&state) > 0 {
        assert!(start.elapsed() < Duration::from_secs(60), "its state still exists\n{}", sandbox.logs());
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(sandbox.finish(scan).status.code(), Some(1));
}

#[test]
fn a_long_configuration_is_in_its_job_but_in_no_list() {
    let place = Place::with_demo(DEMO);
    let config = place.path("own.toml");
    let names: Vec<String> = (0..24_000).map(|number| format!("'watched-{number}'")).collect();
    let list = "[[watchlists]]\nname = 'many'\nkind = 'device'\neffect = 'raise'\nentries = ";
    fs::write(&config, format!("{list}[{}]\n", names.join(", "))).expect("a file");
    // Less than four times its length.
    let setup = Setup { config: "[limits]\nmessage_bytes = 1400000\n".into(), ..Setup::local(&place) };
    let mut sandbox = Sandbox::start(&place, setup, 1);
    let with_config = format!("--config {} --quiet", config.display());
    let windows = "--from 2026-01-05 --to 2026-01-06 --window 6h --step 6h";
    let folders = format!("--lake {} --out {}", place.lake().display(), place.path("windows").display());
    let output = sandbox.hindcast(&format!("backfill {folders} {windows} {with_config}"));
    assert!(output.status.success(), "{}\n{}", stderr(&output), sandbox.logs());
    assert_eq!(sandbox.jobs().len(), 4);

    // A job that is read again to resume it has the configuration.
    sandbox.signal_worker(0, "STOP");
    let out = place.path("resumed");
    let scan = sandbox.begin_scan(&out, &with_config);
    planned_job(&sandbox);
    sandbox.kill_coordinator();
    sandbox.start_coordinator();
    sandbox.signal_worker(0, "CONT");
    let output = sandbox.finish(scan);
    assert!(output.status.success(), "{}\n{}", stderr(&output), sandbox.logs());
    place.scan_well(&with_config);
    assert_same(&files_of(&place.out()), &files_of(&out), "undisturbed and resumed");
    let jobs = sandbox.jobs();
    assert_eq!(jobs.len(), 5);

    // The results of a job can be fetched later; a window of a backfill only leaves a row.
    let fetch = |job: &Value, out: &Path| {
        let id = job["id"].as_str().expect("an id");
        sandbox.hindcast(&format!("jobs fetch {id} --out {} --format json,parquet", out.display()))
    };
    let fetched = place.path("fetched");
    let output = fetch(&jobs[0], &fetched);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_same(&files_of(&out), &files_of(&fetched), "fetched");
    let refused = fetch(&jobs[4], &place.path("window"));
    assert_eq!(refused.status.code(), Some(2), "{}", stderr(&refused));
    assert!(stderr(&refused).contains("a window of a backfill"), "{}", stderr(&refused));
}
