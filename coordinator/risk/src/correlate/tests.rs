//! Which findings become one incident, and which do not.

use std::collections::BTreeSet;

use hindcast_base::entities::EntityKind;
use hindcast_base::time::{MICROS_PER_DAY, parse_time_us};
use hindcast_detections::analyses::Suite;
use hindcast_detections::config::Config;
use hindcast_detections::findings::{Finding, KillChainPhase, technique};
use proptest::prelude::*;

use super::*;
use crate::Assessor;
use crate::test_entities::contacted;
use crate::test_finding;

pub(super) const DEVICE: EntityKind = EntityKind::Device;
pub(super) const USER: EntityKind = EntityKind::User;
pub(super) const IP: EntityKind = EntityKind::Ip;

pub(super) fn finding(id: &str, stage: KillChainPhase, time: &str, named: &[(EntityKind, &str)]) -> Finding {
    let (suite, shown) = match stage {
        KillChainPhase::Staging => (Suite::Exfiltration, "T1560.001"),
        KillChainPhase::Upload => (Suite::Exfiltration, "T1567.002"),
        KillChainPhase::Beacon => (Suite::Firewall, "T1071"),
        KillChainPhase::Egress => (Suite::Exfiltration, "T1048"),
        KillChainPhase::Audit => (Suite::Office365, "T1078.004"),
    };
    Finding {
        analysis: format!("{stage:?}"),
        suite,
        stage,
        entities: named.iter().filter_map(|(kind, name)| contacted(*kind, name)).collect(),
        techniques: vec![technique(shown, "")],
        ..test_finding::finding(id, time)
    }
}

pub(super) fn relation(
    date: &str,
    hub: (EntityKind, &str),
    other: (EntityKind, &str),
    degree: u64,
) -> EntityRelation {
    EntityRelation {
        table: "DeviceNetworkEvents".into(),
        date: date.into(),
        day: parse_time_us(&format!("{date}T00:00:00Z")).unwrap() / MICROS_PER_DAY,
        hub: Entity::of(hub.0, hub.1).unwrap(),
        other: Entity::of(other.0, other.1).unwrap(),
        rows: 3,
        degree,
    }
}

pub(super) fn incidents(
    findings: &[Finding],
    relations: &[EntityRelation],
    prevalence: &Prevalence,
) -> (Vec<Incident>, Vec<Hub>) {
    let config = Config::load("default", &[]).unwrap();
    incidents_of(findings, relations, prevalence, &Assessor::new(&config, prevalence), &config)
}

pub(super) fn of(findings: &[Finding], relations: &[EntityRelation]) -> Vec<Incident> {
    incidents(findings, relations, &Prevalence::default()).0
}

#[test]
fn findings_of_one_device_within_a_day_are_one_incident_along_the_kill_chain() {
    let incidents = of(
        &[
            finding(
                "egress",
                KillChainPhase::Egress,
                "2026-01-01T09:00:00Z",
                &[(DEVICE, "WS-1.corp.example")],
            ),
            finding("staging", KillChainPhase::Staging, "2026-01-01T10:00:00Z", &[(DEVICE, "ws-1")]),
            finding("elsewhere", KillChainPhase::Egress, "2026-01-01T10:00:00Z", &[(DEVICE, "ws-2")]),
            finding("days later", KillChainPhase::Upload, "2026-01-03T10:00:01Z", &[(DEVICE, "ws-1")]),
        ],
        &[],
    );
    assert_eq!(incidents.len(), 1);
    assert_eq!(incidents[0].findings, ["staging", "egress"]);
    assert_eq!(incidents[0].relations[0].entity.name, "ws-1");
    assert_eq!(incidents[0].first_seen.as_deref(), Some("2026-01-01T09:00:00Z"));
}

