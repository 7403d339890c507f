//! State broken at random between scans: each scan gives the results of the first, says what it had to compute again, and leaves
//! whole state behind. `HINDCAST_MUTATIONS` sets how many are.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test that fails stops")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use hindcast_base::Result;
use hindcast_engine::{Local, LocalOptions, StateStore};
use hindcast_lake::Location;
use hindcast_proto::v1::ScanRequest;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use hindcast_demo::{DemoOptions, generate};
use hindcast_report::output::{Choice, Format, OutputFolder};
use hindcast_scan::lake_access::Access;
use hindcast_scan::own_detections::DetectionPolicy;
use hindcast_scan::{RunOptions, prepare, run_plan};

/// Scans, where nothing else is said.
const RUNS: u64 = 12;

struct Bench {
    place: tempfile::TempDir,
    engine: Local,
}

/// The files of a result, and what state was computed again for it.
type Scanned = (BTreeMap<PathBuf, Vec<u8>>, Vec<Value>);

impl Bench {
    async fn scan(&self, state: &Path) -> Result<Scanned> {
        let request = ScanRequest {
            lake: self.place.path().join("lake").display().to_string(),
            preset: "default".into(),
            analyses: ["beaconing", "top_talkers", "cli_storage_uploads"].map(str::to_owned).into(),
            ..ScanRequest::default()
        };
        let policy = DetectionPolicy::of_own_process();
        let prepared = prepare(&request, &Access::Any, &policy, None, &self.engine.runtime()).await?;
        let state = StateStore::new(Location::parse(&state.display().to_string())?);
        let options = RunOptions {
            engine: &self.engine,
            runtime: self.engine.runtime(),
            state: &state,
            use_cache: true,
            shards: 2,
            concurrent_merges: 2,
            config: &prepared.config,
            job: "",
            locations: None,
        };
        let result = run_plan(&prepared.plan, &options, &()).await?;
        let folder = OutputFolder::create(&self.place.path().join("out"))?;
        folder.write(&result, Choice { formats: &[Format::Json], escapes_formulas: false })?;
        let mut files = files_below(&folder.publish()?);
        let summary = files.iter_mut().find(|(path, _)| path.ends_with("summary.json")).unwrap().1;
        let mut value: Value = serde_json::from_slice(summary).unwrap();
        let replaced = value["coverage"].as_object_mut().unwrap().remove("replaced_state");
        *summary = value.to_string().into_bytes();
        Ok((files, replaced.map(|list| list.as_array().unwrap().clone()).unwrap_or_default()))
    }
}

fn write_lake(out: &Path) {
    let start = "2026-01-05".parse().unwrap();
    let options = DemoOptions { out: out.to_owned(), days: 2, rows_per_day: 600, seed: 4, start };
    generate(&options, &mut |_, _| ()).unwrap();
}

fn files_below(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        match entry.is_dir() {
            true => files.extend(files_below(&entry)),
            false => drop(files.insert(entry.clone(), fs::read(&entry).unwrap())),
        }
    }
    files
}

/// Breaks a file of `state`; gives what was done.
fn break_one(state: &Path, rng: &mut ChaCha8Rng) -> String {
    let all = files_below(state);
    let files: Vec<_> =
        all.iter().filter(|(path, _)| !path.components().any(|part| part.as_os_str() == "side")).collect();
    let (path, content) = files[rng.random_range(0..files.len())];
    let mut bytes = content.clone();
    let at = rng.random_range(0..bytes.len());
    let what = match rng.random_range(0..8) {
        0 => {
            bytes.truncate(at);
            "cut"
        }
        1 => {
            let alike: Vec<_> = files
                .iter()
                .filter(|(other, _)| other.extension() == path.extension() && *other != path)
                .collect();
            bytes.clone_from(alike[rng.random_range(0..alike.len())].1);
            "swapped"
        }
        2 => {
            fs::remove_file(path).unwrap();
            return format!("removed {}", path.display());
        }
        _ => {
            bytes[at] ^= 1 << rng.random_range(0..8);
            "flipped"
        }
    };
    fs::write(path, bytes).unwrap();
    format!("{what} {}", path.display())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mutations_of_state_change_no_result() {
    let runs = std::env::var("HINDCAST_MUTATIONS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(RUNS);
    let place = tempfile::tempdir().unwrap();
    write_lake(&place.path().join("lake"));
    let engine = Local::new(&LocalOptions { threads: 2, memory_bytes: 1 << 30 }).unwrap();
    let bench = Bench { place, engine };
    let state = bench.place.path().join("state");
    let (clean, replaced) = bench.scan(&state).await.unwrap();
    assert!(clean.len() > 5 && replaced.is_empty(), "{replaced:?}");
    let mut warnings = 0;
    for seed in 0..runs {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let what = break_one(&state, &mut rng);
        let (files, replaced) =
            bench.scan(&state).await.unwrap_or_else(|error| panic!("seed {seed}, {what}: {error}"));
        assert!(files == clean, "seed {seed}, {what}: other results");
        warnings += u64::from(!replaced.is_empty());
        // What is gone is no damage, and a file that the state no longer names is not read.
        if what.starts_with("flipped") || what.starts_with("cut") {
            let (_, replaced_now) = bench.scan(&state).await.unwrap();
            assert!(replaced_now.is_empty(), "seed {seed}, {what}: not healed: {replaced_now:?}");
        }
    }
    assert!(warnings > runs / 4, "{warnings} of {runs} warned");
}

/// State is found wherever it was moved to, and what is damaged there is replaced there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn state_may_be_moved_and_copied() {
    let place = tempfile::tempdir().unwrap();
    write_lake(&place.path().join("lake"));
    let engine = Local::new(&LocalOptions { threads: 2, memory_bytes: 1 << 30 }).unwrap();
    let bench = Bench { place, engine };
    let [old, new] = ["state", "moved"].map(|name| bench.place.path().join(name));
    let (clean, _) = bench.scan(&old).await.unwrap();
    fs::rename(&old, &new).unwrap();
    let is_data = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "parquet");
    let moved = files_below(&new);
    assert_eq!(bench.scan(&new).await.unwrap(), (clean.clone(), Vec::new()));
    assert!(!old.exists());
    let computed = |files: &BTreeMap<PathBuf, Vec<u8>>| files.keys().filter(|path| is_data(path)).count();
    assert_eq!(computed(&files_below(&new)), computed(&moved));

    let (path, mut bytes) = moved.into_iter().find(|(path, _)| is_data(path)).unwrap();
    bytes[40] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let (files, replaced) = bench.scan(&new).await.unwrap();
    assert_eq!((files, replaced.len()), (clean, 1));
    assert_ne!(fs::read(&path).unwrap(), bytes);
    assert!(!old.exists());
}
