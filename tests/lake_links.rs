//! Links that lead out of a lake, and special files in place of its configuration: a coordinator follows no link and waits for no pipe.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::sandbox::{Sandbox, Setup};
use crate::support::{Place, hindcast, stderr};

fn first_of(folder: &Path) -> PathBuf {
    fs::read_dir(folder).expect("a folder").flatten().next().expect("an entry").path()
}

#[test]
fn links_out_of_a_lake_are_refused_and_pipes_do_not_block() {
    let place = Place::with_demo("--days 1 --rows-per-day 500 --seed 3");
    let secret = Place::with_demo("--days 1 --rows-per-day 500 --seed 4");
    let sandbox = Sandbox::start(&place, Setup::local(&place), 1);
    let lake = place.lake();
    let table = lake.join("CommonSecurityLog");
    let date = first_of(&table);
    let refused = |what: &str, link: &Path, expected: &str| {
        let start = Instant::now();
        let output = sandbox.scan(&place.out(), "--quiet");
        assert_eq!(output.status.code(), Some(2), "{what}: {}", stderr(&output));
        assert!(stderr(&output).contains(expected), "{what}: {}", stderr(&output));
        assert!(start.elapsed() < Duration::from_secs(20), "{what} took {:?}", start.elapsed());
        fs::remove_file(link).expect("removed");
    };
    let out = "none of the places that may be read";
    let file = date.join("linked.parquet");
    let other = secret.lake().join("CommonSecurityLog");
    let other_date = first_of(&other);
    let other_file = first_of(&other_date);
    for (what, target, link) in [
        ("a file", &other_file, file.clone()),
        ("a date", &other_date, table.join("date=2031-01-01")),
        ("a folder of a date", &other_date, date.join("more")),
    ] {
        symlink(target, &link).expect("a link");
        refused(what, &link, out);
    }
    // In place of a table.
    fs::rename(lake.join("AuditLogs"), place.path("aside")).expect("moved");
    symlink(secret.lake().join("AuditLogs"), lake.join("AuditLogs")).expect("a link");
    refused("a table", &lake.join("AuditLogs"), out);
    fs::rename(place.path("aside"), lake.join("AuditLogs")).expect("moved back");
    let config = lake.join("hindcast.toml");
    symlink("/etc/hostname", &config).expect("a link");
    refused("a configuration", &config, out);
    assert!(Command::new("mkfifo").arg(&config).status().expect("mkfifo").success());
    refused("a pipe", &config, "not a regular file");
    let long = fs::File::create(&config).expect("a file");
    long.set_len(10 << 30).expect("a length");
    refused("10 GiB", &config, "longer than");
    // A URL that leads out.
    symlink(secret.lake(), lake.join("elsewhere")).expect("a link");
    for url in ["elsewhere", "%65lsewhere", "CommonSecurityLog/../elsewhere"] {
        let url = format!("file://{}/{url}", lake.display());
        let output = sandbox.hindcast(&format!("scan --lake {url} --out {}", place.path("other").display()));
        assert_eq!(output.status.code(), Some(2), "{url}: {}", stderr(&output));
        assert!(stderr(&output).contains("not among the lakes"), "{url}: {}", stderr(&output));
    }
    fs::remove_file(lake.join("elsewhere")).expect("removed");
    let output = sandbox.scan(&place.out(), "--quiet");
    assert!(output.status.success(), "{}\n{}", stderr(&output), sandbox.logs());
    // A local scan reads everything that its user may read, but does not wait for a pipe either.
    assert!(Command::new("mkfifo").arg(&config).status().expect("mkfifo").success());
    let output =
        hindcast(&format!("scan --lake {} --out {} --no-cache", lake.display(), place.out().display()));
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
}