#[test]
fn one_tactic_of_one_suite_is_not_an_incident() {
    let staging =
        |id: &str| finding(id, KillChainPhase::Staging, "2026-01-01T10:00:00Z", &[(DEVICE, "ws-1")]);
    assert!(of(&[staging("a"), staging("b")], &[]).is_empty());
    assert!(of(&[], &[]).is_empty());
}

/// Staging on a device, a beacon of its address, a mailbox opened by its user: three names that rows of the day relate.
#[test]
fn rows_that_name_two_entities_relate_findings_of_several_suites() {
    let findings = [
        finding(
            "mailbox",
            KillChainPhase::Audit,
            "2026-01-01T20:00:00Z",
            &[(USER, "Ada@corp.example"), (IP, "203.0.113.9")],
        ),
        finding("staging", KillChainPhase::Staging, "2026-01-01T10:00:00Z", &[(DEVICE, "ws-1")]),
        finding(
            "beacon",
            KillChainPhase::Beacon,
            "2026-01-01T12:00:00Z",
            &[(IP, "10.0.0.1"), (IP, "198.51.100.7")],
        ),
    ];
    let relations = [
        relation("2026-01-01", (IP, "10.0.0.1"), (DEVICE, "WS-1"), 1),
        relation("2026-01-01", (IP, "10.0.0.1"), (USER, "CORP\\ada"), 1),
    ];
    let incidents = of(&findings, &relations);
    assert_eq!(incidents.len(), 1);
    assert_eq!(incidents[0].findings, ["staging", "beacon", "mailbox"]);
    let rows: Vec<_> = incidents[0].relations.iter().filter_map(|relation| relation.rows.as_ref()).collect();
    assert!(rows.len() == 2 && rows.iter().all(|rows| rows.date == "2026-01-01" && rows.rows == 3));
    assert!(of(&findings, &relations[..1]).iter().all(|incident| incident.findings.len() == 2));
}

/// An address that two devices had on different days joins neither to the other.
#[test]
fn an_address_that_moved_does_not_join_its_devices() {
    let findings = [
        finding("on a", KillChainPhase::Staging, "2026-01-01T10:00:00Z", &[(DEVICE, "a")]),
        finding("on b", KillChainPhase::Upload, "2026-01-02T09:00:00Z", &[(DEVICE, "b")]),
    ];
    let relations = [
        relation("2026-01-01", (IP, "10.0.0.1"), (DEVICE, "a"), 1),
        relation("2026-01-02", (IP, "10.0.0.1"), (DEVICE, "b"), 1),
    ];
    assert!(of(&findings, &relations).is_empty());
    // On one day they would be.
    let same_day = [relations[0].clone(), relation("2026-01-01", (IP, "10.0.0.1"), (DEVICE, "b"), 2)];
    let moved = finding("on b", KillChainPhase::Upload, "2026-01-01T12:00:00Z", &[(DEVICE, "b")]);
    assert_eq!(of(&[findings[0].clone(), moved], &same_day).len(), 1);
}

/// A proxy that many devices use and a server that many sources contact are hubs: they relate no findings.
#[test]
fn hubs_relate_no_findings() {
    let proxied = |id: &str, stage, device| finding(id, stage, "2026-01-01T10:00:00Z", &[(DEVICE, device)]);
    let findings = [
        proxied("on a", KillChainPhase::Staging, "a"),
        proxied("on b", KillChainPhase::Upload, "b"),
        finding(
            "from 1",
            KillChainPhase::Beacon,
            "2026-01-01T10:00:00Z",
            &[(IP, "10.0.0.1"), (IP, "198.51.100.7")],
        ),
        finding(
            "from 2",
            KillChainPhase::Egress,
            "2026-01-01T11:00:00Z",
            &[(IP, "10.0.0.2"), (IP, "198.51.100.7")],
        ),
    ];
    let through = |device| relation("2026-01-01", (IP, "10.0.0.254"), (DEVICE, device), 400);
    let relations = [through("a"), through("b")];
    let update_server = Prevalence { sources: [("198.51.100.7".to_owned(), 300)].into(), total: 400 };
    let (found, hubs) = incidents(&findings, &relations, &update_server);
    assert!(found.is_empty(), "{found:#?}");
    assert_eq!(hubs.len(), 1);
    assert_eq!((hubs[0].entity.name.as_str(), hubs[0].degree, hubs[0].findings), ("198.51.100.7", 300, 2));
    // With only two sources, the address relates the findings.
    let rare = Prevalence { sources: [("198.51.100.7".to_owned(), 2)].into(), total: 400 };
    assert_eq!(incidents(&findings, &relations, &rare).0.len(), 1);
}

