//! Delta tables give the results of the same rows in plain folders: in every version, with deletion vectors, and with mapped columns.
//! Needs Python with the packages of `tests/requirements.txt`, which `tests/run` installs; without them the tests print a message and
//! do nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::rewritten_lakes::has_readers;
use crate::sandbox::{Sandbox, Setup};
use crate::support::{Place, files_below, hindcast, read_json, stderr, stdout};
use crate::tidy::repository;

const TABLE: &str = "CommonSecurityLog";

/// Tables that the script has written.
struct Written {
    place: Place,
    printed: String,
}

impl Written {
    /// `None` without Python's packages.
    fn new(what: &str) -> Option<Self> {
        if !has_readers() {
            return None;
        }
        let place = Place::new();
        let script = repository().join("tests/delta_tables/write.py");
        let output = Command::new("python3").arg(script).arg(what).arg(place.path("")).output();
        let output = output.expect("Python runs");
        assert!(output.status.success(), "{what}: {}", stderr(&output));
        Some(Self { printed: stdout(&output).trim().to_owned(), place })
    }

    fn scan(&self, lake: &str, arguments: &str) -> (Output, PathBuf) {
        let out = self.place.path(&format!("out of {lake}{}", arguments.replace(' ', "_")));
        let lake = self.place.path(lake);
        let command = format!(
            "scan --lake {} --no-cache --suite firewall --format json,parquet {arguments} --out",
            lake.display()
        );
        let arguments = command.split_whitespace().collect::<Vec<_>>();
        let output = Command::new(env!("CARGO_BIN_EXE_hindcast")).args(arguments).arg(&out).output();
        (output.expect("the binary runs"), out)
    }

    /// Scans a lake, which must succeed. Returns the results.
    fn scan_well(&self, lake: &str, arguments: &str) -> PathBuf {
        let (output, out) = self.scan(lake, arguments);
        assert!(output.status.success(), "{lake} {arguments}: {}", stderr(&output));
        out
    }

    /// Checks that a scan of `lake` has the results of the plain folders `plain`.
    fn check(&self, lake: &str, arguments: &str, plain: &str) {
        assert_same(
            &self.scan_well(lake, arguments),
            &self.scan_well(plain, ""),
            &format!("{lake} {arguments}"),
        );
    }
}

fn assert_same(own: &Path, plain: &Path, what: &str) {
    let files = |folder: &Path| files_below(folder).into_iter().collect::<BTreeMap<String, PathBuf>>();
    let (own_files, plain_files) = (files(own), files(plain));
    assert_eq!(own_files.keys().collect::<Vec<_>>(), plain_files.keys().collect::<Vec<_>>(), "{what}");
    // These two name files, sizes and parameters, which differ.
    let is_compared = |name: &str| !["summary.json", "parameters.json"].contains(&name);
    for (name, path) in plain_files.iter().filter(|(name, _)| is_compared(name)) {
        let is_same = fs::read(path).expect("a file") == fs::read(&own_files[name]).expect("a file");
        assert!(is_same, "{what}: {name} differs from that of the plain folders");
    }
    let [own, plain] = [own, plain].map(|folder| read_json::<Value>(&folder.join("summary.json")));
    for key in ["window", "risk", "findings", "incidents", "analyses", "disabled"] {
        assert_eq!(own[key], plain[key], "{what}: {key}");
    }
    assert_eq!(own["coverage"]["complete"], true, "{what}");
    assert_eq!(rows(&own), rows(&plain), "{what}: rows");
    assert!(rows(&own) > 300, "{what}");
}

fn rows(summary: &Value) -> u64 {
    let tables = summary["coverage"]["tables"].as_array().expect("coverage");
    tables.iter().map(|entry| entry["rows"].as_u64().expect("rows")).sum()
}

#[test]
fn every_version_gives_the_results_of_its_rows() {
    let Some(written) = Written::new("versions") else { return };
    let latest: u64 = written.printed.parse().expect("a version");
    assert!(latest >= 6, "{latest}");
    written.check("delta", "", &format!("plain-{latest}"));
    for version in [0, 2, 3, 4] {
        written.check("delta", &format!("--version {version}"), &format!("plain-{version}"));
    }
    written.check("delta", "--as-of 2026-02-01T02:59:59Z", "plain-2");
    let named = format!("--version {TABLE}=1 --from 2026-01-06 --to 2026-01-07");
    assert_same(
        &written.scan_well("delta", &named),
        &written.scan_well("plain-1", "--from 2026-01-06 --to 2026-01-07"),
        "a named version in a window",
    );
    for (arguments, hint) in [
        ("--version 99".to_owned(), format!("has no version 99: its latest version is {latest}")),
        ("--as-of 2026-01-31".to_owned(), "is of 2026-02-01T00:00:00Z".to_owned()),
        ("--version AuditLogs=1 --version 1".to_owned(), "one version per Delta table".to_owned()),
    ] {
        let (output, _) = written.scan("delta", &arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments}: {}", stderr(&output));
        assert!(stderr(&output).contains(&hint), "{arguments}: {}", stderr(&output));
    }
    let (output, _) = written.scan("plain-0", "--version 1");
    assert!(stderr(&output).contains("none of the tables"), "{}", stderr(&output));
}

