//! Comparisons of two scans that differ in one respect each.

use serde_json::{Value, json};

use super::reason::{DataSize, Which};
use super::*;

fn finding(id: &str) -> Finding {
    let value = json!({
        "id": id, "analysis": "beaconing", "suite": "firewall", "title": "A beacon", "severity": "high",
        "confidence": 70, "first_seen": "2026-03-02T08:00:00Z", "last_seen": "2026-03-02T09:00:00Z", "rows": 1,
        "stage": "beacon", "entities": [{ "kind": "ip", "name": "10.0.0.1" }],
        "techniques": [{ "id": "T1071", "name": "Application Layer Protocol" }],
        "explanation": "it calls out", "evidence": { "source_ip": "10.0.0.1" }, "watchlists": [],
    });
    serde_json::from_value(value).unwrap()
}

fn summary() -> Value {
    let date = |date: &str, rows: u64| {
        json!({
            "table": "CommonSecurityLog", "date": date, "status": "scanned", "files": 1, "rows": rows,
            "bytes": 100, "reason": null,
        })
    };
    json!({
        "window": { "from": "2026-03-01T00:00:00Z", "to": "2026-03-04T00:00:00Z" }, "suites": {},
        "risk": { "score": 40, "level": "MEDIUM", "explanation": [] }, "risk_by_day": [], "findings": 1,
        "suppressed": {}, "incidents": 0, "hubs": [], "analyses": { "beaconing": 1 }, "disabled": {},
        "coverage": { "tables": [date("2026-03-01", 5), date("2026-03-02", 7)], "complete": true },
        "version": "1.0.0", "config_hash": "abc",
    })
}

/// A scan with these findings, after a change to its summary.
fn scan(findings: Vec<Finding>, change: impl FnOnce(&mut Value)) -> StoredScan {
    let mut summary = summary();
    change(&mut summary);
    let parameters = json!({ "beaconing": { "max_jitter": 0.1 } });
    StoredScan::new(serde_json::from_value(summary).unwrap(), parameters, findings, Vec::new())
}

fn unchanged() -> StoredScan {
    scan(vec![finding("one")], |_| ())
}

/// Why the only finding of the first scan is gone in one that differs by `change`.
fn why_gone(change: impl FnOnce(&mut Value)) -> Vec<Reason> {
    let comparison = compare_scans(&unchanged(), &scan(Vec::new(), change));
    let [gone] = comparison.gone.as_slice() else { panic!("{comparison:?}") };
    assert!(comparison.added.is_empty() && comparison.changed.is_empty() && gone.fields.is_empty());
    gone.why.clone()
}

#[test]
fn equal_scans_differ_in_nothing() {
    let comparison = compare_scans(&unchanged(), &unchanged());
    assert_eq!(comparison.same, 1);
    assert!(comparison.added.is_empty() && comparison.gone.is_empty() && comparison.changed.is_empty());
    assert_eq!(comparison.risk, (Some(40), Some(40)));
}

#[test]
fn a_changed_finding_shows_its_fields() {
    let mut other = finding("one");
    other.confidence = 90;
    other.watchlists = vec!["known".into()];
    let comparison = compare_scans(&unchanged(), &scan(vec![other], |_| ()));
    let [changed] = comparison.changed.as_slice() else { panic!("{comparison:?}") };
    assert_eq!(changed.fields.keys().copied().collect::<Vec<_>>(), ["confidence", "watchlists"]);
    assert_eq!(changed.fields["confidence"], (json!(70), json!(90)));
    let watchlists = Reason::Watchlists { before: Vec::new(), after: vec!["known".into()] };
    assert_eq!(changed.why, [watchlists]);
}

#[test]
fn a_finding_outside_the_window_or_of_an_analysis_that_did_not_run_is_gone_for_that_reason() {
    let (from, to) = ("2026-03-03T00:00:00Z".to_owned(), "2026-03-04T00:00:00Z".to_owned());
    let moved = why_gone(|summary| summary["window"]["from"] = json!(from));
    assert_eq!(moved, [Reason::Window { scan: Which::Second, from, to }]);

    let not_run = |disabled: Option<&str>| Reason::NotRun {
        analysis: "beaconing".into(),
        scan: Which::Second,
        disabled: disabled.map(str::to_owned),
    };
    assert_eq!(why_gone(|summary| summary["analyses"] = json!({})), [not_run(None)]);
    let lack = "the lake has no table CommonSecurityLog";
    let disabled = why_gone(|summary| {
        summary["analyses"] = json!({});
        summary["disabled"] = json!({ "beaconing": lack });
    });
    assert_eq!(disabled, [not_run(Some(lack))]);
}

