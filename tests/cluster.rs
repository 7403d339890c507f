//! The same scan on a cluster gives the same bytes, with any number of workers and any store. Nothing is lost when processes come
//! and go.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::damaged_state::files_and_replaced;
use crate::object_stores::{BUCKET, Store};
use crate::same_bytes::{assert_same, files_of};
use crate::sandbox::{Sandbox, Setup};
use crate::support::{Place, hindcast, stderr, stdout};

const DEMO: &str = "--days 3 --rows-per-day 12000 --seed 3";

#[test]
fn workers_change_nothing() {
    let place = Place::with_demo(DEMO);
    place.scan_well("");
    let quiet = files_of(&place.out());
    let mut sandbox = Sandbox::start(&place, Setup::local(&place), 1);
    for workers in [1, 2, 4] {
        while sandbox.worker_count() < workers {
            sandbox.add_worker("");
        }
        let out = place.path(&format!("out-{workers}"));
        let output = sandbox.scan(&out, "--no-cache");
        assert!(output.status.success(), "{}\n{}", stderr(&output), sandbox.logs());
        assert_same(&quiet, &files_of(&out), &format!("here and on {workers} workers"));
    }
    // By default rollups are stored for the next job, and the output says so.
    let printed = stdout(&sandbox.scan(&place.path("first"), ""));
    assert!(printed.contains("21 of 21 units computed"), "{printed}");
    let printed = stdout(&sandbox.scan(&place.path("second"), ""));
    assert!(printed.contains("0 of 21 units computed"), "{printed}");
    assert_same(&quiet, &files_of(&place.path("second")), "fresh and from the cache");
    let metrics = sandbox.get("/metrics").expect("metrics");
    for line in ["hindcast_units_done_total 84", "hindcast_units_cached_total 21", "hindcast_units_queued 0"]
    {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
}

#[test]
fn jobs_are_listed_watched_and_cancelled() {
    let place = Place::with_demo("--days 1 --rows-per-day 2000 --seed 3");
    let sandbox = Sandbox::start(&place, Setup::local(&place), 1);
    let output = sandbox.scan(&place.out(), "--quiet");
    assert!(output.status.success(), "{}", stderr(&output));
    let jobs = sandbox.jobs();
    assert_eq!(jobs.len(), 1);
    assert_eq!(jobs[0]["state"], "done");
    let id = jobs[0]["id"].as_str().expect("an id");
    let job: Value =
        serde_json::from_slice(&sandbox.hindcast(&format!("jobs get {id} --json")).stdout).expect("a job");
    assert_eq!(job["report"]["summary"]["coverage"]["complete"], true);
    assert!(stdout(&sandbox.hindcast(&format!("jobs watch {id}"))).contains("done"));
    // An ended job keeps its state.
    assert!(stdout(&sandbox.hindcast(&format!("jobs cancel {id}"))).contains("done"));
    let unknown = sandbox.hindcast("jobs get 01a20ac3-32dc-7536-81c3-a2ae14b70c83");
    assert_eq!(unknown.status.code(), Some(2), "{}", stderr(&unknown));

    // Without workers a job waits, until it is cancelled.
    sandbox.signal_worker(0, "KILL");
    let waiting = sandbox.begin_scan(&place.path("never"), "--no-cache --quiet");
    let open = || -> Option<String> {
        let jobs = sandbox.jobs();
        jobs.iter().find(|job| job["state"] == "running").and_then(|job| Some(job["id"].as_str()?.to_owned()))
    };
    let start = Instant::now();
    let id = loop {
        if let Some(id) = open() {
            break id;
        }
        assert!(start.elapsed() < Duration::from_secs(30), "{}", sandbox.logs());
    };
    assert!(stdout(&sandbox.hindcast(&format!("jobs cancel {id}"))).contains("cancelled"));
    let output = sandbox.finish(waiting);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("was cancelled"), "{}", stderr(&output));
    assert!(!place.path("never").exists());
}

#[test]
fn a_restarted_coordinator_computes_only_what_is_missing() {
    let place = Place::with_demo("--days 6 --rows-per-day 6000 --seed 3");
    place.scan_well("");
    let mut sandbox = Sandbox::start(&place, Setup::local(&place).with_short_deadlines(), 2);
    let out = place.path("resumed");
    let scan = sandbox.begin_scan(&out, "");
    let start = Instant::now();
    let done = |metrics: &str| -> u64 {
        let line = metrics.lines().find(|line| line.starts_with("hindcast_units_done_total"));
        line.and_then(|line| line.split(' ').nth(1)?.parse().ok()).unwrap_or_default()
    };
    // Killed after half of its 42 units.
    let killed_at = loop {
        let so_far = sandbox.get("/metrics").map(|metrics| done(&metrics)).unwrap_or_default();
        if so_far >= 21 {
            break so_far;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "{}", sandbox.logs());
        std::thread::sleep(Duration::from_millis(5));
    };
    sandbox.kill_coordinator();
    sandbox.start_coordinator();
    let output = sandbox.finish(scan);
    assert!(output.status.success(), "{}\n{}", stderr(&output), sandbox.logs());
    assert_same(&files_of(&place.out()), &files_of(&out), "undisturbed and resumed");
    let again = done(&sandbox.get("/metrics").expect("metrics"));
    assert!(again <= 42 - killed_at, "{killed_at} units were done, and {again} again");
}

