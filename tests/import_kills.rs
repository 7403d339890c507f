//! Imports and watches that are killed at seeded moments: nothing is lost, and nothing is there twice. `HINDCAST_KILLS` sets the
//! number of runs, `HINDCAST_KILLS_SEED` the first seed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::import::traffic;
use crate::import_watch::Watching;
use crate::support::{Place, hindcast, stderr};

/// The default number of runs of each test.
const RUNS: u64 = 3;
/// Files, and rows of each.
const FILES: u64 = 6;
const ROWS: u64 = 2_000;

fn seeds() -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let first = number("HINDCAST_KILLS_SEED").unwrap_or(1);
    first..first + number("HINDCAST_KILLS").unwrap_or(RUNS)
}

/// A place with a folder of files.
fn place() -> (Place, PathBuf) {
    let place = Place::new();
    let folder = place.path("in");
    fs::create_dir(&folder).expect("a folder");
    for number in 0..FILES {
        write_file(&folder, number);
    }
    (place, folder)
}

fn write_file(folder: &Path, number: u64) {
    fs::write(folder.join(format!("{number}.ndjson")), traffic(ROWS, number * ROWS)).expect("written");
}

#[test]
fn an_import_killed_at_any_moment_loses_and_doubles_nothing() {
    let line = |place: &Place, folder: &Path| {
        format!("import {} --lake {} --quiet", folder.display(), place.lake().display())
    };
    let (whole, folder) = place();
    let start = Instant::now();
    assert!(hindcast(&line(&whole, &folder)).status.success());
    let length = start.elapsed();
    for seed in seeds() {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let (place, folder) = place();
        let moment = length.mul_f64(random.random_range(0.0..1.1));
        let arguments = line(&place, &folder);
        let mut child = Command::new(env!("CARGO_BIN_EXE_hindcast"))
            .args(arguments.split_whitespace())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary runs");
        std::thread::sleep(moment);
        // It may have ended.
        let _ = child.kill();
        child.wait().expect("ended");
        let again = hindcast(&arguments);
        assert!(again.status.success(), "seed {seed}: {}", stderr(&again));
        let context = format!("seed {seed}, killed after {moment:?} of {length:?}");
        place.assert_traffic_once(FILES * ROWS, &context);
        println!("{context}");
    }
}

#[test]
fn a_watch_killed_at_any_moment_loses_and_doubles_nothing() {
    for seed in seeds() {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let (place, folder) = place();
        let mut moments = Vec::new();
        // It looks at the files at once, and imports them a second later.
        for part in 0..3 {
            let watching = Watching::start(&place, &folder, "");
            let moment = Duration::from_millis(random.random_range(900..3_000));
            let half = moment.mul_f64(random.random_range(0.0..1.0));
            std::thread::sleep(half);
            write_file(&folder, FILES + part);
            let log = folder.join("0.ndjson");
            let grown =
                fs::read_to_string(&log).expect("a log") + &traffic(10, (FILES + 3) * ROWS + 10 * part);
            fs::write(&log, grown).expect("written");
            std::thread::sleep(moment - half);
            watching.kill();
            moments.push(moment);
        }
        let watching = Watching::start(&place, &folder, "");
        fs::write(folder.join("last.ndjson"), traffic(1, (FILES + 3) * ROWS + 30)).expect("written");
        watching.wait_for(&["last.ndjson "]);
        watching.stop();
        let context = format!("seed {seed}, killed after {moments:?}");
        println!("{context}");
        place.assert_traffic_once((FILES + 3) * ROWS + 31, &context);
    }
}
