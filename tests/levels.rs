//! Levels and stored rows: the same bytes with and without them, moved, damaged, and on a cluster.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::damaged_state::files_and_replaced;
use crate::same_bytes::{assert_same, files_of};
use crate::sandbox::{Sandbox, Setup};
use crate::support::{Place, hindcast, stderr};

/// From a Monday on: the first week is closed.
const DEMO: &str = "--days 10 --rows-per-day 1500 --seed 11 --start 2026-01-05";
const WHOLE: &str = "--from 2026-01-05 --to 2026-01-14";
const MOVED: &str = "--from 2026-01-06 --to 2026-01-15";

fn scan(place: &Place, arguments: &str) -> BTreeMap<String, Vec<u8>> {
    let line = format!(
        "scan --lake {} --out {} --format json,parquet {arguments}",
        place.lake().display(),
        place.out().display()
    );
    let output = hindcast(&line);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    files_and_replaced(&place.out()).0
}

fn with_state(place: &Place, window: &str) -> BTreeMap<String, Vec<u8>> {
    scan(place, &format!("--state {} {window}", place.path("state").display()))
}

fn files_in(state: &Path, folder: &str) -> Vec<PathBuf> {
    let below = state.join(folder);
    if !below.exists() {
        return Vec::new();
    }
    files_of(&below).into_keys().map(|path| below.join(path)).collect()
}

#[test]
fn the_same_bytes_with_and_without_levels_and_stored_rows() {
    let place = Place::with_demo(DEMO);
    let state = place.path("state");
    let (whole, moved) =
        (scan(&place, &format!("--no-cache {WHOLE}")), scan(&place, &format!("--no-cache {MOVED}")));
    assert_same(&whole, &with_state(&place, WHOLE), "making levels");
    assert!(!files_in(&state, "levels").is_empty() && !files_in(&state, "results").is_empty());
    assert_same(&whole, &with_state(&place, WHOLE), "the same again");
    assert_same(&moved, &with_state(&place, MOVED), "moved by a day");
    assert_same(&whole, &with_state(&place, WHOLE), "moved back");
    let other = "--threads 7 --memory 64MiB";
    assert_same(&moved, &with_state(&place, &format!("{other} {MOVED}")), "other threads and memory");
    for folder in ["levels", "results"] {
        let mut random = ChaCha8Rng::seed_from_u64(3);
        for file in files_in(&state, folder) {
            let mut bytes = fs::read(&file).expect("a file");
            let at = random.random_range(0..bytes.len());
            bytes[at] ^= 1 << random.random_range(0..8);
            match random.random_range(0..4) {
                0 => fs::remove_file(&file).expect("removed"),
                1 => fs::write(&file, &bytes[..at]).expect("cut"),
                _ => fs::write(&file, bytes).expect("flipped"),
            }
        }
        assert_same(&moved, &with_state(&place, MOVED), &format!("damaged {folder}"));
        assert_same(&whole, &with_state(&place, WHOLE), &format!("damaged {folder}, moved back"));
    }
}

#[test]
fn a_cluster_makes_and_uses_levels() {
    let place = Place::with_demo(DEMO);
    let (whole, moved) =
        (scan(&place, &format!("--no-cache {WHOLE}")), scan(&place, &format!("--no-cache {MOVED}")));
    let sandbox = Sandbox::start(&place, Setup::local(&place), 2);
    for (window, expected) in [(WHOLE, &whole), (WHOLE, &whole), (MOVED, &moved)] {
        let out = place.path("cluster-out");
        let output = sandbox.scan(&out, window);
        assert!(output.status.success(), "{}\n{}", stderr(&output), sandbox.logs());
        assert_same(expected, &files_and_replaced(&out).0, window);
    }
    let state = place.path("state");
    assert!(!files_in(&state, "levels").is_empty() && !files_in(&state, "results").is_empty());
}
