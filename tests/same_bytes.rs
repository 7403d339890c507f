//! The same input gives the same bytes, for any threads, files, cache, memory or cluster.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use parquet::file::reader::{FileReader, SerializedFileReader};
use serde_json::{Value, json};

use crate::sandbox::{Sandbox, Setup};
use crate::support::{Place, hindcast, row, stderr};

const DEMO: &str = "--days 3 --rows-per-day 12000 --seed 3";

/// Every file of a result folder, by its name in it.
pub fn files_of(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        let name = entry.file_name().expect("a name").to_string_lossy().into_owned();
        if entry.is_dir() {
            files.extend(
                files_of(&entry).into_iter().map(|(inner, bytes)| (format!("{name}/{inner}"), bytes)),
            );
        } else {
            files.insert(name, fs::read(&entry).expect("a file"));
        }
    }
    files
}

pub fn assert_same(left: &BTreeMap<String, Vec<u8>>, right: &BTreeMap<String, Vec<u8>>, what: &str) {
    assert_eq!(left.keys().collect::<Vec<_>>(), right.keys().collect::<Vec<_>>(), "{what}");
    for (name, bytes) in left {
        assert!(*bytes == right[name], "{what}: {name} differs");
    }
}

#[test]
fn threads_change_nothing() {
    let place = Place::with_demo(DEMO);
    let results = [1, 2, 7].map(|threads| {
        place.scan_well(&format!(
            "--threads {threads} --format parquet,csv,json,jsonl,xlsx,navigator,timesketch,asim,stix,ocsf,html"
        ));
        files_of(&place.out())
    });
    assert!(results[0].len() > 40);
    assert_same(&results[0], &results[1], "1 and 2 threads");
    assert_same(&results[0], &results[2], "1 and 7 threads");
}

#[test]
fn a_cached_scan_equals_a_fresh_one() {
    let place = Place::with_demo(DEMO);
    let scan = |arguments: &str| {
        let output = hindcast(&format!(
            "scan --lake {} --out {} --state {} --format json,parquet {arguments}",
            place.lake().display(),
            place.out().display(),
            place.path("state").display()
        ));
        assert!(output.status.success(), "{}", stderr(&output));
        (files_of(&place.out()), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (first, _) = scan("");
    let (second, printed) = scan("");
    assert_same(&first, &second, "first and cached scan");
    assert!(printed.contains("0 of 21 units computed"), "{printed}");
    // Thresholds and allow-lists are applied to state: no unit is read again.
    let config = place.path("own.toml");
    fs::write(&config, "[beaconing]\nmax_jitter = 0.1\n[compression_staging]\nallowed_accounts = []")
        .expect("a file");
    let (_, printed) = scan(&format!("--config {}", config.display()));
    assert!(printed.contains("0 of 21 units computed"), "{printed}");
    // A window that starts within a date equals a fresh scan.
    let (cut, printed) = scan("--from 2026-01-05T06:00:00Z --to 2026-01-07");
    assert!(printed.contains("7 of 14 units computed"), "{printed}");
    place.scan_well("--from 2026-01-05T06:00:00Z --to 2026-01-07");
    assert_same(&cut, &files_of(&place.out()), "a cut window, cached and fresh");
}

#[test]
fn a_small_budget_spills_and_changes_nothing() {
    let place = Place::with_demo("--days 1 --rows-per-day 150000 --seed 3");
    place.scan_well("--suite firewall --memory 4GiB");
    let roomy = files_of(&place.out());
    place.scan_well("--suite firewall --memory 16MiB");
    assert_same(&roomy, &files_of(&place.out()), "4 GiB and 16 MiB");
}

/// Results with more rows than a message, a written part or the memory limit: threads, memory and a cluster split them at different
/// places.
#[test]
fn long_results_do_not_depend_on_how_they_are_split() {
    let place = Place::with_demo("--days 3 --rows-per-day 300000 --seed 3");
    let config = place.path("own.toml");
    let more = format!("--config {}", config.display());
    let sandbox = Sandbox::start(&place, Setup::local(&place), 2);
    let rows = |name: &str| -> i64 {
        let file = fs::File::open(place.out().join(format!("tables/{name}.parquet"))).expect("a table");
        SerializedFileReader::new(file).expect("Parquet").metadata().file_metadata().num_rows()
    };
    // With the second configuration the timeline exceeds the memory limit and is written to a file.
    for (text, least) in [("", 20_000), ("[attack_timeline]\nmin_sent_bytes = 2500", 140_000)] {
        fs::write(&config, text).expect("a configuration file");
        place.scan_well(&format!("--threads 1 {more}"));
        assert!(rows("attack_timeline") > least && rows("ip_variability") > 3_000);
        let here = files_of(&place.out());
        place.scan_well(&format!("--threads 5 --memory 64MiB {more}"));
        assert_same(&here, &files_of(&place.out()), "1 and 5 threads");
        let there = place.path("there");
        let output = sandbox.scan(&there, &format!("--no-cache {more}"));
        assert!(output.status.success(), "{}\n{}", stderr(&output), sandbox.logs());
        assert_same(&here, &files_of(&there), "locally and on a cluster");
    }
}

/// The same rows in one file, or in several files and another order.
#[test]
fn files_and_their_order_change_nothing() {
    let sessions: Vec<BTreeMap<String, Value>> = (0..400)
        .map(|index| {
            row([
                (
                    "TimeGenerated",
                    json!(format!("2026-03-0{}T{:02}:{:02}:07Z", 1 + index % 2, index / 40, index % 40)),
                ),
                ("DeviceVendor", json!("Palo Alto Networks")),
                ("DeviceEventClassID", json!(["TRAFFIC", "THREAT"][usize::from(index % 9 == 0)])),
                ("SimplifiedDeviceAction", json!(["Allowed", "Blocked"][usize::from(index % 7 == 0)])),
                ("SourceIP", json!(format!("10.0.0.{}", index % 3))),
                ("DestinationIP", json!(format!("203.0.113.{}", index % 2))),
                ("SentBytes", json!(index * 1000)),
                ("ReceivedBytes", json!(index)),
            ])
        })
        .collect();
    let results = [1, 5].map(|parts| {
        let place = Place::new();
        for date in ["2026-03-01", "2026-03-02"] {
            let of_date: Vec<_> = sessions
                .iter()
                .filter(|session| {
                    session["TimeGenerated"].as_str().is_some_and(|time| time.starts_with(date))
                })
                .cloned()
                .collect();
            for part in 0..parts {
                let mut rows: Vec<_> = of_date.iter().skip(part).step_by(parts).cloned().collect();
                if parts > 1 {
                    rows.reverse();
                }
                place.write_rows("CommonSecurityLog", date, &format!("{part}.parquet"), &rows);
            }
        }
        place.scan_well("--suite firewall");
        let mut files = files_of(&place.out());
        // Coverage counts files, which differ; everything else is equal.
        files.remove("summary.json");
        files
    });
    assert_same(&results[0], &results[1], "one file and five");
}
