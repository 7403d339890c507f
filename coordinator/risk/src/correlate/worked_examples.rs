//! Worked examples of docs/risk.md: which findings are related, and what an incident says, computed by hand.

use std::collections::BTreeSet;

use hindcast_base::entities::EntityKind;
use hindcast_detections::analyses::Suite;
use hindcast_detections::findings::{Finding, KillChainPhase, NamedEntity, Severity, Tactic};
use serde_json::json;

use super::groups::Groups;
use super::tests::{DEVICE, IP, USER, finding, incidents, of, relation};
use super::*;
use crate::test_entities::{acting, contacted};
use crate::{Level, RiskSource};

const STAGING: KillChainPhase = KillChainPhase::Staging;
const UPLOAD: KillChainPhase = KillChainPhase::Upload;

fn ids(incidents: &[Incident]) -> Vec<Vec<&str>> {
    incidents.iter().map(|incident| incident.findings.iter().map(String::as_str).collect()).collect()
}

/// Staging on device `a` and an upload from device `b` on the same day, which share nothing.
fn on_two_devices() -> [Finding; 2] {
    [
        finding("on a", STAGING, "2026-01-01T10:00:00Z", &[(DEVICE, "a")]),
        finding("on b", UPLOAD, "2026-01-01T11:00:00Z", &[(DEVICE, "b")]),
    ]
}

#[test]
fn groups_are_merged_under_their_smallest_index() {
    let mut groups = Groups::new(5);
    groups.unite(3, 4);
    groups.unite(4, 1);
    assert_eq!([0, 1, 2, 3, 4].map(|index| groups.root(index)), [0, 1, 2, 1, 1]);
}

#[test]
fn a_span_has_no_negative_length_and_needs_a_first_instant() {
    let mut one = finding("a", STAGING, "1970-01-01T00:00:02Z", &[]);
    one.last_seen = None;
    assert_eq!(span_us(&one), Some((2_000_000, 2_000_000)));
    one.last_seen = Some("1970-01-01T00:00:01Z".into());
    assert_eq!(span_us(&one), Some((2_000_000, 2_000_000)));
    one.last_seen = Some("1970-01-01T00:00:05.5Z".into());
    assert_eq!(span_us(&one), Some((2_000_000, 5_500_000)));
    one.first_seen = None;
    assert_eq!(span_us(&one), None);
}

#[test]
fn findings_of_an_entity_are_related_up_to_24_hours_after_the_last_evidence() {
    let at = |id: &str, phase, time: &str| finding(id, phase, time, &[(DEVICE, "ws-1")]);
    let first = at("first", STAGING, "2026-01-01T10:00:00Z");
    let in_time = at("in time", UPLOAD, "2026-01-02T10:00:00Z");
    let late = at("late", UPLOAD, "2026-01-02T10:00:01Z");
    assert_eq!(ids(&of(&[first.clone(), in_time], &[])), [["first", "in time"]]);
    assert!(of(&[first.clone(), late.clone()], &[]).is_empty());
    // With evidence until noon, the same finding is in time.
    let long = Finding { last_seen: Some("2026-01-01T12:00:00Z".into()), ..first };
    assert_eq!(ids(&of(&[long, late], &[])), [["first", "late"]]);
}

#[test]
fn a_finding_without_a_time_is_in_no_incident() {
    let mut findings = on_two_devices();
    let entities = findings[0].entities.clone();
    findings[1].entities = entities;
    assert_eq!(of(&findings, &[]).len(), 1);
    findings[1].first_seen = None;
    assert!(of(&findings, &[]).is_empty());
}

#[test]
fn a_url_relates_nothing_and_a_storage_account_does() {
    let shared = |kind: EntityKind, name: &str| {
        let mut findings = on_two_devices();
        findings.iter_mut().for_each(|finding| finding.entities.extend(contacted(kind, name)));
        of(&findings, &[]).len()
    };
    assert_eq!(shared(EntityKind::Url, "https://files.example/upload"), 0);
    assert_eq!(shared(EntityKind::StorageAccount, "dropzone"), 1);
    assert_eq!(shared(USER, "ada"), 1);
}

#[test]
fn a_name_with_more_than_five_relations_on_a_day_is_a_hub() {
    let through = |degree: u64| {
        let relations =
            ["a", "b"].map(|device| relation("2026-01-01", (IP, "10.0.0.9"), (DEVICE, device), degree));
        of(&on_two_devices(), &relations).len()
    };
    assert_eq!((through(5), through(6)), (1, 0));
}

#[test]
fn a_hub_is_listed_with_its_largest_degree_if_several_findings_name_it() {
    let proxy = (IP, "10.0.0.254");
    let mut findings = on_two_devices();
    findings.iter_mut().for_each(|finding| finding.entities.extend(contacted(proxy.0, proxy.1)));
    let relations = [("2026-01-01", 40), ("2026-01-02", 90)]
        .map(|(date, degree)| relation(date, proxy, (DEVICE, "c"), degree));
    let (found, hubs) = incidents(&findings, &relations, &Prevalence::default());
    assert!(found.is_empty());
    assert_eq!(hubs, [Hub { entity: Entity::of(proxy.0, proxy.1).unwrap(), degree: 90, findings: 2 }]);
    // Only one finding names it: it is not listed.
    findings[1].entities.retain(|entity| entity.kind != IP);
    assert!(incidents(&findings, &relations, &Prevalence::default()).1.is_empty());
}

