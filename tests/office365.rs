//! The Office 365 suite beyond its cases: companion tables, locations in findings, the location database.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::location_database::write_location_database;
use crate::same_bytes::{assert_same, files_of};
use crate::sandbox::{Sandbox, Setup};
use crate::support::{Place, hindcast, row, stderr, stdout};

type Row = BTreeMap<String, Value>;

fn activity(time: &str, user: &str, operation: &str, address: &str) -> Row {
    row([
        ("TimeGenerated", json!(format!("2026-03-{time}Z"))),
        ("UserType", json!("Regular")),
        ("RecordType", json!("ExchangeItem")),
        ("Operation", json!(operation)),
        ("UserId", json!(user)),
        ("ClientIP", json!(address)),
        ("Client_IPAddress", json!("<null>")),
        ("UserAgent", json!("Edge")),
    ])
}

/// Writes rows to the folders of their dates, with a number of files per date.
fn write(place: &Place, rows: &[Row], parts: usize) {
    let mut by_date: BTreeMap<&str, Vec<Row>> = BTreeMap::new();
    for row in rows {
        by_date.entry(&row["TimeGenerated"].as_str().expect("a time")[..10]).or_default().push(row.clone());
    }
    for (date, of_date) in by_date {
        for part in 0..parts {
            let rows: Vec<Row> = of_date.iter().skip(part).step_by(parts).cloned().collect();
            place.write_rows("OfficeActivity", date, &format!("{part}.parquet"), &rows);
        }
    }
}

fn location_database(place: &Place) -> PathBuf {
    let path = place.path("geoip.mmdb");
    write_location_database(&path);
    path
}

/// Many users, operations and places over two days; two users are in two countries at the same time.
fn busy_tenant() -> Vec<Row> {
    let networks = ["81.2.69", "81.2.70", "89.160.20", "10.1.1"];
    let operations = ["Send", "MailItemsAccessed", "FileAccessed", "MailboxLogin", "FileDownloaded"];
    let rows = (0..1200).map(|index: usize| {
        let user = index * 7 % 40;
        activity(
            &format!("0{}T{:02}:{:02}:07", 1 + index % 2, index / 60 % 24, index % 60),
            &format!("User{user}@Corp.example"),
            operations[index / 40 % 5],
            &format!("{}.{}:443", networks[user % 4], 1 + index % 3),
        )
    });
    let abroad = (0..2).flat_map(|user| {
        let attacker = |operation: &str| {
            activity("01T12:20:00", &format!("user{user}@corp.example"), operation, "175.45.176.99")
        };
        [attacker("New-InboxRule"), attacker("MailItemsAccessed"), attacker("MailItemsAccessed")]
    });
    rows.chain(abroad).collect()
}

fn only(place: &Place, analysis: &str) -> Vec<Value> {
    place.findings().into_iter().filter(|finding| finding["analysis"] == analysis).collect()
}

#[test]
fn the_most_common_operations_are_counted_from_all() {
    let place = Place::new();
    let rows: Vec<Row> = (0..12usize)
        .flat_map(|kind| {
            let times = if kind == 3 { 5 } else { 1 };
            (0..times).map(move |_| activity("01T10:00:00", "ada", &format!("Op{kind:02}"), "81.2.69.1"))
        })
        .collect();
    write(&place, &rows, 1);
    place.scan_well("--only operation_summary");
    assert_eq!(place.table("operation_summary").len(), 12);
    let common = place.table("common_operations");
    assert_eq!(common.len(), 10);
    assert_eq!(common[0], json!({ "record_type": "ExchangeItem", "operation": "Op03", "operations": 5 }));
    assert_eq!(common[1]["operation"], "Op00");
    assert_eq!(common[9]["operation"], "Op09");
}

