//! Windows of centuries: missing dates take one row per run of dates, not one per date.

use std::fs;

use serde_json::{Value, json};

use crate::page_client::{View, get};
use crate::sandbox::{Sandbox, Setup};
use crate::support::{Place, stderr, stdout};

const EVER: &str = "--from 0001-01-01 --to 9999-12-31";

fn entries<'a>(summary: &'a Value, table: &str) -> Vec<&'a Value> {
    let all = summary["coverage"]["tables"].as_array().expect("coverage");
    all.iter().filter(|entry| entry["table"] == table).collect()
}

#[test]
fn each_run_of_dates_without_folders_is_one_row() {
    let place = Place::with_demo("--days 2 --rows-per-day 2000 --seed 3 --start 2026-01-05");
    fs::remove_dir_all(place.lake().join("AuditLogs")).expect("removed");
    place.scan_well(&format!("{EVER} --format json,parquet,html"));
    let summary = place.summary();
    let firewall = entries(&summary, "CommonSecurityLog");
    let listed: Vec<_> =
        firewall.iter().map(|e| (e["date"].as_str(), e["through"].as_str(), e["status"].as_str())).collect();
    assert_eq!(
        listed,
        [
            (Some("0001-01-01"), Some("2026-01-04"), Some("missing")),
            (Some("2026-01-05"), None, Some("scanned")),
            (Some("2026-01-06"), None, Some("scanned")),
            (Some("2026-01-07"), Some("9999-12-30"), Some("missing")),
        ]
    );
    let audits = entries(&summary, "AuditLogs");
    assert_eq!(audits.len(), 1);
    assert_eq!((&audits[0]["date"], &audits[0]["through"]), (&json!("0001-01-01"), &json!("9999-12-30")));
    // Days without data have no risk and are not listed one by one.
    let days = summary["risk_by_day"].as_array().expect("days");
    let listed: Vec<_> = days.iter().map(|day| (day["date"].as_str(), day["score"].is_null())).collect();
    assert_eq!(
        listed,
        [
            (Some("0001-01-01"), true),
            (Some("2026-01-05"), false),
            (Some("2026-01-06"), false),
            (Some("2026-01-07"), true)
        ]
    );
    assert_eq!((&days[0]["through"], &days[0]["level"]), (&json!("2026-01-04"), &json!("not assessed")));
    let size = fs::metadata(place.out().join("summary.json")).expect("summary.json").len();
    assert!(size < 64 << 10, "{size} bytes");
    let view = View::start(&place.out(), &[]);
    let page = get(view.port, "/coverage").body;
    assert!(page.contains("0001-01-01 to 2026-01-04 (739620 dates)"), "{page}");
    assert!(get(view.port, "/").body.contains("2026-01-07 to 9999-12-30"));
    // The lake's own window is listed day by day.
    place.scan_well("");
    let summary = place.summary();
    assert!(summary["risk_by_day"].as_array().is_some_and(|days| days.len() == 2));
    assert!(entries(&summary, "CommonSecurityLog").iter().all(|entry| entry["through"].is_null()));
}

#[test]
fn an_entity_is_searched_in_long_windows() {
    let place = Place::with_demo("--days 1 --rows-per-day 2000 --seed 3 --start 2026-01-05");
    let short = place.investigate("ip 10.200.0.10", "");
    assert!(short.status.success(), "{}", stderr(&short));
    let peers = place.table("entity_peers");
    let long = place.investigate("ip 10.200.0.10", EVER);
    assert!(long.status.success(), "{}", stderr(&long));
    assert_eq!(place.table("entity_peers"), peers);
}

#[test]
fn a_coordinator_handles_long_windows() {
    let place = Place::with_demo("--days 1 --rows-per-day 2000 --seed 3 --start 2026-01-05");
    let sandbox = Sandbox::start(&place, Setup::local(&place), 1);
    for window in [EVER, "--from 1900-01-01 --to 2100-01-01"] {
        let output = sandbox.scan(&place.out(), &format!("--format json,parquet {window}"));
        assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
        assert_eq!(entries(&place.summary(), "CommonSecurityLog").len(), 3);
    }
}
