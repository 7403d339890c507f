//! Seeded fault runs: each injects a fault during a scan. The scan must end with the bytes of an undisturbed run, or report correctly
//! what is missing. `HINDCAST_CHAOS_RUNS` sets the number of runs, `HINDCAST_CHAOS_SEED` the first seed.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use crate::chaos_lake::{LakeFault, lake_run};
use crate::damaged_state::{Damage, damage, files_and_replaced};
use crate::faulty_store::{FaultyStore, StoreFaults};
use crate::object_stores::{BUCKET, Store, environment};
use crate::same_bytes::{assert_same, files_of};
use crate::sandbox::{Sandbox, Setup};
use crate::support::{Place, hindcast, read_json, stderr};

const DEMO: &str = "--days 4 --rows-per-day 6000 --seed 9";
/// The default number of runs.
const RUNS: u64 = 20;
/// Memory that a worker may use in addition to its idle size, if it shall run out of memory.
const SPARE_MEMORY_KIB: u64 = 2000;

/// The kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    WorkerKilled,
    WorkerHung,
    WorkerSlow,
    WorkerOutOfMemory,
    AllWorkersKilled,
    WorkersReplaced,
    CoordinatorKilled,
    StoreFails,
    StorePoisoned,
    State(Damage),
    Lake(LakeFault),
}

const KINDS: [Kind; 16] = [
    Kind::WorkerKilled,
    Kind::WorkerHung,
    Kind::WorkerSlow,
    Kind::WorkerOutOfMemory,
    Kind::AllWorkersKilled,
    Kind::WorkersReplaced,
    Kind::CoordinatorKilled,
    Kind::StoreFails,
    Kind::StorePoisoned,
    Kind::State(Damage::Flipped),
    Kind::State(Damage::Cut),
    Kind::State(Damage::Swapped),
    Kind::State(Damage::Moved),
    Kind::Lake(LakeFault::WritersSideBySide),
    Kind::Lake(LakeFault::ScanDuringWrites),
    Kind::Lake(LakeFault::ChangeTakenBack),
];

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Whole,
    Incomplete,
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

#[test]
fn seeded_fault_runs() {
    let place = Place::with_demo(DEMO);
    place.scan_well("");
    let store = Store::start();
    if let Some(store) = &store {
        store.upload(&place.lake());
    }
    let first = number("HINDCAST_CHAOS_SEED", 1);
    let mut counts: BTreeMap<(Kind, Outcome), u32> = BTreeMap::new();
    for seed in first..first + number("HINDCAST_CHAOS_RUNS", RUNS) {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let kind = KINDS[(seed % KINDS.len() as u64) as usize];
        let start = Instant::now();
        let outcome = match (kind, &store) {
            (Kind::StoreFails | Kind::StorePoisoned, Some(store)) => store_run(&place, store, kind, seed),
            (Kind::StoreFails | Kind::StorePoisoned, None) => continue,
            (Kind::State(damage), _) => state_run(&place, damage, &mut random, seed),
            (Kind::Lake(fault), _) => {
                lake_run(fault, &mut random, seed);
                Outcome::Whole
            }
            _ => process_run(&place, kind, &mut random, seed),
        };
        println!("seed {seed}: {kind:?}, {outcome:?}, {:.1} s", start.elapsed().as_secs_f64());
        *counts.entry((kind, outcome)).or_default() += 1;
    }
    println!("{counts:#?}");
}