#[test]
fn busy_hours_are_summed_by_account_and_operation() {
    let place = Place::new();
    let at = |hour: u32, user: &str, operation: &str| {
        activity(&format!("01T{hour}:00:00"), user, operation, "81.2.69.1")
    };
    let mut rows: Vec<Row> = (0..5).map(|_| at(10, "ada@corp.example", "Send")).collect();
    rows.extend([
        at(11, "Ada@other.example", "Send"),
        at(11, "bob", "Send"),
        at(12, "ada@corp.example", "Delete"),
    ]);
    write(&place, &rows, 1);
    place.scan_well("--only top_accounts");
    assert_eq!(place.table("top_accounts").len(), 4);
    let line = |account: &str, operation: &str, mean: f64, operations: u64, rows: u64| json!({ "account": account, "operation": operation, "mean_operations": mean, "operations": operations, "rows": rows });
    assert_eq!(
        place.table("top_accounts_pivot"),
        [line("ada", "Delete", 1.0, 1, 1), line("ada", "Send", 3.0, 6, 2), line("bob", "Send", 1.0, 1, 1)]
    );
}

#[test]
fn two_countries_within_minutes_are_a_finding_and_a_journey_and_two_addresses_at_home_are_none() {
    let place = Place::new();
    let at = |time: &str, user: &str, address: &str| activity(time, user, "MailItemsAccessed", address);
    write(
        &place,
        &[
            at("01T10:00:00", "home@corp.example", "81.2.69.1"),
            at("01T10:01:00", "home@corp.example", "81.2.69.2"),
            at("01T10:00:00", "taken@corp.example", "81.2.69.1"),
            at("01T10:01:00", "taken@corp.example", "81.2.69.2"),
            at("01T10:26:30", "taken@corp.example", "175.45.176.99"),
            at("01T10:00:00", "abroad@corp.example", "81.2.69.1"),
            at("01T10:01:00", "abroad@corp.example", "81.2.69.2"),
            at("02T10:01:00", "abroad@corp.example", "89.160.20.1"),
            at("01T10:00:00", "office@corp.example", "10.0.0.1"),
            at("01T10:01:00", "office@corp.example", "10.0.0.2"),
        ],
        1,
    );
    let geoip = location_database(&place);
    place.scan_well(&format!("--only multi_location_users --geoip {}", geoip.display()));
    assert_eq!(place.table("multi_location_users").len(), 4);
    let findings = only(&place, "multi_location_users");
    let by_user: BTreeMap<&str, (&str, u64, &str)> = findings
        .iter()
        .map(|finding| {
            let user = finding["evidence"]["user"].as_str().expect("a user");
            let explanation = finding["explanation"].as_str().expect("an explanation");
            let severity = finding["severity"].as_str().expect("a severity");
            (user, (severity, finding["confidence"].as_u64().expect("a number"), explanation))
        })
        .collect();
    assert_eq!(by_user.len(), 1, "{by_user:?}");
    assert_eq!(
        by_user["taken@corp.example"],
        (
            "high",
            70,
            "2 operations from 2 addresses in London, GB, first 81.2.69.1; the account was in 2 countries: in London, GB (81.2.69.2), \
             and 25 minutes later in Pyongyang, KP (175.45.176.99)"
        )
    );
}

#[test]
fn a_sensitive_operation_from_a_rare_country_stands_out() {
    let place = Place::new();
    write(&place, &busy_tenant(), 1);
    let geoip = location_database(&place);
    place.scan_well(&format!("--only rare_combinations --geoip {}", geoip.display()));
    let findings = only(&place, "rare_combinations");
    let high: Vec<&Value> = findings.iter().filter(|finding| finding["severity"] == "high").collect();
    assert_eq!(high.len(), 1, "{findings:#?}");
    assert_eq!(high[0]["evidence"]["operation"], "New-InboxRule");
    assert_eq!(
        high[0]["explanation"],
        "sensitive operation New-InboxRule with `Edge` from KP (2.60 % of what users do) by user0@corp.example from 175.45.176.99, seen 2 times in the window"
    );
    // Without a database the operation is still reported, with less weight.
    place.scan_well("--only rare_combinations");
    let findings = only(&place, "rare_combinations");
    let rule = findings.iter().find(|finding| finding["evidence"]["operation"] == "New-InboxRule");
    assert_eq!(rule.expect("the rule")["severity"], "medium");
}