/// A domain controller to which 40 hosts talk: what it does itself relates findings, that others talk to it does not.
#[test]
fn an_address_is_a_hub_only_as_a_destination() {
    let controller = (IP, "10.0.0.5");
    let prevalence = Prevalence { sources: [("10.0.0.5".to_owned(), 40)].into(), total: 50 };
    let through = |role: fn(EntityKind, &str) -> Option<NamedEntity>| {
        let mut findings = on_two_devices();
        findings.iter_mut().for_each(|finding| finding.entities.extend(role(controller.0, controller.1)));
        let (found, hubs) = incidents(&findings, &[], &prevalence);
        (found.len(), hubs.len())
    };
    assert_eq!((through(acting), through(contacted)), ((1, 0), (0, 1)));
}

#[test]
fn rows_relate_findings_only_on_a_day_on_which_both_are_active() {
    let relations =
        |date: &str| ["a", "b"].map(|device| relation(date, (IP, "10.0.0.9"), (DEVICE, device), 2));
    let findings = on_two_devices();
    assert_eq!(of(&findings, &relations("2026-01-01")).len(), 1);
    assert!(of(&findings, &relations("2026-01-02")).is_empty());
    // Evidence that lasts into the next day makes a finding active on that day.
    let long = findings.map(|finding| Finding { last_seen: Some("2026-01-02T00:00:00Z".into()), ..finding });
    assert_eq!(of(&long, &relations("2026-01-02")).len(), 1);
}

#[test]
fn an_incident_says_what_when_who_and_how_bad() {
    let mut upload = finding(
        "upload",
        UPLOAD,
        "2026-01-01T08:00:00Z",
        &[(DEVICE, "ws-1"), (EntityKind::Url, "https://files.example/x")],
    );
    upload.severity = Severity::High;
    upload.last_seen = Some("2026-01-01T20:00:00Z".into());
    let staging = finding("staging", STAGING, "2026-01-01T10:00:00Z", &[(DEVICE, "WS-1.corp.example")]);
    let incident = of(&[upload, staging], &[]).remove(0);

    assert_eq!(incident.id.len(), 24);
    assert_eq!(incident.severity, Severity::High);
    assert_eq!(incident.first_seen.as_deref(), Some("2026-01-01T08:00:00Z"));
    assert_eq!(incident.last_seen.as_deref(), Some("2026-01-01T20:00:00Z"));
    assert_eq!(incident.suites, BTreeSet::from([Suite::Exfiltration]));
    assert_eq!(incident.tactics, BTreeSet::from([Tactic::Collection, Tactic::Exfiltration]));
    assert_eq!(incident.stages, BTreeSet::from([STAGING, UPLOAD]));
    assert_eq!(incident.entities.len(), 3);
    // By phase, although the upload was first.
    assert_eq!(incident.findings, ["staging", "upload"]);
    assert_eq!(incident.relations.len(), 1);
    assert_eq!(incident.relations[0].entity.full_name.as_deref(), Some("ws-1.corp.example"));
    // By time, since a relation has no phases.
    assert_eq!(incident.relations[0].findings, ["upload", "staging"]);
}

#[test]
fn an_incident_has_the_risk_of_its_findings_and_tactics() {
    let findings = ["a", "b"].into_iter().zip([STAGING, UPLOAD]);
    let findings: Vec<Finding> =
        findings.map(|(id, phase)| finding(id, phase, "2026-01-01T10:00:00Z", &[(DEVICE, "ws-1")])).collect();
    let risk = &of(&findings, &[])[0].risk;
    // Medium with confidence 60 is p = 0.24. Two tactics: 100 * (1 - 0.76^2 * exp(-0.25)) = 55.02.
    assert_eq!((risk.score, risk.level), (55, Level::Medium));
    let parts: Vec<_> = risk.contributions.iter().map(|part| (part.from.clone(), part.points)).collect();
    let of_finding = |id: &str| RiskSource::Finding(id.to_owned());
    // 18.89, 18.89 and 17.21 of 55.
    assert_eq!(parts, [(of_finding("a"), 19), (of_finding("b"), 19), (RiskSource::SeveralTactics, 17)]);
}

#[test]
fn the_worst_incident_comes_first() {
    let pair = |device: &str, confidence: u8| {
        [STAGING, UPLOAD].map(|phase| Finding {
            confidence,
            ..finding(&format!("{device} {phase:?}"), phase, "2026-01-01T10:00:00Z", &[(DEVICE, device)])
        })
    };
    let findings = [pair("a", 20), pair("b", 90), pair("c", 50)].concat();
    let devices: Vec<String> =
        of(&findings, &[]).iter().map(|incident| incident.relations[0].entity.name.clone()).collect();
    assert_eq!(devices, ["b", "c", "a"]);
}

#[test]
fn relations_of_an_incident_are_written_as_ties() {
    let relations = ["a", "b"].map(|device| relation("2026-01-01", (IP, "10.0.0.9"), (DEVICE, device), 2));
    let incident = of(&on_two_devices(), &relations).remove(0);
    let value = serde_json::to_value(&incident).unwrap();
    let rows = json!({ "table": "DeviceNetworkEvents", "date": "2026-01-01", "rows": 3, "degree": 2 });
    let tie = |device: &str| {
        json!({
            "kind": "ip", "name": "10.0.0.9", "other": { "kind": "device", "name": device },
            "rows": rows, "findings": ["on a", "on b"],
        })
    };
    assert_eq!(value["ties"], json!([tie("a"), tie("b")]));
    assert_eq!(serde_json::from_value::<Incident>(value).unwrap().relations, incident.relations);
}
