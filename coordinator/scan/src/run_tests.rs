//! Scans and investigations of small lakes: coverage, gaps of rows, assessment, and what an entity's rows show.

use hindcast_base::entities::{Entity, EntityKind};

use super::super::date_reason::DateReason;
use super::super::gap::GapCause;
use super::super::test_lake::{TestLake, between};
use super::super::{Status, Summary};
use super::*;

const VENDOR: &str = "Palo Alto Networks";

async fn scanned(lake: &TestLake, analyses: &[&str], window: (&str, &str)) -> ScanResult {
    let config = lake.config("");
    let plan = lake.plan(&config, analyses, between(window.0, window.1)).await.unwrap();
    lake.run(&config, &plan).await.unwrap()
}

fn statuses(summary: &Summary) -> Vec<(String, Status, u64)> {
    let entries = summary.coverage.tables.iter();
    entries.map(|entry| (format!("{} {}", entry.table, entry.when()), entry.status, entry.rows)).collect()
}

#[tokio::test]
async fn every_date_of_the_window_is_in_the_coverage() {
    let lake = TestLake::new();
    let session = ("10", VENDOR, "10.0.0.1", "203.0.113.1");
    lake.write_sessions("2026-03-01", &[session, session]);
    lake.write_sessions("2026-03-04", &[session]);
    let result = scanned(&lake, &["top_talkers"], ("2026-03-01", "2026-03-05")).await;
    let summary = &result.report.summary;
    assert_eq!(
        statuses(summary),
        [
            ("CommonSecurityLog 2026-03-01".into(), Status::Scanned, 2),
            ("CommonSecurityLog 2026-03-02 to 2026-03-03 (2 dates)".into(), Status::Missing, 0),
            ("CommonSecurityLog 2026-03-04".into(), Status::Scanned, 1),
        ]
    );
    assert!(summary.coverage.tables[1].reasons.is_only(&DateReason::NoFolder));
    assert!(summary.coverage.complete && summary.risk.is_assessed() && summary.is_whole());
    assert!(summary.unassessed_reasons().is_empty());
    assert_eq!(result.report.computed_units, (2, 2));
    // The second run finds the state, and gives the same.
    let again = scanned(&lake, &["top_talkers"], ("2026-03-01", "2026-03-05")).await;
    assert_eq!(again.report.computed_units, (0, 2));
    assert_eq!(
        serde_json::to_string(&again.report.summary).unwrap(),
        serde_json::to_string(summary).unwrap()
    );
}

#[tokio::test]
async fn a_broken_file_is_named_and_the_others_are_read() {
    let lake = TestLake::new();
    lake.write_sessions("2026-03-01", &[("10", VENDOR, "10.0.0.1", "203.0.113.1")]);
    std::fs::write(lake.path("CommonSecurityLog/date=2026-03-01/b.parquet"), "no Parquet").unwrap();
    let result = scanned(&lake, &["top_talkers"], ("2026-03-01", "2026-03-02")).await;
    let coverage = &result.report.summary.coverage;
    let [entry] = coverage.tables.as_slice() else { panic!("{:?}", coverage.tables) };
    assert_eq!((entry.status, entry.rows, coverage.complete), (Status::Failed, 1, false));
    let unread: Vec<String> = coverage.unread().collect();
    assert!(unread.len() == 1 && unread[0].contains("b.parquet"), "{unread:?}");
    assert_eq!(result.report.summary.reasons(), unread);
}

#[tokio::test]
async fn rows_of_another_vendor_are_a_gap_and_no_risk() {
    let lake = TestLake::new();
    let session = ("10", "Fortinet", "10.0.0.1", "203.0.113.1");
    lake.write_sessions("2026-03-01", &[session; 12]);
    let result = scanned(&lake, &["beaconing"], ("2026-03-01", "2026-03-02")).await;
    let summary = &result.report.summary;
    let [gap] = summary.coverage.gaps.as_slice() else { panic!("{:?}", summary.coverage.gaps) };
    let GapCause::Rows(unused) = &gap.cause else { panic!("{gap:?}") };
    assert_eq!((unused.rows, unused.column.as_str(), unused.others), (12, "DeviceVendor", 0));
    assert_eq!(unused.counts, [(Some("Fortinet".to_owned()), 12)]);
    assert!(!summary.coverage.complete && !summary.risk.is_assessed() && summary.suites.is_empty());
    assert_eq!(summary.risk.reasons(), [gap.to_string()]);
    assert!(summary.unassessed_reasons().is_empty());
}

#[tokio::test]
async fn an_empty_window_has_no_risk_and_says_why() {
    let lake = TestLake::new();
    lake.write_sessions("2026-03-01", &[("10", VENDOR, "10.0.0.1", "203.0.113.1")]);
    let window = ("2026-03-01T12:00:00Z", "2026-03-02");
    let summary = scanned(&lake, &["beaconing"], window).await.report.summary;
    let expected = [
        ("CommonSecurityLog 2026-03-01".into(), Status::Empty, 0),
        ("DeviceNetworkEvents 2026-03-01".into(), Status::Missing, 0),
    ];
    assert_eq!(statuses(&summary), expected);
    assert!(summary.coverage.complete && !summary.risk.is_assessed());
    assert_eq!(summary.risk.reasons(), ["the window contains no rows"]);
    assert_eq!(summary.unassessed_reasons(), ["the window contains no rows"]);
    // No analysis can run without its table.
    let window = ("2026-03-01", "2026-03-02");
    let summary = scanned(&lake, &["beaconing", "ip_locations"], window).await.report.summary;
    assert!(summary.risk.is_assessed() && summary.disabled.contains_key("ip_locations"));
}

#[tokio::test]
async fn an_investigation_reads_the_rows_of_its_entity_alone() {
    let lake = TestLake::new();
    let own = ("10", VENDOR, "10.0.0.1", "203.0.113.1");
    lake.write_sessions("2026-03-01", &[own, own, ("11", VENDOR, "10.0.0.2", "203.0.113.2")]);
    lake.write_sessions("2026-03-02", &[("11", VENDOR, "10.0.0.2", "203.0.113.2")]);
    let config = lake.config("");
    let window = between("2026-03-01", "2026-03-03");
    let investigated = |address: &str| Entity::of(EntityKind::Ip, address);
    let plan = lake.plan_of(&config, &[], window, investigated("10.0.0.1")).await.unwrap();
    let result = lake.run(&config, &plan).await.unwrap();
    let summary = &result.report.summary;
    let entity = summary.entity.as_ref().unwrap();
    assert_eq!((entity.name.as_str(), entity.rows), ("10.0.0.1", 2));
    assert_eq!(entity.first_seen.as_deref(), Some("2026-03-01T10:00:00Z"));
    assert_eq!(entity.names.get("10.0.0.1"), Some(&2));
    assert_eq!(summary.coverage.rows(), 2);
    // The second date was searched, without a row of the entity.
    let second = summary.coverage.tables.iter().find(|entry| entry.date.to_string() == "2026-03-02");
    assert_eq!(second.map(|entry| entry.status), Some(Status::Empty));
    assert!(summary.risk.is_assessed() && summary.coverage.gaps.is_empty());
    assert_eq!(result.tables[0].name, "entity_ties");

    // A mistyped name finds no row, and suggests the right one.
    let plan = lake.plan_of(&config, &[], window, investigated("10.0.0.11")).await.unwrap();
    let result = lake.run(&config, &plan).await.unwrap();
    let entity = result.report.summary.entity.unwrap();
    assert_eq!(entity.rows, 0);
    assert!(entity.similar_names.len() <= 3, "{:?}", entity.similar_names);
}
