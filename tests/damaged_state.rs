//! State that was flipped, truncated, swapped or moved between two scans: the second scan gives the bytes of the first, names what it
//! computed again, and exits with 0. The same on a cluster, whose workers continue.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use crate::same_bytes::{assert_same, files_of};
use crate::sandbox::{Sandbox, Setup};
use crate::support::{Place, hindcast, read_json, stderr, stdout};

const DEMO: &str = "--days 2 --rows-per-day 3000 --seed 5";

/// The damage to state between two scans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Damage {
    /// A flipped bit in some of its files.
    Flipped,
    /// Some of its files are truncated or empty.
    Cut,
    /// Some of its files have swapped contents.
    Swapped,
    /// All of it is moved, and some of it is flipped.
    Moved,
}

pub const DAMAGES: [Damage; 4] = [Damage::Flipped, Damage::Cut, Damage::Swapped, Damage::Moved];

/// Manifests and data below a folder of state, without side tables, which every scan rewrites.
fn state_files(state: &Path) -> Vec<PathBuf> {
    let is_kept = |path: &&String| path.contains("/date=");
    files_of(state).keys().filter(is_kept).map(|path| state.join(path)).collect()
}

fn flip(path: &Path, random: &mut ChaCha8Rng) {
    let mut bytes = fs::read(path).expect("a file of state");
    if bytes.is_empty() {
        bytes.push(0);
    }
    let at = random.random_range(0..bytes.len());
    bytes[at] ^= 1 << random.random_range(0..8);
    fs::write(path, bytes).expect("a file of state");
}

/// Damages files of `state` and returns its new folder.
pub fn damage(state: &Path, damage: Damage, random: &mut ChaCha8Rng) -> PathBuf {
    let mut state = state.to_owned();
    if damage == Damage::Moved {
        let elsewhere = state.with_extension("moved");
        fs::rename(&state, &elsewhere).expect("moved");
        state = elsewhere;
    }
    let files = state_files(&state);
    for _ in 0..random.random_range(1..6) {
        let path = &files[random.random_range(0..files.len())];
        match damage {
            Damage::Flipped | Damage::Moved => flip(path, random),
            Damage::Cut => {
                let bytes = fs::read(path).expect("a file of state");
                let length = random.random_range(0..=bytes.len() / 2) * random.random_range(0..2);
                fs::write(path, &bytes[..length]).expect("a file of state");
            }
            Damage::Swapped => {
                let other = &files[random.random_range(0..files.len())];
                let [one, two] = [path, other].map(|path| fs::read(path).expect("a file of state"));
                fs::write(path, two).expect("a file of state");
                fs::write(other, one).expect("a file of state");
            }
        }
    }
    state
}

/// The files of a result without the summary's list of replaced state, and that list.
pub fn files_and_replaced(out: &Path) -> (BTreeMap<String, Vec<u8>>, Vec<Value>) {
    let mut summary: Value = read_json(&out.join("summary.json"));
    let replaced = summary["coverage"].as_object_mut().expect("coverage").remove("replaced_state");
    let mut files = files_of(out);
    files.insert("summary.json".into(), summary.to_string().into_bytes());
    (files, replaced.and_then(|list| list.as_array().cloned()).unwrap_or_default())
}

fn scan(place: &Place, state: &Path) -> (String, String) {
    let line = format!(
        "scan --lake {} --out {} --state {} --format json,parquet",
        place.lake().display(),
        place.out().display(),
        state.display()
    );
    let output = hindcast(&line);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    (stdout(&output), stderr(&output))
}

#[test]
fn damaged_state_is_computed_again_and_named() {
    let place = Place::with_demo(DEMO);
    let mut state = place.path("state");
    scan(&place, &state);
    let (clean, replaced) = files_and_replaced(&place.out());
    assert!(replaced.is_empty());
    for (seed, kind) in DAMAGES.into_iter().enumerate() {
        let mut random = ChaCha8Rng::seed_from_u64(seed as u64);
        state = damage(&state, kind, &mut random);
        // A file that every scan reads.
        let files = state_files(&state);
        let manifest = files.iter().find(|path| path.display().to_string().ends_with(".json")).expect("one");
        flip(manifest, &mut random);
        let (_, warned) = scan(&place, &state);
        let (files, replaced) = files_and_replaced(&place.out());
        assert_same(&clean, &files, &format!("{kind:?}"));
        let name = manifest.strip_prefix(&state).expect("below it").display().to_string();
        assert!(replaced.iter().any(|entry| entry["file"] == name), "{kind:?}: {name} in {replaced:?}");
        assert!(warned.contains("warning: ") && warned.contains(&name), "{kind:?}: {warned}");
        // The state is complete again.
        let (printed, warned) = scan(&place, &state);
        assert!(printed.contains("; 0 of ") && warned.is_empty(), "{kind:?}: {printed}{warned}");
        assert_same(&clean, &files_and_replaced(&place.out()).0, &format!("after {kind:?}"));
    }
}

#[test]
fn workers_outlive_damaged_state() {
    let place = Place::with_demo(DEMO);
    place.scan_well("");
    let (clean, _) = files_and_replaced(&place.out());
    let mut sandbox = Sandbox::start(&place, Setup::local(&place).with_short_deadlines(), 2);
    let out = place.path("cluster-out");
    assert!(sandbox.scan(&out, "").status.success(), "{}", sandbox.logs());
    let mut random = ChaCha8Rng::seed_from_u64(1);
    // Manifests are intact, so that workers read the damaged data.
    for path in state_files(&place.path("state")) {
        if path.extension().is_some_and(|ending| ending == "parquet") {
            flip(&path, &mut random);
        }
    }
    let output = sandbox.scan(&out, "");
    assert_eq!(output.status.code(), Some(0), "{}\n{}", stderr(&output), sandbox.logs());
    let (files, replaced) = files_and_replaced(&out);
    assert_same(&clean, &files, "all state flipped");
    assert!(!replaced.is_empty() && stderr(&output).contains("warning: "), "{}", stderr(&output));
    assert_eq!(sandbox.ended_workers(), 0);
}
