//! `hindcast import --watch`: files that appear, grow, are renamed, compressed or broken; restarts, and the signal to stop.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;

use crate::import::traffic;
use crate::object_stores::{BUCKET, Store};
use crate::support::{Place, files_below};

/// Longest wait for a line.
const LONGEST_WAIT: Duration = Duration::from_secs(90);
const TABLE: &str = "CommonSecurityLog";

/// A running `hindcast import --watch`, ended with the value.
pub struct Watching {
    child: Child,
    lines: Receiver<String>,
}

impl Watching {
    /// Watches `folder` every second.
    pub fn start(place: &Place, folder: &Path, arguments: &str) -> Self {
        let (lake, folder) = (place.lake().display().to_string(), folder.display().to_string());
        Self::start_with(&lake, &format!("{folder} {arguments}"), Vec::new())
    }

    fn start_with(lake: &str, arguments: &str, environment: Vec<(String, String)>) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_hindcast"))
            .args(["import", "--watch", "--every", "1s", "--lake", lake])
            .args(arguments.split_whitespace())
            .envs(environment)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let (sender, lines) = channel();
        let errors = sender.clone();
        let (out, err) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
        std::thread::spawn(move || {
            BufReader::new(out).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        std::thread::spawn(move || {
            BufReader::new(err).lines().map_while(Result::ok).try_for_each(|line| errors.send(line))
        });
        Self { child, lines }
    }

    /// The lines up to one with all `parts`, which must come.
    pub fn wait_for(&self, parts: &[&str]) -> Vec<String> {
        let mut seen = Vec::new();
        loop {
            let line =
                self.lines.recv_timeout(LONGEST_WAIT).unwrap_or_else(|_| panic!("no {parts:?} in {seen:#?}"));
            seen.push(line);
            if seen.last().is_some_and(|line| parts.iter().all(|part| line.contains(part))) {
                return seen;
            }
        }
    }

    /// Kills it.
    pub fn kill(mut self) {
        let _ = self.child.kill();
        self.child.wait().expect("ended");
    }

    /// Asks it to stop, which it must do well, and returns the lines that were not waited for.
    pub fn stop(mut self) -> Vec<String> {
        let sent = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
        assert!(self.child.wait().expect("ended").success());
        self.lines.iter().collect()
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Place {
    /// Checks that the lake has the rows of `traffic(rows, 0)`, each once.
    pub fn assert_traffic_once(&self, rows: u64, context: &str) {
        let shown = self.shown(TABLE);
        let dates = shown["dates"].as_array().expect("dates").iter();
        let found: u64 = dates.filter_map(|date| date["rows"].as_u64()).sum();
        // The same rows in another file: each is there with all its values.
        let again =
            self.import(&self.file("again.ndjson", traffic(rows, 0) + "\n\n"), "--record-id SentBytes");
        assert_eq!(
            (found, &again["duplicates"], &again["changed"]),
            (rows, &json!(rows), &json!(0)),
            "{context}"
        );
    }
}

fn append(path: &Path, text: &str) {
    let mut file = File::options().append(true).open(path).expect("a file");
    file.write_all(text.as_bytes()).expect("written");
}

fn gzipped(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).expect("compressed");
    encoder.finish().expect("compressed")
}

#[test]
fn a_log_is_followed_through_growth_rotation_and_compression() {
    let place = Place::new();
    let folder = place.path("in");
    fs::create_dir(&folder).expect("a folder");
    let (log, rotated) = (folder.join("app.log"), folder.join("app.log.1"));
    fs::write(&log, traffic(10, 0)).expect("written");
    let watching = Watching::start(&place, &folder, "");
    watching.wait_for(&["app.log (monitor-export): 10 of CommonSecurityLog"]);
    append(&log, &traffic(5, 10));
    let from = format!("5 of CommonSecurityLog, from byte {} on", traffic(10, 0).len());
    watching.wait_for(&["app.log ", &from]);
    // Rotated by its name, after more rows.
    fs::rename(&log, &rotated).expect("renamed");
    append(&rotated, &traffic(3, 15));
    fs::write(&log, traffic(4, 18)).expect("written");
    let seen =
        watching.wait_for(&["app.log (", "4 of"]).concat() + &watching.lines.try_iter().collect::<String>();
    let seen = if seen.contains("app.log.1 ") { seen } else { watching.wait_for(&["app.log.1 "]).concat() };
    assert!(seen.contains("app.log.1 (monitor-export): 3 of CommonSecurityLog, from byte"), "{seen}");
    // Rotated by a copy, and compressed.
    fs::write(folder.join("app.log.2.gz"), gzipped(&traffic(18, 0))).expect("written");
    fs::remove_file(&rotated).expect("removed");
    fs::copy(&log, folder.join("app.log.3")).expect("copied");
    fs::write(&log, traffic(6, 22)).expect("written");
    watching.wait_for(&["app.log (", "6 of"]);
    // A compressed log that grew before it was compressed.
    fs::write(folder.join("app.log.4.gz"), gzipped(&traffic(9, 22))).expect("written");
    let seen = watching.wait_for(&["app.log.4.gz", "3 of", "from byte"]);
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!(watching.stop(), Vec::<String>::new());
    place.assert_traffic_once(31, "after all");
}

#[test]
fn a_broken_file_is_reported_once_until_it_changes_and_a_restart_repeats_nothing() {
    let place = Place::new();
    let folder = place.path("in");
    fs::create_dir_all(folder.join("below")).expect("a folder");
    fs::write(folder.join("below/a.ndjson"), traffic(10, 0)).expect("written");
    fs::write(folder.join(".partial"), traffic(99, 0)).expect("written");
    let broken = folder.join("broken.bin");
    fs::write(&broken, b"\x01\x02\x03abc").expect("written");
    let watching = Watching::start(&place, &folder, "");
    watching.wait_for(&["error: ", "broken.bin was not imported: "]);
    for (name, first) in [("b", 10), ("c", 20)] {
        fs::write(folder.join(name), traffic(10, first)).expect("written");
        fs::write(folder.join(format!("{name}-copy")), traffic(10, first)).expect("written");
        let seen = watching.wait_for(&["10 of", &format!("in/{name}")]).concat();
        assert!(!seen.contains("broken.bin"), "{seen}");
    }
    fs::write(&broken, traffic(5, 30)).expect("written");
    watching.wait_for(&["broken.bin (monitor-export): 5 of"]);
    assert_eq!(watching.stop(), Vec::<String>::new());

    let watching = Watching::start(&place, &folder, "--json");
    append(&broken, &traffic(5, 35));
    let seen = watching.wait_for(&["broken.bin"]);
    assert_eq!(seen.len(), 1, "{seen:?}");
    let report: serde_json::Value = serde_json::from_str(&seen[0]).expect("a report");
    assert_eq!((&report["rows"][TABLE], &report["from_byte"]), (&json!(5), &json!(traffic(5, 30).len())));
    assert_eq!(watching.stop(), Vec::<String>::new());
    place.assert_traffic_once(40, "after a restart");
}

#[test]
fn merging_keeps_up_with_many_small_imports() {
    let place = Place::new();
    let folder = place.path("in");
    fs::create_dir(&folder).expect("a folder");
    let watching = Watching::start(&place, &folder, "");
    for number in 0..9 {
        fs::write(folder.join(format!("{number}.ndjson")), traffic(10, 10 * number)).expect("written");
        watching.wait_for(&[&format!("{number}.ndjson "), "10 of"]);
    }
    let data_files = || files_below(&place.lake().join(TABLE)).len();
    assert!(data_files() <= 3, "{}", data_files());
    assert_eq!(watching.stop(), Vec::<String>::new());
    assert_eq!(data_files(), 1);
    place.assert_traffic_once(90, "after merging");
}

#[test]
fn objects_of_a_store_are_watched() {
    let Some(store) = Store::start() else { return };
    let (lake, logs) = (format!("s3://{BUCKET}/lake"), format!("s3://{BUCKET}/in"));
    let start = || Watching::start_with(&lake, &logs, store.environment());
    let watching = start();
    store.put("in/h=08/PT1H.json", traffic(10, 0));
    watching.wait_for(&["/in/h=08/PT1H.json (monitor-export): 10 of CommonSecurityLog"]);
    store.put("in/h=08/PT1H.json", traffic(15, 0));
    watching.wait_for(&["PT1H.json", "5 of", "from byte"]);
    assert_eq!(watching.stop(), Vec::<String>::new());
    let watching = start();
    store.put("in/h=09/PT1H.json", traffic(5, 15));
    let seen = watching.wait_for(&["PT1H.json"]);
    assert!(seen.len() == 2 && seen[1].contains("/in/h=09/PT1H.json (monitor-export): 5 of"), "{seen:?}");
    assert_eq!(watching.stop(), Vec::<String>::new());
}

#[test]
fn a_folder_that_does_not_exist_is_an_error() {
    let place = Place::new();
    let mut watching = Watching::start(&place, &place.path("none"), "");
    watching.wait_for(&["there is no file or folder"]);
    assert_eq!(watching.child.wait().expect("ended").code(), Some(2));
}