#[test]
fn a_scan_says_which_location_database_it_had_or_lacked() {
    let place = Place::new();
    write(&place, &busy_tenant(), 1);
    place.scan_well("--suite office365");
    let summary = place.summary();
    assert_eq!(summary["locations"], Value::Null);
    for analysis in ["multi_location_users", "operation_matrix", "ip_locations"] {
        let reason = summary["disabled"][analysis].as_str().expect("a reason");
        assert!(reason.contains("--geoip"), "{reason}");
    }
    let without_columns = json!("OfficeActivity has no column Parameters");
    assert_eq!(summary["disabled"]["mailbox_rules"], without_columns);
    assert_eq!(summary["disabled"].as_object().map(|disabled| disabled.len()), Some(4));
    let geoip = location_database(&place).display().to_string();
    place.scan_well(&format!("--suite office365 --geoip {geoip}"));
    let summary = place.summary();
    assert_eq!(summary["locations"], json!({ "database": "Test-City", "built": "2026-03-01T00:00:00Z" }));
    assert_eq!(summary["disabled"], json!({ "mailbox_rules": without_columns }));
    let output = place.scan(&format!("--suite office365 --geoip {geoip} --dry-run"));
    assert!(stdout(&output).contains("locations Test-City, built 2026-03-01"), "{}", stdout(&output));

    let lake = place.lake();
    let broken = place.scan(&format!("--geoip {}/OfficeActivity/date=2026-03-01/0.parquet", lake.display()));
    assert_eq!(broken.status.code(), Some(2));
    assert!(stderr(&broken).contains("0.parquet can't be read"), "{}", stderr(&broken));
    let elsewhere = place.scan(&format!("--geoip {geoip} --coordinator 127.0.0.1:1"));
    assert_eq!(elsewhere.status.code(), Some(2));
    assert!(stderr(&elsewhere).contains("hindcast coordinator"), "{}", stderr(&elsewhere));
}

#[test]
fn locations_do_not_depend_on_threads_files_or_workers() {
    let place = Place::new();
    write(&place, &busy_tenant(), 1);
    let geoip = location_database(&place).display().to_string();
    let results = [1, 2, 7].map(|threads| {
        place.scan_well(&format!("--geoip {geoip} --threads {threads}"));
        files_of(&place.out())
    });
    assert_same(&results[0], &results[1], "1 and 2 threads");
    assert_same(&results[0], &results[2], "1 and 7 threads");

    let setup = Setup { config: format!("geoip = {geoip:?}\n"), ..Setup::local(&place) };
    let sandbox = Sandbox::start(&place, setup, 2);
    let out = place.path("remote");
    let output = sandbox.scan(&out, "--no-cache");
    assert!(output.status.success(), "{}\n{}", stderr(&output), sandbox.logs());
    assert_same(&results[0], &files_of(&out), "locally and on two workers");

    let scattered = Place::new();
    let mut rows = busy_tenant();
    rows.reverse();
    write(&scattered, &rows, 3);
    scattered.scan_well(&format!("--geoip {geoip}"));
    let without_coverage = |mut files: BTreeMap<String, Vec<u8>>| {
        files.remove("summary.json");
        files
    };
    let scattered = without_coverage(files_of(&scattered.out()));
    assert_same(&without_coverage(results[0].clone()), &scattered, "one file and three");
}

/// Columns that only some analyses read may be missing for the others.
#[test]
fn missing_columns_disable_only_analyses_that_need_them() {
    let place = Place::new();
    let rows: Vec<Row> = busy_tenant()
        .into_iter()
        .map(|mut row| {
            row.remove("UserAgent");
            row.remove("Client_IPAddress");
            row
        })
        .collect();
    write(&place, &rows, 1);
    let output = hindcast(&format!("scan --lake {} --dry-run --json", place.lake().display()));
    let plan: Value = serde_json::from_slice(&output.stdout).expect("a plan");
    // One of two columns of addresses is enough, and no analysis needs the user agent.
    let disabled = plan["disabled"].as_object().expect("disabled analyses");
    assert_eq!(disabled["mailbox_rules"], "OfficeActivity has no column Parameters");
    assert!(
        ["top_accounts", "rare_combinations", "operation_summary", "ip_variability"]
            .iter()
            .all(|id| !disabled.contains_key(*id))
    );
    place.scan_well("--suite office365");
    assert!(!place.table("ip_variability").is_empty() && !place.table("rare_combinations").is_empty());
    assert!(fs::exists(place.out().join("tables/operation_timeline.json")).expect("a folder"));
}