#[test]
fn a_file_that_vacuum_has_deleted_is_a_gap_with_the_version() {
    let Some(written) = Written::new("versions") else { return };
    written.check("vacuumed", "", &format!("plain-{}", written.printed));
    let (output, out) = written.scan("vacuumed", "--version 2");
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    let coverage = read_json::<Value>(&out.join("summary.json"))["coverage"].clone();
    assert_eq!(coverage["complete"], false);
    assert!(coverage.to_string().contains("version 2 of CommonSecurityLog lists this file"), "{coverage}");
}

#[test]
fn deletion_vectors_and_mapped_columns_give_the_results_of_their_rows() {
    let Some(written) = Written::new("by-hand") else { return };
    for form in ["vectors", "named", "by-id"] {
        written.check(form, "", &format!("plain-{form}"));
    }
    let investigate = |lake: &str| {
        let (lake, out) = (written.place.path(lake), written.place.path(&format!("found in {lake}")));
        let command =
            format!("investigate ip 10.0.0.3 --lake {} --no-cache --format json --out", lake.display());
        let arguments = command.split_whitespace().collect::<Vec<_>>();
        let output = Command::new(env!("CARGO_BIN_EXE_hindcast")).args(arguments).arg(&out).output();
        let output = output.expect("the binary runs");
        assert!(output.status.success(), "{}", stderr(&output));
        out
    };
    for form in ["vectors", "by-id"] {
        let files = |lake: &str| -> Vec<(String, Vec<u8>)> {
            let mut all = files_below(&investigate(lake).join("tables"));
            all.sort();
            all.into_iter().map(|(name, path)| (name, fs::read(path).expect("a file"))).collect()
        };
        assert!(files(form) == files(&format!("plain-{form}")), "{form}");
    }
}

#[test]
fn tables_are_shown_and_not_written() {
    let Some(written) = Written::new("by-hand") else { return };
    let lake = |name: &str| written.place.path(name).display().to_string();
    let listed = hindcast(&format!("tables --lake {} --json", lake("vectors")));
    let listed: Value = serde_json::from_slice(&listed.stdout).expect("tables");
    assert_eq!((&listed[0]["version"], &listed[0]["table"]), (&2.into(), &TABLE.into()), "{listed}");
    let shown = hindcast(&format!("tables --lake {} show {TABLE} --json", lake("vectors")));
    let shown: Value = serde_json::from_slice(&shown.stdout).expect("a table");
    let rows: u64 = shown["dates"]
        .as_array()
        .expect("dates")
        .iter()
        .map(|date| date["rows"].as_u64().expect("rows"))
        .sum();
    assert_eq!(rows, 200 + 263 + 250 + 100, "{shown}");
    let shown = hindcast(&format!("tables --lake {} show {TABLE}", lake("named")));
    assert!(stdout(&shown).contains("SentBytes") && !stdout(&shown).contains("col-"), "{}", stdout(&shown));
    for command in ["compact", "delete"] {
        let refused = hindcast(&format!("tables --lake {} {command} {TABLE}", lake("named")));
        assert_eq!(refused.status.code(), Some(2), "{command}");
        assert!(stderr(&refused).contains("Delta Lake"), "{}", stderr(&refused));
    }
}

#[test]
fn a_coordinator_reads_the_requested_version() {
    let Some(written) = Written::new("versions") else { return };
    fs::rename(written.place.path("delta"), written.place.lake()).expect("moved");
    let sandbox = Sandbox::start(&written.place, Setup::local(&written.place), 1);
    let out = written.place.path("scanned");
    let scanned = sandbox.scan(&out, "--suite firewall --version 2");
    assert!(scanned.status.success(), "{}", stderr(&scanned));
    assert_same(&out, &written.scan_well("plain-2", ""), "a coordinator");
}