#[test]
fn two_domains_may_have_an_account_of_one_name() {
    let at = |id: &str, stage, user| finding(id, stage, "2026-01-01T10:00:00Z", &[(USER, user)]);
    let findings = [
        at("here", KillChainPhase::Staging, "CORP\\admin"),
        at("there", KillChainPhase::Audit, "admin@other.example"),
    ];
    assert!(of(&findings, &[]).is_empty());
    let same = [
        at("here", KillChainPhase::Staging, "CORP\\admin"),
        at("there", KillChainPhase::Audit, "admin@corp.example"),
    ];
    assert_eq!(of(&same, &[]).len(), 1);
    let bare = [
        at("here", KillChainPhase::Staging, "admin"),
        at("there", KillChainPhase::Audit, "admin@corp.example"),
    ];
    assert_eq!(of(&bare, &[]).len(), 1);
}

#[test]
fn an_incident_keeps_its_id_when_the_window_grows() {
    let early = [
        finding("staging", KillChainPhase::Staging, "2026-01-01T10:00:00Z", &[(DEVICE, "ws-1")]),
        finding("upload", KillChainPhase::Upload, "2026-01-01T11:00:00Z", &[(DEVICE, "ws-1")]),
    ];
    let later = finding("egress", KillChainPhase::Egress, "2026-01-02T09:00:00Z", &[(DEVICE, "ws-1")]);
    let before = of(&early, &[]);
    let after = of(&[early.as_slice(), &[later]].concat(), &[]);
    assert_eq!(before[0].id, after[0].id);
    assert_eq!((before[0].findings.len(), after[0].findings.len()), (2, 3));
}

proptest! {
    /// The order of findings and relations does not matter.
    #[test]
    fn incidents_depend_on_the_set_of_findings_alone(
        seeds in prop::collection::vec((0usize..5, 0u8..4, 0u8..30), 1..24).prop_shuffle(),
    ) {
        let stages = [KillChainPhase::Staging, KillChainPhase::Upload, KillChainPhase::Beacon, KillChainPhase::Egress, KillChainPhase::Audit];
        let unique: BTreeSet<_> = seeds.iter().copied().collect();
        let make = |(stage, device, hour): &(usize, u8, u8)| {
            let time = format!("2026-01-{:02}T{:02}:00:00Z", 1 + hour / 24, hour % 24);
            finding(&format!("{stage} {device} {hour}"), stages[*stage], &time, &[(DEVICE, &format!("ws-{device}"))])
        };
        let sorted: Vec<Finding> = unique.iter().map(make).collect();
        let mut seen = BTreeSet::new();
        let shuffled: Vec<Finding> = seeds.iter().filter(|seed| seen.insert(**seed)).map(make).collect();
        let json = |incidents: &[Incident]| serde_json::to_string(incidents).unwrap();
        let relations: Vec<EntityRelation> =
            (0..3).map(|n| relation("2026-01-01", (IP, "10.0.0.1"), (DEVICE, &format!("ws-{n}")), 3)).collect();
        let reversed: Vec<EntityRelation> = relations.iter().rev().cloned().collect();
        prop_assert_eq!(json(&of(&sorted, &relations)), json(&of(&shuffled, &reversed)));
    }
}
