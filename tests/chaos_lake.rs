//! Seeded fault runs with writers of a lake: concurrent writers, scans during writes, and changes that are rolled back although their
//! writer is only slow.

use std::fs;
use std::process::{Child, Command, Output};
use std::time::Duration;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::side_by_side::{ROWS, TABLE, ended, scanned_rows, start};
use crate::support::{Place, hindcast, stderr, stdout};

/// Longest delay before a process is started or killed, in milliseconds.
const MAX_MS: u64 = 700;

/// The kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LakeFault {
    /// Concurrent imports, a compaction and a save, some of them killed.
    WritersSideBySide,
    /// Scans while imports add and merge files.
    ScanDuringWrites,
    /// An import that is stopped for so long that another one rolls it back.
    ChangeTakenBack,
}

fn pause(random: &mut ChaCha8Rng) {
    std::thread::sleep(Duration::from_millis(random.random_range(0..MAX_MS)));
}

fn import(place: &Place, number: u64) -> Child {
    start(&format!("import {} --lake {} --quiet", place.rows_file(number), place.lake().display()))
}

fn assert_well(output: &Output, seed: u64) {
    assert!(output.status.success(), "seed {seed}: {}", stderr(output));
}

/// Disturbs writers of a small lake. In the end each row exists once, whatever was killed.
pub fn lake_run(fault: LakeFault, random: &mut ChaCha8Rng, seed: u64) {
    let place = Place::new();
    place.import(&place.rows_file(0), "");
    let files = match fault {
        LakeFault::WritersSideBySide => writers_side_by_side(&place, random, seed),
        LakeFault::ScanDuringWrites => scan_during_writes(&place, random, seed),
        LakeFault::ChangeTakenBack => change_rolled_back(&place, random, seed),
    };
    for number in 0..files {
        place.import(&place.rows_file(number), "");
    }
    let lake = place.lake().display().to_string();
    for arguments in [format!("compact {TABLE}"), "save Rows_SPRK".to_owned()] {
        assert_well(&hindcast(&format!("tables --lake {lake} {arguments}")), seed);
    }
    for table in [TABLE, "Rows_SPRK"] {
        let shown = place.shown(table);
        let dates = shown["dates"].as_array().expect("dates").iter();
        assert_eq!(dates.filter_map(|date| date["rows"].as_u64()).sum::<u64>(), files * ROWS, "seed {seed}");
    }
    let (output, rows) = scanned_rows(&place, "last");
    assert_well(&output, seed);
    assert_eq!(rows, files * ROWS, "seed {seed}");
}

fn writers_side_by_side(place: &Place, random: &mut ChaCha8Rng, seed: u64) -> u64 {
    let lake = place.lake().display().to_string();
    let mut running: Vec<(bool, Child)> = Vec::new();
    for number in 1..4 {
        running.push((false, import(place, number)));
    }
    for arguments in [format!("compact {TABLE}"), "save Rows_SPRK".to_owned(), format!("compact {TABLE}")] {
        pause(random);
        running.push((false, start(&format!("tables --lake {lake} {arguments}"))));
        let victim = random.random_range(0..running.len());
        if random.random_range(0..2) == 0 {
            let (is_killed, child) = &mut running[victim];
            *is_killed = true;
            // An ended process can't be killed.
            let _ = child.kill();
        }
    }
    for (is_killed, child) in running {
        let output = child.wait_with_output().expect("ended");
        if !is_killed {
            assert_well(&output, seed);
        }
    }
    4
}

fn scan_during_writes(place: &Place, random: &mut ChaCha8Rng, seed: u64) -> u64 {
    let mut running = Vec::new();
    for number in 1..4 {
        running.push(import(place, number));
        pause(random);
        let (output, rows) = scanned_rows(place, "during");
        if output.status.code() == Some(3) {
            // A file that was merged after the listing is named.
            assert!(stdout(&output).contains(".parquet"), "seed {seed}: {}", stdout(&output));
            continue;
        }
        assert_well(&output, seed);
        assert!(rows >= ROWS && rows % ROWS == 0, "seed {seed}: {rows} rows");
    }
    ended(running).iter().for_each(|output| assert_well(output, seed));
    4
}

/// The slow import is stopped at a random moment and its list aged by seven hours, so that another import treats it as dead.
fn change_rolled_back(place: &Place, random: &mut ChaCha8Rng, seed: u64) -> u64 {
    let slow = import(place, 1);
    pause(random);
    let signal = |name: &str| {
        let sent = Command::new("kill").args([&format!("-{name}"), &slow.id().to_string()]).status();
        sent.expect("kill runs").success()
    };
    let is_stopped = signal("STOP");
    let age = Duration::from_secs(7 * 60 * 60);
    for list in fs::read_dir(place.lake().join("_hindcast/changes")).expect("changes") {
        let path = list.expect("an entry").path();
        if path.extension().is_some_and(|ending| ending == "json") {
            let file = fs::File::options().write(true).open(path).expect("a list");
            let written = file.metadata().and_then(|meta| meta.modified()).expect("a time");
            file.set_modified(written - age).expect("made old");
        }
    }
    assert_well(&import(place, 2).wait_with_output().expect("ended"), seed);
    let (_, rows) = scanned_rows(place, "between");
    assert!(rows >= 2 * ROWS && rows % ROWS == 0, "seed {seed}: {rows} rows");
    if is_stopped {
        signal("CONT");
    }
    let output = slow.wait_with_output().expect("ended");
    let (scan, rows) = scanned_rows(place, "after");
    assert_well(&scan, seed);
    // It added its rows, or reports that it did not.
    match output.status.code() {
        Some(0) => assert_eq!(rows, 3 * ROWS, "seed {seed}"),
        Some(1) => assert_eq!(rows, 2 * ROWS, "seed {seed}: {}", stderr(&output)),
        _ => panic!("seed {seed}: {}", stderr(&output)),
    }
    3
}
