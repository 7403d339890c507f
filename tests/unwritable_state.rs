//! State that can't be written: the scan exits with 1 and the reason, blames no file of the lake, and preserves an earlier result.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::faulty_store::{FaultyStore, StoreFaults};
use crate::object_stores::{BUCKET, Store, environment};
use crate::same_bytes::{assert_same, files_of};
use crate::sandbox::{Sandbox, Setup};
use crate::support::{Place, hindcast, stderr, stdout};

const DEMO: &str = "--days 1 --rows-per-day 2000 --seed 6";

/// A place with the result of a successful scan.
fn place_with_result() -> Place {
    let place = Place::with_demo(DEMO);
    place.scan_well("");
    place
}

fn scan(place: &Place, state: &Path) -> Output {
    hindcast(&format!(
        "scan --lake {} --out {} --state {} --format json",
        place.lake().display(),
        place.out().display(),
        state.display()
    ))
}

/// Asserts that `output` failed because state at `words` can't be written, and blames no file of the lake.
fn assert_names_state(output: &Output, words: &str) {
    assert_eq!(output.status.code(), Some(1), "{}{}", stdout(output), stderr(output));
    let printed = stderr(output);
    assert!(printed.contains("writing the state at ") && printed.contains(words), "{printed}");
    assert!(!stdout(output).contains("FAILED"), "{}", stdout(output));
}

#[test]
fn state_below_a_file() {
    let place = place_with_result();
    let before = files_of(&place.out());
    fs::write(place.path("file"), "no folder").expect("a file");
    assert_names_state(&scan(&place, &place.path("file/state")), "file/state");
    assert_same(&before, &files_of(&place.out()), "a scan that failed");
}

/// A full disk, if this process may mount one.
#[test]
fn state_on_a_full_disk() {
    let place = place_with_result();
    let before = files_of(&place.out());
    let disk = place.path("disk");
    fs::create_dir(&disk).expect("a folder");
    let mount = |arguments: &[&str]| Command::new("mount").args(arguments).arg(&disk).status();
    if !mount(&["-t", "tmpfs", "-o", "size=64k", "tmpfs"]).is_ok_and(|status| status.success()) {
        println!("skipped: this process may not mount");
        return;
    }
    let output = scan(&place, &disk.join("state"));
    let freed = Command::new("umount").arg(&disk).status();
    assert_names_state(&output, "disk/state");
    assert_same(&before, &files_of(&place.out()), "a scan that failed");
    assert!(freed.is_ok_and(|status| status.success()));
}

#[test]
fn a_store_that_refuses_state() {
    let Some(store) = Store::start() else { return };
    let place = place_with_result();
    store.upload(&place.lake());
    let refused = Some("/date=".to_owned());
    let faulty = FaultyStore::start(store.port(), StoreFaults { refused, ..StoreFaults::default() });
    let setup = Setup {
        lake: format!("s3://{BUCKET}/soc/lake"),
        state: format!("s3://{BUCKET}/state"),
        environment: environment(faulty.port()),
        ..Setup::local(&place).with_short_deadlines()
    };
    let mut sandbox = Sandbox::start(&place, setup, 2);
    let before = files_of(&place.out());
    let output = sandbox.scan(&place.out(), "");
    assert_names_state(&output, "telemetry/state");
    assert_same(&before, &files_of(&place.out()), "a job that failed");
    assert_eq!(sandbox.ended_workers(), 0);
}
