//! Faults of a cluster: an unreadable job among readable ones, a coordinator that restarts while results are fetched, and lists that
//! are too long for a request.

use std::fs;
use std::time::Duration;

use crate::same_bytes::{assert_same, files_of};
use crate::sandbox::{Sandbox, Setup};
use crate::support::{Place, stderr, stdout};

const DEMO: &str = "--days 1 --rows-per-day 2000 --seed 3 --start 2026-01-05";

/// A cluster after one scan into the folder `first`, and the id of its job.
fn with_one_job(place: &Place) -> (Sandbox, String) {
    let sandbox = Sandbox::start(place, Setup::local(place), 1);
    let output = sandbox.scan(&place.path("first"), "--quiet");
    assert!(output.status.success(), "{}", stderr(&output));
    let id = sandbox.jobs()[0]["id"].as_str().expect("an id").to_owned();
    (sandbox, id)
}

#[test]
fn a_job_that_cannot_be_read_is_listed_as_such() {
    let place = Place::with_demo(DEMO);
    let (mut sandbox, first) = with_one_job(&place);
    sandbox.kill_coordinator();
    let broken = [
        ("01a20ac3-32dc-7536-81c3-a2ae14b70c81", "submitted.pb", b"\xff\xff\xff".as_slice()),
        // Zero bytes are a message without fields.
        ("01a20ac3-32dc-7536-81c3-a2ae14b70c82", "submitted.pb", b""),
        ("01a20ac3-32dc-7536-81c3-a2ae14b70c83", "ended.pb", b"\n\x03abc"),
    ];
    for (id, name, bytes) in broken {
        let folder = place.path("state/jobs").join(id);
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join(name), bytes).expect("a file");
    }
    sandbox.start_coordinator();
    sandbox.wait_until_ready();
    let listed = sandbox.jobs();
    assert_eq!(listed.len(), 4);
    for (id, name, _) in broken {
        let job = listed.iter().find(|job| job["id"] == id).expect("it is listed");
        assert_eq!(job["state"], "unreadable");
        let error = job["error"].as_str().expect("an error");
        assert!(error.contains(name) && error.contains(id), "{error}");
        let refused = sandbox.hindcast(&format!("jobs fetch {id} --out {}", place.path("none").display()));
        assert!(stderr(&refused).contains("unreadable"), "{}", stderr(&refused));
    }
    // All other jobs continue.
    let out = place.path("fetched");
    let output =
        sandbox.hindcast(&format!("jobs fetch {first} --out {} --format json,parquet", out.display()));
    assert!(output.status.success(), "{}", stderr(&output));
    assert_same(&files_of(&place.path("first")), &files_of(&out), "fetched");
    let output = sandbox.scan(&place.path("second"), "--quiet");
    assert!(output.status.success(), "{}\n{}", stderr(&output), sandbox.logs());
}

#[test]
fn results_are_fetched_across_a_restart() {
    let place = Place::with_demo(DEMO);
    let (mut sandbox, id) = with_one_job(&place);
    for round in 0..4 {
        let out = place.path(&format!("fetched-{round}"));
        let fetch = format!("jobs fetch {id} --out {} --format json,parquet", out.display());
        if round == 0 {
            sandbox.kill_coordinator();
        }
        let fetching = sandbox.begin(&fetch);
        // Somewhere between two tables.
        std::thread::sleep(Duration::from_millis(40 * round));
        sandbox.kill_coordinator();
        std::thread::sleep(Duration::from_millis(500));
        sandbox.start_coordinator();
        let output = sandbox.finish(fetching);
        assert!(output.status.success(), "round {round}: {}\n{}", stderr(&output), sandbox.logs());
        assert_same(&files_of(&place.path("first")), &files_of(&out), "fetched");
    }
}

#[test]
fn long_lists_are_sent_separately_from_requests() {
    let place = Place::with_demo(DEMO);
    let config = place.path("own.toml");
    let names: String = (0..120_000).map(|number| format!("watched-{number}\n")).collect();
    fs::write(place.path("names.csv"), format!("name\n{names}")).expect("a file");
    let list =
        "[[watchlists]]\nname = 'many'\nkind = 'device'\neffect = 'raise'\nfile = 'names.csv'\n".to_owned();
    fs::write(&config, &list).expect("a file");
    let with_config = format!("--config {} --quiet", config.display());
    let bounded = |bytes: usize| Setup {
        config: format!("[limits]\nrequest_bytes = 70000\nconfig_bytes = {bytes}\n"),
        ..Setup::local(&place)
    };
    let mut sandbox = Sandbox::start(&place, bounded(4 << 20), 1);
    let windows = "--from 2026-01-05 --to 2026-01-06 --window 6h --step 6h";
    let folders = format!("--lake {} --out {}", place.lake().display(), place.path("windows").display());
    let output = sandbox.hindcast(&format!("backfill {folders} {windows} {with_config}"));
    assert!(output.status.success(), "{}\n{}", stderr(&output), sandbox.logs());
    // One object for all four requests, which are short.
    let stored: Vec<_> = fs::read_dir(place.path("state/configs")).expect("a folder").flatten().collect();
    assert_eq!(stored.len(), 1);
    assert!(stored[0].metadata().expect("a size").len() > 1 << 20);
    for job in sandbox.jobs() {
        let folder = place.path("state/jobs").join(job["id"].as_str().expect("an id"));
        assert!(fs::metadata(folder.join("submitted.pb")).expect("a size").len() < 2_000);
    }
    let out = place.path("remote");
    let output = sandbox.scan(&out, &with_config);
    assert!(output.status.success(), "{}\n{}", stderr(&output), sandbox.logs());
    place.scan_well(&with_config);
    assert_same(&files_of(&place.out()), &files_of(&out), "locally and on a cluster");

    // A list that is too long names the limit that it exceeds.
    sandbox.kill_coordinator();
    sandbox.change(bounded(1 << 20));
    sandbox.start_coordinator();
    let output = sandbox.scan(&place.path("refused"), &with_config);
    assert_eq!(output.status.code(), Some(2), "{}{}", stdout(&output), stderr(&output));
    assert!(stderr(&output).contains("limits.config_bytes"), "{}", stderr(&output));
    let long = format!("investigate user {} {folders}", "n".repeat(80_000));
    let output = sandbox.hindcast(&long);
    assert_eq!(output.status.code(), Some(2), "{}{}", stdout(&output), stderr(&output));
    assert!(stderr(&output).contains("limits.request_bytes"), "{}", stderr(&output));
}