#[test]
fn all_workers_restarted_during_a_scan_lose_nothing() {
    let place = Place::with_demo("--days 6 --rows-per-day 6000 --seed 3");
    place.scan_well("");
    let mut sandbox = Sandbox::start(&place, Setup::local(&place), 2);
    let out = place.path("rolled");
    let scan = sandbox.begin_scan(&out, "--no-cache");
    for worker in 0..2 {
        std::thread::sleep(Duration::from_millis(300));
        sandbox.add_worker("");
        sandbox.signal_worker(worker, "TERM");
    }
    let output = sandbox.finish(scan);
    assert!(output.status.success(), "{}\n{}", stderr(&output), sandbox.logs());
    assert_same(&files_of(&place.out()), &files_of(&out), "undisturbed and rolled");
    (0..2).for_each(|worker| sandbox.wait_for_end(worker));
    let metrics = sandbox.get("/metrics").expect("metrics");
    assert!(!metrics.contains("reason=\"stalled\""), "{metrics}");
}

#[test]
fn only_new_units_are_computed() {
    let place = Place::with_demo("--days 4 --rows-per-day 3000 --seed 3 --start 2026-01-05");
    let sandbox = Sandbox::start(&place, Setup::local(&place), 2);
    let printed = |arguments: &str| {
        let output = sandbox.scan(&place.path("cached"), arguments);
        assert!(output.status.success(), "{}\n{}", stderr(&output), sandbox.logs());
        stdout(&output)
    };
    let expect = |arguments: &str, units: &str| {
        let printed = printed(arguments);
        assert!(printed.contains(units), "{arguments}: not {units} in {printed}");
    };
    let moved = "--from 2026-01-06 --to 2026-01-09";
    expect("--from 2026-01-05 --to 2026-01-08", "21 of 21 units computed");
    expect(moved, "7 of 21 units computed");
    // A late file: only its unit of one table and date is computed.
    let folder = place.lake().join("CommonSecurityLog/date=2026-01-07");
    let file = fs::read_dir(&folder).expect("a folder").next().expect("a file").expect("an entry").path();
    fs::copy(&file, folder.join("late.parquet")).expect("a late file");
    expect(moved, "1 of 21 units computed");
    // Thresholds are applied to stored state.
    let config = place.path("own.toml");
    fs::write(&config, "[beaconing]\nmax_jitter = 0.1").expect("a file");
    expect(&format!("{moved} --config {}", config.display()), "0 of 21 units computed");
    place.scan_well(&format!("{moved} --config {}", config.display()));
    assert_same(&files_of(&place.out()), &files_of(&place.path("cached")), "fresh and from the cache");
}

#[test]
fn unreadable_state_is_computed_again() {
    let place = Place::with_demo("--days 3 --rows-per-day 3000 --seed 3 --start 2026-01-05");
    place.scan_well("");
    let (quiet, _) = files_and_replaced(&place.out());
    let sandbox = Sandbox::start(&place, Setup::local(&place), 2);
    let scan = |out: &str| {
        let output = sandbox.scan(&place.path(out), "");
        assert!(output.status.success(), "{}\n{}", stderr(&output), sandbox.logs());
        let (files, replaced) = files_and_replaced(&place.path(out));
        assert_same(&quiet, &files, out);
        (stdout(&output), replaced)
    };
    assert!(scan("first").1.is_empty());
    let state_of = |table_and_date: &str, rollup: &str, extension: &str| {
        let folder = place.path("state").join(table_and_date).join(rollup);
        let found = fs::read_dir(&folder).expect("state").map(|entry| entry.expect("an entry").path());
        let mut of_kind = found.filter(|path| path.extension().is_some_and(|found| found == extension));
        of_kind.next().unwrap_or_else(|| panic!("no {extension} in {}", folder.display()))
    };
    // One file is missing, one is truncated, and one has a manifest that can't be opened.
    let gone = state_of("CommonSecurityLog/date=2026-01-05", "external_pairs", "parquet");
    fs::remove_file(&gone).expect("removed");
    let cut = state_of("CommonSecurityLog/date=2026-01-06", "event_bins", "parquet");
    let bytes = fs::read(&cut).expect("state");
    fs::write(&cut, &bytes[..bytes.len() / 2]).expect("half of it");
    let named = state_of("DeviceNetworkEvents/date=2026-01-07", "device_hours", "json");
    fs::remove_file(&named).expect("removed");
    std::os::unix::fs::symlink(&named, &named).expect("a link to itself");
    let (printed, replaced) = scan("second");
    assert!(printed.contains("3 of 21 units computed"), "{printed}");
    assert!(!replaced.is_empty(), "{printed}");
    assert_eq!(fs::read(&cut).expect("state"), bytes);
    fs::remove_file(&named).expect("removed");
    scan("third");
    let (printed, replaced) = scan("fourth");
    assert!(printed.contains("0 of 21 units computed") && replaced.is_empty(), "{printed}");
    // The same locally.
    fs::remove_file(&gone).expect("removed");
    let (lake, state, out) = (place.lake(), place.path("state"), place.path("here"));
    let folders = format!("--lake {} --state {} --out {}", lake.display(), state.display(), out.display());
    let output = hindcast(&format!("scan {folders} --format parquet,json"));
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).contains("1 of 21 units computed"), "{}", stdout(&output));
    assert_same(&quiet, &files_and_replaced(&out).0, "here");
}

