//! Watchlists over a cached scan, and `diff` with the effects of watchlists and other changes.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use crate::location_database::write_location_database;
use crate::support::{Place, hindcast, row, stderr, stdout};

/// Scans with a cache into `out`, with further `arguments`; the last lines have the number of computed units.
fn scan(place: &Place, out: &str, arguments: &str) -> String {
    let output = hindcast(&format!(
        "scan --lake {} --state {} --out {} {arguments}",
        place.lake().display(),
        place.path("state").display(),
        place.path(out).display()
    ));
    assert!(output.status.success(), "{}", stderr(&output));
    stdout(&output)
}

fn summary(place: &Place, out: &str) -> Value {
    crate::support::read_json(&place.path(out).join("summary.json"))
}

fn lines(place: &Place, out: &str, file: &str) -> Vec<Value> {
    let text = fs::read_to_string(place.path(out).join(file)).expect("a file of lines");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn diff(place: &Place, before: &str, after: &str) -> Value {
    let (before, after) = (place.path(before), place.path(after));
    let output = hindcast(&format!("diff {} {} --json", before.display(), after.display()));
    assert!(output.status.success(), "{}", stderr(&output));
    serde_json::from_str(&stdout(&output)).expect("JSON")
}

fn device_of(finding: &Value) -> Option<&str> {
    let entities = finding["entities"].as_array()?;
    entities.iter().find(|entity| entity["kind"] == "device")?["name"].as_str()
}

#[test]
fn lists_suppress_raise_and_weight_without_reading_again() {
    let place = Place::with_demo("--days 2 --rows-per-day 12000 --seed 4");
    scan(&place, "plain", "");
    let findings = lines(&place, "plain", "findings.jsonl");
    let staged: Vec<&str> =
        findings.iter().filter(|f| f["analysis"] == "compression_staging").filter_map(device_of).collect();
    let (allowed, raised) = (staged[0], staged[1]);
    let named = |device: &str| findings.iter().filter(|f| device_of(f) == Some(device)).count() as u64;
    fs::write(
        place.path("allowed.csv"),
        format!("name,why\n{}.corp.example,backups\n", allowed.to_uppercase()),
    )
    .expect("written");
    let config = place.path("own.toml");
    let lists = format!(
        "[[watchlists]]\nname = 'fine'\nkind = 'device'\neffect = 'allow'\nfile = 'allowed.csv'\n\
         [[watchlists]]\nname = 'bad'\nkind = 'device'\neffect = 'raise'\nentries = ['{raised}']\n"
    );
    fs::write(&config, lists).expect("written");
    let printed = scan(&place, "listed", &format!("--config {}", config.display()));
    assert!(printed.contains("; 0 of "), "nothing is read again: {printed}");

    let listed = summary(&place, "listed");
    assert_eq!(listed["suppressed"]["fine"], named(allowed));
    assert_eq!(lines(&place, "listed", "suppressed.jsonl").len() as u64, named(allowed));
    let after = lines(&place, "listed", "findings.jsonl");
    assert!(after.iter().all(|finding| device_of(finding) != Some(allowed)));
    let rows = |summary: &Value| summary["suites"]["exfiltration"]["signals"]["compression_staging"].as_u64();
    assert!(rows(&listed) < rows(&summary(&place, "plain")), "suppressed findings are not scored");

    let difference = diff(&place, "plain", "listed");
    assert_eq!(difference["added"].as_array().map(Vec::len), Some(0));
    for gone in difference["gone"].as_array().expect("a list") {
        assert_eq!(
            (device_of(&gone["finding"]), &gone["why"][0]["kind"]),
            (Some(allowed), &Value::from("watchlist"))
        );
    }
    let changed = difference["changed"].as_array().expect("a list");
    assert_eq!(changed.len() as u64, named(raised));
    for change in changed {
        let severity = &change["fields"]["severity"];
        let step = (severity[0].as_str(), severity[1].as_str());
        assert!(matches!(
            step,
            (Some("low"), Some("medium")) | (Some("medium"), Some("high")) | (Some("high"), Some("critical"))
        ));
    }
}

#[test]
fn a_difference_is_attributed_to_parameters_data_or_window() {
    let place = Place::with_demo("--days 3 --rows-per-day 12000 --seed 4");
    scan(&place, "whole", "--suite firewall");
    let config = place.path("strict.toml");
    fs::write(&config, "[dns_tunneling]\nmax_average_bytes = 100000.0").expect("written");
    scan(&place, "strict", &format!("--suite firewall --config {}", config.display()));
    let difference = diff(&place, "whole", "strict");
    let gone = difference["gone"].as_array().expect("a list");
    assert!(!gone.is_empty());
    for finding in gone {
        assert_eq!(finding["finding"]["analysis"], "dns_tunneling");
        let why = finding["why"].to_string();
        assert!(
            why.contains("parameters") && why.contains("max_average_bytes 512.0, then 100000.0"),
            "{why}"
        );
    }

    scan(&place, "one-day", "--suite firewall --from 2026-01-05 --to 2026-01-06");
    let why = diff(&place, "whole", "one-day")["gone"].to_string();
    assert!(why.contains("window"), "{why}");

    // The files of one day are missing: the difference reports their findings as gone, with the reason.
    fs::remove_dir_all(place.lake().join("CommonSecurityLog/date=2026-01-06")).expect("removed");
    scan(&place, "thinned", "--suite firewall");
    let difference = diff(&place, "whole", "thinned");
    let reasons = format!("{}{}", difference["gone"], difference["changed"]);
    assert!(
        reasons.contains("CommonSecurityLog 2026-01-06") && reasons.contains("not looked at")
            || reasons.contains("0 rows"),
        "{reasons}"
    );
}

#[test]
fn a_difference_is_attributed_to_the_location_database() {
    let place = Place::with_demo("--days 2 --rows-per-day 12000 --seed 4");
    let other = place.path("other.mmdb");
    write_location_database(&other);
    let own = place.lake().join("geoip.mmdb");
    scan(&place, "own", &format!("--suite office365 --geoip {}", own.display()));
    scan(&place, "other", &format!("--suite office365 --geoip {}", other.display()));
    let difference = diff(&place, "own", "other");
    let gone = difference["gone"].as_array().expect("a list");
    assert!(gone.iter().any(|one| one["finding"]["analysis"] == "multi_location_users"), "{difference}");
    for one in gone {
        assert_eq!(one["why"][0]["kind"], "locations", "{one}");
        let what = one["why"][0]["what"].as_str().expect("a text");
        assert!(
            what.starts_with("Hindcast-Demo-City, built ") && what.contains(", then Test-City"),
            "{what}"
        );
    }
}

#[test]
fn an_allow_list_matches_the_json_initiator_of_an_audit_row() {
    let place = Place::new();
    let audit = |by: Value| {
        row([
            ("TimeGenerated", json!("2026-03-01T12:00:00Z")),
            ("OperationName", json!("ListKeys")),
            ("InitiatedBy", json!(by.to_string())),
        ])
    };
    let user = |name: &str, address: &str| {
        audit(json!({ "user": { "id": "7", "userPrincipalName": name, "ipAddress": address } }))
    };
    let app = audit(json!({ "app": { "displayName": "Sync", "servicePrincipalId": "9" } }));
    let rows = [user("Contractor.K@corp.example", "192.0.2.7:443"), user("ada@corp.example", ""), app];
    place.write_rows("AuditLogs", "2026-03-01", "part-0.parquet", &rows);
    scan(&place, "plain", "--only storage_audit");
    let named: BTreeSet<String> = lines(&place, "plain", "findings.jsonl")
        .iter()
        .flat_map(|finding| finding["entities"].as_array().expect("entities"))
        .map(|entity| format!("{} {}", entity["kind"], entity["name"]).replace('"', ""))
        .collect();
    let expected = ["ip 192.0.2.7", "user ada", "user contractor.k", "user sync"];
    assert_eq!(named, BTreeSet::from(expected.map(str::to_owned)));

    let config = place.path("own.toml");
    let list = "[[watchlists]]\nname = 'known'\nkind = 'user'\neffect = 'allow'\nentries = ['contractor.k']";
    fs::write(&config, list).expect("written");
    scan(&place, "listed", &format!("--only storage_audit --config {}", config.display()));
    assert_eq!(lines(&place, "listed", "findings.jsonl").len(), 2);
    assert_eq!(summary(&place, "listed")["suppressed"]["known"], 1);
}

#[test]
fn a_folder_without_results_and_a_list_without_its_column_are_named() {
    let place = Place::new();
    let output = hindcast(&format!("diff {0} {0}", place.path("nothing").display()));
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("nothing/summary.json"), "{}", stderr(&output));
    fs::write(place.path("list.csv"), "a,b\n1,2\n").expect("written");
    let config = place.path("own.toml");
    fs::write(
        &config,
        "[[watchlists]]\nname = 'l'\nkind = 'ip'\neffect = 'raise'\nfile = 'list.csv'\ncolumn = 'ip'",
    )
    .expect("written");
    let output = hindcast(&format!("scan --lake {} --config {}", place.lake().display(), config.display()));
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("list.csv") && stderr(&output).contains("\"ip\""),
        "{}",
        stderr(&output)
    );
}