#[test]
fn another_rule_or_parameter_is_a_reason() {
    let rule = why_gone(|summary| summary["analyses"]["beaconing"] = json!(2));
    assert_eq!(rule, [Reason::RuleVersion { analysis: "beaconing".into(), before: 1, after: 2 }]);

    let mut other = scan(Vec::new(), |_| ());
    other.parameters = json!({ "beaconing": { "max_jitter": 0.2 }, "dns_tunneling": { "limit": 9 } });
    let comparison = compare_scans(&unchanged(), &other);
    let jitter =
        Reason::Parameter { path: "beaconing.max_jitter".into(), before: json!(0.1), after: json!(0.2) };
    assert_eq!(comparison.gone[0].why, [jitter]);
}

#[test]
fn data_of_the_findings_own_dates_comes_before_that_of_others() {
    let size = |rows| Some(DataSize { rows, files: 1, bytes: 100 });
    let data = |date: &str, before, after| Reason::Data {
        table: "CommonSecurityLog".into(),
        date: date.parse().unwrap(),
        before,
        after,
    };
    let other_date = why_gone(|summary| summary["coverage"]["tables"][0]["rows"] = json!(4));
    assert_eq!(other_date, [data("2026-03-01", size(5), size(4))]);
    let both = why_gone(|summary| {
        summary["coverage"]["tables"][0]["rows"] = json!(4);
        summary["coverage"]["tables"].as_array_mut().unwrap().pop();
    });
    assert_eq!(both, [data("2026-03-02", size(7), None)]);
}

#[test]
fn a_gap_of_one_scan_is_a_reason() {
    let gap = json!({
        "kind": "rows", "table": "CommonSecurityLog", "reason": "none of its 12 rows was looked at",
        "looked_for": ["Palo Alto Networks"], "found": ["Fortinet (12)"],
    });
    let reasons = why_gone(|summary| summary["coverage"]["gaps"] = json!([gap]));
    let [Reason::Gap { scan: Which::Second, gap }] = reasons.as_slice() else { panic!("{reasons:?}") };
    assert_eq!(gap.to_string(), "CommonSecurityLog: none of its 12 rows was looked at");
}

#[test]
fn without_another_reason_the_version_may_explain_it() {
    let version = why_gone(|summary| summary["version"] = json!("1.1.0"));
    assert_eq!(version, [Reason::Version { before: "1.0.0".into(), after: "1.1.0".into() }]);
    assert_eq!(why_gone(|_| ()), [Reason::Unknown]);
}

#[test]
fn a_suppressed_finding_names_its_lists() {
    let mut suppressed = finding("one");
    suppressed.watchlists = vec!["scanners".into()];
    let mut other = scan(Vec::new(), |_| ());
    other.suppressed = [("one".to_owned(), std::sync::Arc::new(suppressed))].into();
    let comparison = compare_scans(&unchanged(), &other);
    let reason = Reason::Suppressed { scan: Which::Second, watchlists: vec!["scanners".into()] };
    assert_eq!(comparison.gone[0].why, [reason]);
}

#[test]
fn versions_of_tables_that_differ_are_named() {
    let versions = |number: u64| json!([{ "table": "CommonSecurityLog", "version": number }]);
    let of = |findings, number| scan(findings, |summary| summary["coverage"]["versions"] = versions(number));
    let comparison = compare_scans(&of(vec![finding("one")], 3), &of(Vec::new(), 5));
    let change = VersionChange { table: "CommonSecurityLog".into(), before: Some(3), after: Some(5) };
    assert_eq!(comparison.versions, std::slice::from_ref(&change));
    assert_eq!(comparison.gone[0].why, [Reason::TableVersion(change)]);
    assert_eq!(comparison.gone[0].why[0].to_string(), "table version: CommonSecurityLog 3, then 5");
    let same = compare_scans(&of(vec![finding("one")], 3), &of(Vec::new(), 3));
    assert!(same.versions.is_empty());
    assert_eq!(same.gone[0].why, [Reason::Unknown]);
    let first = compare_scans(&unchanged(), &of(vec![finding("one")], 3));
    assert_eq!(first.versions[0].to_string(), "CommonSecurityLog none, then 3");
}
