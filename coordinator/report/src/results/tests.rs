//! Searches of synthetic findings: the matches and their order. `just bench-pages` measures their time.

use hindcast_base::entities::EntityKind;
use hindcast_detections::findings::Finding;
use hindcast_risk::EntityRisk;
use hindcast_risk::correlate::Incident;
use serde_json::json;

use super::{Query, Results};
use crate::compare::StoredScan;

const SEVERITIES: [&str; 4] = ["low", "medium", "high", "critical"];

/// The finding of a number: every third is an upload by a user, all others are beacons.
fn finding(number: usize) -> Finding {
    let is_upload = number.is_multiple_of(3);
    let source = format!("10.{}.{}.{}", number / 65_536 % 256, number / 256 % 256, number % 256);
    let user = format!("user{}", number % 500);
    let value = json!({
        "id": format!("{number:024x}"),
        "analysis": if is_upload { "cli_storage_uploads" } else { "beacon_scores" },
        "suite": if is_upload { "exfiltration" } else { "firewall" },
        "title": if is_upload { "Data uploaded to cloud storage" } else { "Beacon to an external address" },
        "severity": SEVERITIES[number % 4],
        "confidence": number % 100,
        "first_seen": format!("2026-01-{:02}T03:31:44.349533Z", 1 + number % 28),
        "last_seen": format!("2026-01-{:02}T04:31:44.349533Z", 1 + number % 28),
        "rows": number,
        "stage": if is_upload { "upload" } else { "beacon" },
        "entities": if is_upload {
            json!([{"kind": "user", "name": user, "full_name": format!("corp\\{user}")}])
        } else {
            json!([{"kind": "ip", "name": source}, {"kind": "ip", "name": "203.0.113.7"}])
        },
        "techniques": if is_upload {
            json!([{"id": "T1567.002", "name": "Exfiltration to Cloud Storage"}])
        } else {
            json!([{"id": "T1071", "name": "Application Layer Protocol"}])
        },
        "explanation": format!("what was seen of number {number}, in a sentence of usual length"),
        "evidence": if is_upload {
            json!({"account_name": user, "bytes_sent": number * 10, "command_line": "rclone.exe copy C:\\Data remote:Drop"})
        } else {
            json!({"source_ip": source, "destination_ip": "203.0.113.7", "score": number % 101, "beats": 30})
        },
    });
    serde_json::from_value(value).unwrap()
}

/// Results with `count` findings. The first two are an incident, and the user of the fourth has a risk.
pub fn results(count: usize) -> Results {
    let findings: Vec<Finding> = (0..count).map(finding).collect();
    let risk = |score: u64| json!({"score": score, "level": "HIGH", "contributions": []});
    let mut incident = json!({
        "id": "incident-1", "severity": "high", "first_seen": null, "last_seen": null, "suites": ["firewall"],
        "tactics": [], "stages": ["beacon"], "entities": findings[1].entities, "ties": [],
        "findings": [findings[0].id, findings[1].id],
    });
    incident.as_object_mut().unwrap().extend(risk(99).as_object().unwrap().clone());
    let mut entity = json!({"kind": "user", "name": "user3"});
    entity.as_object_mut().unwrap().extend(risk(40).as_object().unwrap().clone());
    let summary = json!({
        "window": {"from": "2026-01-01T00:00:00Z", "to": "2026-02-01T00:00:00Z"}, "suites": {},
        "risk": {"score": 99, "level": "HIGH", "explanation": []}, "risk_by_day": [], "findings": count,
        "suppressed": {}, "incidents": 1, "hubs": [], "analyses": {}, "disabled": {},
        "coverage": {"tables": [], "complete": true}, "version": "0", "config_hash": "",
    });
    let scan = StoredScan::new(serde_json::from_value(summary).unwrap(), json!({}), findings, Vec::new());
    let incidents: Vec<Incident> = vec![serde_json::from_value(incident).unwrap()];
    let entities: Vec<EntityRisk> = vec![serde_json::from_value(entity).unwrap()];
    Results::new(scan, incidents, entities)
}

fn found(results: &Results, text: &str) -> Vec<u64> {
    let query = Query::parse(text, results.columns(), results.scan.detections).unwrap();
    results.search(&query, 0, 1_000).page.iter().map(|entry| entry.finding.rows).collect()
}

