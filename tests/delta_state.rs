//! State of Delta tables: a commit costs what it adds, and one that only rewrites files costs nothing. Needs Python with the packages
//! of `tests/requirements.txt`, which `tests/run` installs; without them the tests print a message and do nothing.

use std::fs;
use std::process::Command;

use crate::rewritten_lakes::has_readers;
use crate::support::{Place, files_below, hindcast, stderr, stdout};
use crate::tidy::repository;

/// A Delta table in a place of its own.
struct Table(Place);

impl Table {
    fn step(&self, step: &str) {
        let script = repository().join("tests/delta_state/write.py");
        let output = Command::new("python3").arg(script).arg(self.0.path("")).arg(step).output();
        let output = output.expect("Python runs");
        assert!(output.status.success(), "{step}: {}", stderr(&output));
    }

    /// Scans the table with the state of earlier scans. Returns how many units were computed, and how many there are.
    fn scan(&self, what: &str) -> (u64, u64) {
        let scan = |out: &str, state: &str| {
            let lake = self.0.lake().display().to_string();
            let (out, state) =
                (self.0.path(out).display().to_string(), self.0.path(state).display().to_string());
            let window = "--from 2026-01-05 --to 2026-01-08";
            let output = hindcast(&format!(
                "scan --lake {lake} --state {state} --out {out} --suite firewall --format json,parquet {window}"
            ));
            assert!(output.status.success(), "{what}: {}", stderr(&output));
            stdout(&output)
        };
        let printed = scan("scanned", "state");
        scan("fresh", &format!("state of {what}").replace(' ', "-"));
        // What was computed of earlier files shows in no result.
        let files = |folder: &str| -> Vec<(String, Vec<u8>)> {
            let files = files_below(&self.0.path(folder)).into_iter();
            files.map(|(name, path)| (name, fs::read(path).expect("a file"))).collect()
        };
        for ((name, own), (other, fresh)) in files("scanned").into_iter().zip(files("fresh")) {
            assert_eq!(name, other, "{what}");
            assert!(own == fresh, "{what}: {name}");
        }
        let line = printed.lines().find(|line| line.contains("units computed")).expect("a count of units");
        let counts = line.split("; ").nth(1).expect("a count of units");
        let numbers: Vec<u64> = counts.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        (numbers[0], numbers[1])
    }
}

fn written(form: &str) -> Option<Table> {
    if !has_readers() {
        return None;
    }
    let table = Table(Place::new());
    table.step(form);
    Some(table)
}

#[test]
fn a_commit_costs_what_it_adds_and_optimize_costs_nothing() {
    for form in ["by-date", "flat"] {
        let Some(table) = written(form) else { return };
        assert_eq!(table.scan("the first scan"), (6, 6), "{form}");
        table.step("append");
        assert_eq!(table.scan("an append"), (1, 7), "{form}");
        table.step("compact");
        assert_eq!(table.scan("a compaction").0, 0, "{form}");
        table.step("append");
        assert_eq!(table.scan("an append after a compaction").0, 1, "{form}");
        table.step("z-order");
        assert_eq!(table.scan("a z-order").0, 0, "{form}");
        // State of rewritten files is found again when the log no longer has their commits.
        table.step("forget");
        assert_eq!(table.scan("a log that forgets").0, 0, "{form}");
        table.step("append");
        assert_eq!(table.scan("an append after that").0, 1, "{form}");
    }
}

#[test]
fn a_rewritten_file_that_is_changed_is_read_again() {
    let Some(table) = written("by-date") else { return };
    table.scan("the first scan");
    table.step("compact");
    table.step("delete");
    assert_eq!(table.scan("a deletion"), (3, 3));
    table.step("append");
    table.step("compact");
    // One commit compacts the appended file, which no scan has read, with the others of its date.
    assert_eq!(table.scan("a compaction of new rows").0, 1);
}

#[test]
fn state_serves_whatever_rollups_it_has() {
    let Some(table) = written("by-date") else { return };
    let scan = |only: &str| {
        let lake = table.0.lake().display().to_string();
        let (out, state) =
            (table.0.path("out").display().to_string(), table.0.path("state").display().to_string());
        let window = "--from 2026-01-05 --to 2026-01-08";
        let output = hindcast(&format!("scan --lake {lake} --state {state} --out {out} {only} {window}"));
        assert!(output.status.success(), "{}", stderr(&output));
    };
    scan("--only top_talkers");
    table.step("compact");
    // The other rollups are computed of the new files.
    assert_eq!(table.scan("more analyses"), (3, 3));
    assert_eq!(table.scan("the same analyses"), (0, 3));
}