#[test]
fn a_bad_file_is_named_and_the_rest_is_scanned() {
    let place = Place::with_demo("--days 2 --rows-per-day 2000 --seed 3");
    let folder = place.lake().join("CommonSecurityLog/date=2026-01-05");
    let file = fs::read_dir(&folder).expect("a folder").next().expect("a file").expect("an entry").path();
    let bytes = fs::read(&file).expect("a file");
    fs::write(&file, &bytes[..bytes.len() / 2]).expect("half a file");
    let here = place.scan("");
    assert_eq!(here.status.code(), Some(3));
    let sandbox = Sandbox::start(&place, Setup::local(&place), 2);
    let out = place.path("remote");
    let output = sandbox.scan(&out, "");
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert_same(&files_of(&place.out()), &files_of(&out), "locally and on workers");
    assert!(stdout(&output).contains(file.file_name().expect("a name").to_str().expect("text")));
}

#[test]
fn a_cluster_over_an_s3_store() {
    let Some(store) = Store::start() else { return };
    let place = Place::with_demo("--days 2 --rows-per-day 5000 --seed 6");
    store.upload(&place.lake());
    place.scan_well("");
    let setup = Setup {
        lake: format!("s3://{BUCKET}/soc/lake"),
        state: format!("s3://{BUCKET}/state"),
        environment: store.environment(),
        ..Setup::local(&place)
    };
    let sandbox = Sandbox::start(&place, setup, 2);
    for (out, units) in [("first", "14 of 14 units computed"), ("second", "0 of 14 units computed")] {
        let output = sandbox.scan(&place.path(out), "");
        assert!(output.status.success(), "{}\n{}", stderr(&output), sandbox.logs());
        assert!(stdout(&output).contains(units), "{}", stdout(&output));
        assert_same(&files_of(&place.out()), &files_of(&place.path(out)), out);
    }
}

/// Two hosts, each a network namespace, with a connection between them that is cut.
#[test]
fn a_connection_cut_between_hosts() {
    let ip = |line: &str| {
        Command::new("ip").args(line.split_whitespace()).output().is_ok_and(|done| done.status.success())
    };
    let name = format!("hc{}", std::process::id());
    if !ip(&format!("netns add {name}")) {
        println!("skipped: network namespaces can't be made here");
        return;
    }
    let (near, far) = (format!("{name}a"), format!("{name}b"));
    let subnet = 10 + std::process::id() % 200;
    assert!(ip(&format!("link add {near} type veth peer name {far} netns {name}")));
    assert!(ip(&format!("addr add 10.99.{subnet}.1/24 dev {near}")) && ip(&format!("link set {near} up")));
    assert!(ip(&format!("-n {name} addr add 10.99.{subnet}.2/24 dev {far}")));
    assert!(ip(&format!("-n {name} link set {far} up")));

    let place = Place::with_demo("--days 4 --rows-per-day 6000 --seed 3");
    place.scan_well("");
    let certificates = place.path("certificates");
    let made = hindcast(&format!("certificates {} --host 10.99.{subnet}.1", certificates.display()));
    assert!(made.status.success(), "{}", stderr(&made));
    let mut setup = Setup::local(&place).with_short_deadlines();
    setup.certificates = Some(certificates);
    setup.config = format!("insecure = true\n{}", setup.config);
    let mut sandbox = Sandbox::start_at(&place, setup, &format!("10.99.{subnet}.1"), 1);
    sandbox.add_worker_at(&format!("ip netns exec {name}"), &format!("10.99.{subnet}.2"));
    std::thread::sleep(Duration::from_secs(2));
    let out = place.path("cut");
    let scan = sandbox.begin_scan(&out, "--no-cache");
    std::thread::sleep(Duration::from_millis(400));
    assert!(ip(&format!("link set {near} down")));
    std::thread::sleep(Duration::from_secs(5));
    assert!(ip(&format!("link set {near} up")));
    let output = sandbox.finish(scan);
    let printed = sandbox.logs();
    drop(sandbox);
    assert!(ip(&format!("netns del {name}")));
    assert!(output.status.success(), "{}\n{printed}", stderr(&output));
    assert_same(&files_of(&place.out()), &files_of(&out), "undisturbed and cut");
}
