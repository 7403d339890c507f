//! Scores and risks of runs: suppressed rows, suites that looked at nothing, and days.

use std::collections::BTreeSet;

use hindcast_base::entities::{Entity, EntityKind};
use hindcast_base::time::Window;
use hindcast_detections::analyses::Suite;
use hindcast_detections::findings::{Finding, Severity};
use hindcast_engine::{Manifest, RollupUnit, StateFolders, UnitStats};
use hindcast_lake::LakeFile;

use super::super::coverage::{CoverageEntry, Status};
use super::super::date_reason::DateReasons;
use super::super::test_lake::{TestLake, between};
use super::*;
use crate::test_finding;
use hindcast_risk::Level;

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn finding(id: &str, rows: u64) -> Finding {
    Finding {
        severity: Severity::High,
        confidence: 80,
        last_seen: Some("2026-03-01T11:00:00Z".into()),
        rows,
        entities: Entity::of(EntityKind::Ip, "10.0.0.1").into_iter().map(Into::into).collect(),
        ..test_finding::finding(id, "2026-03-01T10:00:00Z")
    }
}

fn coverage() -> Coverage {
    let entry = CoverageEntry {
        table: "CommonSecurityLog".into(),
        root: None,
        date: day("2026-03-01"),
        through: None,
        status: Status::Scanned,
        files: 1,
        rows: 9,
        bytes: 100,
        reasons: DateReasons::default(),
        read: None,
    };
    Coverage {
        tables: vec![entry],
        gaps: Vec::new(),
        complete: true,
        versions: Vec::new(),
        filters: Vec::new(),
        look_back: Vec::new(),
        replaced_state: Vec::new(),
    }
}

fn looked_at(assessment: Assessment) -> LookedAt {
    let days = vec![(day("2026-03-01"), day("2026-03-01"))];
    LookedAt { coverage: coverage(), assessment, days, computed_units: (0, 1) }
}

/// The outcome of a run over two days with these findings.
async fn outcome(findings: Vec<Finding>, suppressed: Vec<Finding>, assessment: Assessment) -> Outcome {
    let lake = TestLake::new();
    lake.write_sessions("2026-03-01", &[("10", "Palo Alto Networks", "10.0.0.1", "203.0.113.1")]);
    let config = lake.config("");
    let plan = lake.plan(&config, &["beaconing"], between("2026-03-01", "2026-03-03")).await.unwrap();
    let rows = findings.iter().chain(&suppressed).map(|finding| finding.rows).sum();
    let firewall = [("beaconing".to_owned(), rows)].into();
    let signals = Signals::from([(Suite::Firewall, firewall), (Suite::Office365, Default::default())]);
    let watched = Watched { findings, suppressed };
    score(&plan, &config, &EntityContext::default(), &watched, signals, looked_at(assessment))
}

#[tokio::test]
async fn rows_of_suppressed_findings_do_not_score() {
    let assessed = || Assessment::Assessed(BTreeSet::from([Suite::Firewall]));
    let outcome = outcome(vec![finding("one", 2)], vec![finding("two", 5)], assessed()).await;
    // The other suite looked at no row: it has no score.
    assert_eq!(outcome.suites.keys().collect::<Vec<_>>(), ["firewall"]);
    assert_eq!(outcome.suites["firewall"].signals["beaconing"], 2);
    assert_eq!(outcome.findings, 1);
    assert!(outcome.risk.is_assessed() && outcome.risk.score() > Some(0));
    assert_eq!(outcome.entities[0].entity.name, "10.0.0.1");
    let days: Vec<(String, Level, u64)> =
        outcome.risk_by_day.iter().map(|day| (day.date.to_string(), day.level, day.findings)).collect();
    assert_eq!(days.len(), 2);
    assert_eq!((days[0].0.as_str(), days[0].2), ("2026-03-01", 1));
    assert_eq!(days[1], ("2026-03-02".into(), Level::NotAssessed, 0));
}

#[tokio::test]
async fn a_run_that_looked_at_nothing_has_reasons_instead_of_a_risk() {
    let reasons = vec!["the window contains no rows".to_owned()];
    let outcome = outcome(Vec::new(), Vec::new(), Assessment::NotAssessed(reasons)).await;
    assert_eq!((outcome.risk.score(), outcome.risk.level()), (None, Level::NotAssessed));
    assert!(outcome.suites.is_empty() && outcome.incidents.is_empty());
}

/// A record of a unit of the plan's only table with rows from one time to another, in microseconds.
fn record(first_us: i64, last_us: i64) -> UnitRecord {
    let unit = RollupUnit {
        table: 0,
        date: day("2026-03-01"),
        files: Vec::<LakeFile>::new(),
        window: Window::new(0, 1).unwrap(),
        is_clipped: false,
        rollups: Default::default(),
        selection: None,
    };
    let stats = UnitStats { rows: 1, min_us: Some(first_us), max_us: Some(last_us), ..UnitStats::default() };
    let manifest = Manifest {
        key: "table/date/external_pairs/key".into(),
        rollup: "external_pairs".into(),
        stats: stats.into(),
        data: None,
        state_rows: 1,
    };
    let mut record = UnitRecord::new(unit);
    record.add([manifest], &StateFolders::default());
    record
}

#[tokio::test]
async fn days_with_rows_are_looked_at_if_anything_was() {
    let lake = TestLake::new();
    lake.write_sessions("2026-03-01", &[("10", "Palo Alto Networks", "10.0.0.1", "203.0.113.1")]);
    let config = lake.config("");
    let plan = lake.plan(&config, &["beaconing"], between("2026-03-01", "2026-03-03")).await.unwrap();
    // Rows from before the window to its first day.
    let day_us = 86_400_000_000;
    let records = PlanRecords {
        of_window: vec![record(plan.window.from_us - day_us, plan.window.from_us + 1)],
        past: Vec::new(),
    };
    let assessed = Assessment::Assessed(BTreeSet::from([Suite::Firewall]));
    assert_eq!(
        days_looked_at(&plan, &records, &coverage(), &assessed),
        [(day("2026-03-01"), day("2026-03-01"))]
    );
    let not_assessed = Assessment::NotAssessed(Vec::new());
    assert!(days_looked_at(&plan, &records, &coverage(), &not_assessed).is_empty());
}

#[test]
fn computed_units_are_counted() {
    let mut computed = record(0, 1);
    computed.was_computed = true;
    assert_eq!(computed_units([&computed, &record(0, 1)].into_iter()), (1, 2));
    assert_eq!(computed_units(std::iter::empty()), (0, 0));
}
