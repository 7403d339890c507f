//! Randomly broken configuration files: each is read or refused with an error, and nothing panics or hangs. HINDCAST_MUTATIONS sets
//! their number.

use std::fs;

use hindcast_detections::Detections;
use hindcast_detections::config::{Config, Layer};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::arguments::read_config;
use super::watchlist_files::with_watchlists;
use hindcast_server::api::Settings;

/// Default number of files of each kind.
const RUNS: u64 = 300;

const COORDINATOR: &str = "listen = '127.0.0.1:7480'\nweb = '127.0.0.1:7484'\nstate = 's3://bucket/state'\nlakes = ['s3://bucket/lake']\n\
     [[tokens]]\nname = 'a'\nrole = 'read'\nsha256 = '0123456789012345678901234567890123456789012345678901234567890123'\n\
     [limits]\nrequest_bytes = 1048576\n[sql]\nseconds = 60\n[[schedule]]\nname = 'nightly'\nlake = 's3://bucket/lake'\nevery = '24h'\n";
const LAKE: &str = "[tables.CommonSecurityLog]\nworkspace = 'soc'\nfolder_slack_days = 1\n[tables.CommonSecurityLog.columns]\n\
     SourceIP = 'src'\n[beaconing]\nmin_sessions = 4\n[[watchlists]]\nname = 'w'\nkind = 'ip'\neffect = 'raise'\n\
     entries = ['192.0.2.7', '2001:db8::/32']\n";
const OWN: &str =
    "[[watchlists]]\nname = 'w'\nkind = 'ip'\neffect = 'allow'\nfile = 'list.csv'\ncolumn = 'ip'\n";
const LIST: &str = "note,ip\nseen,192.0.2.7\n\"a, \"\"b\"\"\",198.51.100.0/24\n,\n";

fn runs() -> u64 {
    std::env::var("HINDCAST_MUTATIONS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(RUNS)
}

fn mutated(text: &str, rng: &mut ChaCha8Rng) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..rng.random_range(1..4) {
        let at = rng.random_range(0..bytes.len());
        match rng.random_range(0..7) {
            0 => bytes.truncate(at.max(1)),
            1 => bytes[at] = rng.random_range(0..=255),
            2 => bytes.insert(at, rng.random_range(b' '..=b'~')),
            3 => drop(bytes.splice(at..at, b"[".repeat(rng.random_range(1..5_000)))),
            4 => drop(bytes.splice(at..at, b"a = {".repeat(rng.random_range(1..500)))),
            5 => drop(bytes.splice(at..at, b"99999999999999999999".iter().copied())),
            _ => {
                let end = (at + rng.random_range(1..40)).min(bytes.len());
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
        }
    }
    bytes
}

#[test]
fn broken_configurations_are_read_or_refused() {
    for seed in 0..runs() {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let text = String::from_utf8_lossy(&mutated(COORDINATOR, &mut rng)).into_owned();
        if let Err(error) = Settings::parse("c.toml", &text) {
            assert!(error.to_string().contains("c.toml"), "seed {seed}: {error}");
        }
        let text = String::from_utf8_lossy(&mutated(LAKE, &mut rng)).into_owned();
        let layer = Layer { name: "hindcast.toml", text: &text };
        // The error of a value out of range names only its key.
        let _ = Config::load("default", &[layer]);
    }
}

#[test]
fn broken_watchlists_are_read_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("own.toml");
    for seed in 0..runs() {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let is_list = seed % 2 == 0;
        let (own, list) = match is_list {
            true => (OWN.as_bytes().to_vec(), mutated(LIST, &mut rng)),
            false => (mutated(OWN, &mut rng), LIST.as_bytes().to_vec()),
        };
        fs::write(&config, own).unwrap();
        fs::write(folder.path().join("list.csv"), list).unwrap();
        let read =
            read_config(&config).and_then(|text| with_watchlists(&config, text, Detections::built_in()));
        match read {
            Ok(text) => drop(Config::load("default", &[Layer { name: "own.toml", text: &text }])),
            Err(error) if is_list => {
                assert!(error.to_string().contains("list.csv"), "seed {seed}: {error}");
            }
            Err(_) => {}
        }
    }
}
