//! Workers that come and go in the middle of a job: who joins gets work, who is taken away loses only what it was running, and the
//! autoscaler's metric counts the tasks that are queued.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::same_bytes::{assert_same, files_of};
use crate::sandbox::{Sandbox, Setup};
use crate::support::{Place, stderr};

/// Six days of seven tables: 42 units.
const DEMO: &str = "--days 6 --rows-per-day 6000 --seed 3";
const UNITS: u64 = 42;
/// Rollup tasks that a worker has done.
const ROLLUPS: &str = "hindcast_task_seconds_count{kind=\"rollup\"}";
/// Slots of a worker with one thread.
const SLOTS: u64 = 2;

/// The setup with a worker timeout in seconds. A busy worker reports every 5 s.
fn with_timeout(place: &Place, seconds: u32) -> Setup {
    let mut setup = Setup::local(place);
    setup.config += &format!("\n[faults]\nworker_timeout_seconds = {seconds}\n");
    setup
}

#[test]
fn a_worker_that_joins_gets_work_and_a_lost_one_takes_only_its_running_tasks_with_it() {
    let place = Place::with_demo(DEMO);
    place.scan_well("");
    let mut sandbox = Sandbox::start(&place, with_timeout(&place, 15), 1);
    let out = place.path("elastic");
    let scan = sandbox.begin_scan(&out, "--no-cache");
    sandbox.until("a third is done", |sandbox| sandbox.worker_metric(0, ROLLUPS) >= UNITS / 3);
    sandbox.add_worker("");
    sandbox.until("the worker that joined has done a task", |sandbox| sandbox.worker_metric(1, ROLLUPS) > 0);
    let by_the_lost = sandbox.worker_metric(0, ROLLUPS);
    assert!(by_the_lost < UNITS, "it joined after the last unit");
    sandbox.signal_worker(0, "KILL");
    let output = sandbox.finish(scan);
    assert!(output.status.success(), "{}\n{}", stderr(&output), sandbox.logs());
    assert_same(&files_of(&place.out()), &files_of(&out), "undisturbed and elastic");
    // What the lost worker was running when it was killed runs again, and what it did since its metric was read.
    let all = by_the_lost + sandbox.worker_metric(1, ROLLUPS);
    assert!(all <= UNITS + 2 * SLOTS, "{all} tasks for {UNITS} units, {by_the_lost} by the lost worker");
    assert_eq!(sandbox.metric("hindcast_units_done_total"), UNITS);
    assert_eq!(sandbox.metric("hindcast_units_queued"), 0);
}

#[test]
fn a_worker_that_cannot_wait_hands_its_tasks_over_at_once() {
    // Longer than the scan may take.
    const TIMEOUT: u32 = 150;
    let place = Place::with_demo(DEMO);
    place.scan_well("");
    let mut sandbox = Sandbox::start(&place, with_timeout(&place, TIMEOUT), 1);
    sandbox.add_hasty_worker();
    sandbox.until("both workers are there", |sandbox| sandbox.metric("hindcast_workers") == 2);
    let (out, start) = (place.path("hasty"), Instant::now());
    let scan = sandbox.begin_scan(&out, "--no-cache");
    sandbox.until("it has work", |sandbox| sandbox.worker_metric(1, ROLLUPS) > 2);
    sandbox.signal_worker(1, "TERM");
    sandbox.wait_for_end(1);
    sandbox.until("it is forgotten", |sandbox| sandbox.metric("hindcast_workers") == 1);
    let output = sandbox.finish(scan);
    assert!(output.status.success(), "{}\n{}", stderr(&output), sandbox.logs());
    assert!(start.elapsed() < Duration::from_secs(u64::from(TIMEOUT)), "{:?}", start.elapsed());
    assert_same(&files_of(&place.out()), &files_of(&out), "undisturbed and hasty");
}

#[test]
fn the_autoscaler_reads_the_number_of_queued_tasks() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../deploy/kubernetes/components/keda/scaled-object.yaml");
    let manifest = fs::read_to_string(manifest).expect("the scaled object");
    let metric = manifest.lines().find_map(|line| line.trim().strip_prefix("valueLocation: "));
    let metric = metric.expect("the metric that scales workers");

    let place = Place::with_demo("--days 2 --rows-per-day 2000 --seed 3");
    let mut sandbox = Sandbox::start(&place, Setup::local(&place), 1);
    let exposed = sandbox.get("/metrics").expect("metrics");
    assert!(exposed.contains(&format!("# TYPE {metric} gauge")), "{metric} is not in\n{exposed}");
    assert_eq!(sandbox.metric(metric), 0);
    // Without a worker every unit is queued: seven tables of two days.
    sandbox.signal_worker(0, "KILL");
    let scan = sandbox.begin_scan(&place.out(), "--no-cache");
    sandbox.until("all units are queued", |sandbox| sandbox.metric(metric) == 14);
    sandbox.add_worker("");
    let output = sandbox.finish(scan);
    assert!(output.status.success(), "{}\n{}", stderr(&output), sandbox.logs());
    assert_eq!(sandbox.metric(metric), 0);
}