/// A scan during which processes are disturbed. The lake is intact, so the result must be complete.
fn process_run(place: &Place, kind: Kind, random: &mut ChaCha8Rng, seed: u64) -> Outcome {
    let mut sandbox = Sandbox::start(place, Setup::local(place).with_short_deadlines(), 2);
    if kind == Kind::WorkerOutOfMemory {
        assert!(sandbox.starve_worker(0, SPARE_MEMORY_KIB), "prlimit is needed");
    }
    let out = place.path(&format!("chaos-{seed}"));
    let scan = sandbox.begin_scan(&out, "--no-cache");
    let pause = |random: &mut ChaCha8Rng, longest_ms: u64| {
        std::thread::sleep(Duration::from_millis(random.random_range(0..longest_ms)));
    };
    pause(random, 1500);
    match kind {
        Kind::WorkerKilled => sandbox.signal_worker(random.random_range(0..2), "KILL"),
        Kind::WorkerHung => {
            let worker = random.random_range(0..2);
            sandbox.signal_worker(worker, "STOP");
            std::thread::sleep(Duration::from_millis(random.random_range(1000..9000)));
            sandbox.signal_worker(worker, "CONT");
        }
        Kind::WorkerSlow => {
            let worker = random.random_range(0..2);
            for _ in 0..20 {
                sandbox.signal_worker(worker, "STOP");
                std::thread::sleep(Duration::from_millis(180));
                sandbox.signal_worker(worker, "CONT");
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        Kind::WorkerOutOfMemory => {}
        Kind::AllWorkersKilled => {
            (0..2).for_each(|worker| sandbox.signal_worker(worker, "KILL"));
            pause(random, 2000);
            sandbox.add_worker("");
        }
        Kind::WorkersReplaced => {
            for worker in 0..2 {
                sandbox.add_worker("");
                sandbox.signal_worker(worker, "TERM");
                pause(random, 1000);
            }
        }
        Kind::CoordinatorKilled => {
            sandbox.kill_coordinator();
            pause(random, 2000);
            sandbox.start_coordinator();
        }
        Kind::StoreFails | Kind::StorePoisoned | Kind::State(_) | Kind::Lake(_) => {}
    }
    let output = sandbox.finish(scan);
    assert!(output.status.success(), "seed {seed}, {kind:?}: {}\n{}", stderr(&output), sandbox.logs());
    assert_same(&files_of(&place.out()), &files_of(&out), &format!("seed {seed}, {kind:?}"));
    print_retries(&mut sandbox);
    Outcome::Whole
}

/// Prints the retries of the run.
fn print_retries(sandbox: &mut Sandbox) {
    let metrics = sandbox.get("/metrics").unwrap_or_default();
    let retries: Vec<&str> =
        metrics.lines().filter_map(|line| line.strip_prefix("hindcast_retries_total")).collect();
    println!("retries {retries:?}, {} workers ended", sandbox.ended_workers());
}

/// A scan with a cache that was damaged after another scan filled it.
fn state_run(place: &Place, kind: Damage, random: &mut ChaCha8Rng, seed: u64) -> Outcome {
    let state = place.path(&format!("state-{seed}"));
    let out = place.path(&format!("chaos-{seed}"));
    let scan = |state: &Path| {
        let (lake, out, state) = (place.lake(), out.display(), state.display());
        let line =
            format!("scan --lake {} --out {out} --state {state} --format json,parquet", lake.display());
        let output = hindcast(&line);
        assert!(output.status.success(), "seed {seed}, {kind:?}: {}", stderr(&output));
    };
    scan(&state);
    let state = damage(&state, kind, random);
    scan(&state);
    let (files, replaced) = files_and_replaced(&out);
    assert_same(&files_and_replaced(&place.out()).0, &files, &format!("seed {seed}, {kind:?}"));
    println!("{} files of state computed again", replaced.len());
    Outcome::Whole
}

/// A scan of a store whose requests fail at random, or always for one file.
fn store_run(place: &Place, store: &Store, kind: Kind, seed: u64) -> Outcome {
    let poison =
        (kind == Kind::StorePoisoned).then(|| "soc/lake/CommonSecurityLog/date=2026-01-06".to_owned());
    let faulty = FaultyStore::start(
        store.port(),
        StoreFaults {
            seed,
            per_mille_error: 60,
            per_mille_reset: 30,
            per_mille_truncate: 40,
            per_mille_delay: 50,
            delay: Duration::from_millis(150),
            poison,
            ..StoreFaults::default()
        },
    );
    let setup = Setup {
        lake: format!("s3://{BUCKET}/soc/lake"),
        state: format!("s3://{BUCKET}/chaos-{seed}"),
        environment: environment(faulty.port()),
        ..Setup::local(place).with_short_deadlines()
    };
    let mut sandbox = Sandbox::start(place, setup, 2);
    let out = place.path(&format!("chaos-{seed}"));
    let output = sandbox.scan(&out, "");
    print_retries(&mut sandbox);
    assert!(faulty.injected() > 0, "seed {seed}: no request failed");
    match output.status.code() {
        Some(0) => {
            assert_eq!(
                kind,
                Kind::StoreFails,
                "seed {seed}: the scan missed no file although one can't be read"
            );
            assert_same(&files_of(&place.out()), &files_of(&out), &format!("seed {seed}, {kind:?}"));
            Outcome::Whole
        }
        Some(3) => {
            assert_is_honest(&out, seed);
            Outcome::Incomplete
        }
        _ => panic!("seed {seed}, {kind:?}: {}\n{}", stderr(&output), sandbox.logs()),
    }
}

/// An incomplete coverage names what was not read, with the reason; scanned dates have all their rows.
fn assert_is_honest(out: &Path, seed: u64) {
    let summary: Value = read_json(&out.join("summary.json"));
    assert_eq!(summary["coverage"]["complete"], false, "seed {seed}");
    let entries = summary["coverage"]["tables"].as_array().expect("coverage");
    let failed: Vec<&Value> = entries.iter().filter(|entry| entry["status"] == "failed").collect();
    assert!(!failed.is_empty(), "seed {seed}");
    for entry in failed {
        assert!(entry["reason"].as_str().is_some_and(|reason| reason.contains(".parquet")), "{entry}");
    }
    let whole = entries.iter().filter(|entry| entry["status"] == "scanned");
    assert!(whole.clone().count() > 0 && whole.clone().all(|entry| entry["rows"].as_u64() > Some(0)));
}