#[test]
fn each_field_matches_its_findings() {
    let results = results(12);
    for (text, numbers) in [
        ("severity:critical sort:rows", vec![3, 7, 11]),
        ("severity:>=high suite:exfiltration sort:rows", vec![3, 6]),
        ("analysis:beacon* -severity:low sort:-rows", vec![11, 10, 7, 5, 2, 1]),
        ("src:10.0.0.5", vec![5]),
        ("dst:203.0.113.7 beacon:>=10 sort:rows", vec![10, 11]),
        ("user:user3", vec![3]),
        ("user:CORP\\user3", vec![3]),
        ("ip:10.0.0.1*  sort:rows", vec![1, 10, 11]),
        ("entity:user*", vec![0, 3, 6, 9]),
        ("technique:T1567 sort:rows", vec![0, 3, 6, 9]),
        ("technique:T1567.001", vec![]),
        ("tactic:exfiltration rows:>3 sort:rows", vec![6, 9]),
        ("stage:upload bytes_sent:<=30 sort:rows", vec![0, 3]),
        ("risk:>=70", vec![1, 0]),
        ("incident:incident-1", vec![1, 0]),
        ("first:>=2026-01-11 last:<2026-01-12", vec![10]),
        ("\"number 7,\"", vec![7]),
        ("RCLONE drop sort:rows", vec![0, 3, 6, 9]),
        ("command_line:*remote:drop -rows:0 sort:rows", vec![3, 6, 9]),
        ("beats:30 rows:2", vec![2]),
    ] {
        assert_eq!(found(&results, text), numbers, "{text}");
    }
}

#[test]
fn the_highest_risk_comes_first_and_a_page_is_a_part() {
    let results = results(12);
    // The two of the incident, the user with a risk, then by severity and confidence.
    assert_eq!(found(&results, "")[..4], [1, 0, 3, 11]);
    let found = results.search(&Query::default(), 4, 3);
    assert_eq!((found.total, found.page.len()), (12, 3));
    assert_eq!(found.severities, [("critical", 3), ("high", 3), ("medium", 3), ("low", 3)]);
    assert_eq!(found.analyses, [("beacon_scores", 8), ("cli_storage_uploads", 4)]);
    assert_eq!(results.search(&Query::default(), 100, 3).page.len(), 0);
    // Findings without the field come last in both orders.
    let ordered = |text: &str| {
        results.search(&Query::parse(text, results.columns(), results.scan.detections).unwrap(), 0, 12)
    };
    assert_eq!(ordered("sort:beacon").page.last().unwrap().finding.suite.name(), "exfiltration");
    assert_eq!(ordered("sort:-beacon").page.last().unwrap().finding.suite.name(), "exfiltration");
}

#[test]
fn entities_lead_to_their_findings_incidents_and_risks() {
    let results = results(12);
    let naming = |kind, name: &str| -> Vec<u64> {
        results.naming(kind, name).map(|entry| entry.finding.rows).collect()
    };
    assert_eq!(naming(EntityKind::User, "user3"), [3]);
    assert_eq!(naming(EntityKind::Ip, "203.0.113.7").len(), 8);
    assert!(naming(EntityKind::Device, "user3").is_empty());
    let incidents = |kind, name: &str| -> Vec<&str> {
        results.incidents_of(kind, name).map(|incident| incident.id.as_str()).collect()
    };
    assert_eq!(incidents(EntityKind::Ip, "10.0.0.1"), ["incident-1"]);
    assert!(incidents(EntityKind::Ip, "10.0.0.2").is_empty());
    assert_eq!(results.entity(EntityKind::User, "user3").map(|entity| entity.risk.score), Some(40));
    assert!(results.entity(EntityKind::User, "user0").is_none());
}

#[test]
fn a_finding_has_the_highest_risk_of_its_incident_and_entities() {
    let results = results(12);
    let risk = |number: usize| {
        results.finding(&format!("{number:024x}")).map(|entry| (entry.risk, entry.incident_id.as_deref()))
    };
    assert_eq!(risk(0), Some((99, Some("incident-1"))));
    assert_eq!(risk(3), Some((40, None)));
    assert_eq!(risk(4), Some((0, None)));
    assert_eq!(risk(12), None);
    assert!(results.incident("incident-1").is_some() && results.incident("incident-2").is_none());
}

#[test]
fn columns_are_those_of_all_evidence() {
    let columns: Vec<String> = results(2).columns().iter().cloned().collect();
    let expected =
        ["account_name", "beats", "bytes_sent", "command_line", "destination_ip", "score", "source_ip"];
    assert_eq!(columns, expected);
}
