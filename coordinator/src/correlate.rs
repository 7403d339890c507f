//! Incidents: findings of several suites or stages that name the same entity within a day of each other.

use std::collections::{BTreeMap, BTreeSet};

use hindcast_common::analyses::Suite;
use hindcast_common::findings::{Entity, EntityKind, Finding, Severity, Stage};
use hindcast_common::time::{MICROS_PER_DAY, parse_time_us};
use serde::{Deserialize, Serialize};

/// Longest time between two findings of an entity that belong together.
const WITHIN_US: i64 = MICROS_PER_DAY;

/// Findings that tell one story.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Incident {
    /// Hash of its first finding: it stays the same when later findings join.
    pub id: String,
    /// Severity of its worst finding.
    pub severity: Severity,
    /// First instant of its findings, RFC 3339.
    pub first_seen: Option<String>,
    /// Last instant of its findings, RFC 3339.
    pub last_seen: Option<String>,
    /// Suites that take part.
    pub suites: BTreeSet<Suite>,
    /// Stages of the kill chain, in its order.
    pub stages: BTreeSet<Stage>,
    /// Entities that tie findings, with the ids of those they tie.
    pub ties: Vec<Tie>,
    /// Ids of all findings, along the kill chain and then by time.
    pub findings: Vec<String>,
}

/// An entity that several findings name.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Tie {
    /// The entity.
    #[serde(flatten)]
    pub entity: Entity,
    /// Ids of the findings.
    pub findings: Vec<String>,
}

/// A finding with its place in time.
struct Placed<'a> {
    finding: &'a Finding,
    first_us: i64,
    last_us: i64,
}

/// The incidents among `findings`, worst first and then by time.
pub fn incidents_of(findings: &[Finding]) -> Vec<Incident> {
    let placed: Vec<Placed<'_>> = findings.iter().filter_map(Placed::of).collect();
    let ties = ties_of(&placed);
    let mut groups = Groups::new(placed.len());
    for (_, tied) in &ties {
        tied.windows(2).for_each(|pair| groups.unite(pair[0], pair[1]));
    }
    let mut members: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for index in 0..placed.len() {
        members.entry(groups.root(index)).or_default().push(index);
    }
    let mut ties_of_group: BTreeMap<usize, Vec<&(Entity, Vec<usize>)>> = BTreeMap::new();
    for tie in &ties {
        ties_of_group.entry(groups.root(tie.1[0])).or_default().push(tie);
    }
    let mut incidents: Vec<Incident> = members
        .into_iter()
        .filter_map(|(root, members)| incident(&placed, members, ties_of_group.get(&root)?))
        .collect();
    incidents.sort_by(|left, right| {
        let worst_first = right.severity.cmp(&left.severity);
        worst_first.then(left.first_seen.cmp(&right.first_seen)).then(left.id.cmp(&right.id))
    });
    incidents
}

impl<'a> Placed<'a> {
    fn of(finding: &'a Finding) -> Option<Self> {
        let first_us = parse_time_us(finding.first_seen.as_deref()?)?;
        let last_us = finding.last_seen.as_deref().and_then(parse_time_us).unwrap_or(first_us);
        Some(Self { finding, first_us, last_us: last_us.max(first_us) })
    }
}

/// Runs of findings that name the same entity, each within a day of the one before.
fn ties_of(placed: &[Placed<'_>]) -> Vec<(Entity, Vec<usize>)> {
    let mut by_entity: BTreeMap<Entity, Vec<usize>> = BTreeMap::new();
    for (index, place) in placed.iter().enumerate() {
        // A storage host or its URL is everybody's; who sends there is what ties.
        for entity in place.finding.entities.iter().filter(|entity| entity.kind != EntityKind::Url) {
            let name = entity.name.to_lowercase();
            by_entity.entry(Entity { kind: entity.kind, name }).or_default().push(index);
        }
    }
    let mut ties = Vec::new();
    for (entity, mut indices) in by_entity {
        indices.sort_by_key(|index| (placed[*index].first_us, *index));
        let mut run: Vec<usize> = Vec::new();
        let mut run_end_us = i64::MIN;
        for index in indices {
            if !run.is_empty() && placed[index].first_us > run_end_us.saturating_add(WITHIN_US) {
                ties.push((entity.clone(), std::mem::take(&mut run)));
                run_end_us = i64::MIN;
            }
            run_end_us = run_end_us.max(placed[index].last_us);
            run.push(index);
        }
        ties.push((entity, run));
    }
    ties.retain(|(_, tied)| tied.len() > 1);
    ties
}

/// The incident of these findings; `None` where they are of one suite and one stage.
fn incident(placed: &[Placed<'_>], members: Vec<usize>, ties: &[&(Entity, Vec<usize>)]) -> Option<Incident> {
    let findings = || members.iter().map(|index| placed[*index].finding);
    let suites: BTreeSet<Suite> = findings().map(|finding| finding.suite).collect();
    let stages: BTreeSet<Stage> = findings().map(|finding| finding.stage).collect();
    if suites.len() < 2 && stages.len() < 2 {
        return None;
    }
    let id_of = |index: &usize| placed[*index].finding.id.clone();
    let first = members.iter().min_by_key(|index| (placed[**index].first_us, id_of(index)))?;
    let last = members.iter().max_by_key(|index| placed[**index].last_us)?;
    let mut chain = members.clone();
    chain.sort_by_key(|index| (placed[*index].finding.stage, placed[*index].first_us, id_of(index)));
    let hash = blake3::hash(format!("incident {}", id_of(first)).as_bytes()).to_hex();
    Some(Incident {
        id: hash[..24].to_owned(),
        severity: findings().map(|finding| finding.severity).max()?,
        first_seen: placed[*first].finding.first_seen.clone(),
        last_seen: placed[*last].finding.last_seen.clone(),
        suites,
        stages,
        ties: ties
            .iter()
            .map(|(entity, tied)| Tie { entity: entity.clone(), findings: tied.iter().map(id_of).collect() })
            .collect(),
        findings: chain.iter().map(id_of).collect(),
    })
}

/// Disjoint groups of indices.
struct Groups(Vec<usize>);

impl Groups {
    fn new(count: usize) -> Self {
        Self((0..count).collect())
    }

    fn root(&mut self, index: usize) -> usize {
        let mut root = index;
        while self.0[root] != root {
            self.0[root] = self.0[self.0[root]];
            root = self.0[root];
        }
        root
    }

    fn unite(&mut self, left: usize, right: usize) {
        let (left, right) = (self.root(left), self.root(right));
        self.0[left.max(right)] = left.min(right);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(id: &str, stage: Stage, device: &str, first_seen: &str) -> Finding {
        Finding {
            id: id.into(),
            analysis: "test".into(),
            suite: Suite::Exfiltration,
            title: String::new(),
            severity: Severity::Low,
            confidence: 50,
            first_seen: Some(first_seen.into()),
            last_seen: Some(first_seen.into()),
            rows: 1,
            stage,
            entities: BTreeSet::from([Entity { kind: EntityKind::Device, name: device.into() }]),
            techniques: Vec::new(),
            explanation: String::new(),
            evidence: serde_json::Value::Null,
        }
    }

    #[test]
    fn stages_of_one_device_within_a_day_are_one_incident_along_the_kill_chain() {
        let findings = [
            finding("egress", Stage::Egress, "WS-1", "2026-01-01T09:00:00Z"),
            finding("staging", Stage::Staging, "ws-1", "2026-01-01T10:00:00Z"),
            finding("elsewhere", Stage::Egress, "ws-2", "2026-01-01T10:00:00Z"),
            finding("days later", Stage::Upload, "ws-1", "2026-01-03T10:00:01Z"),
        ];
        let incidents = incidents_of(&findings);
        assert_eq!(incidents.len(), 1);
        assert_eq!(incidents[0].findings, ["staging", "egress"]);
        assert_eq!(incidents[0].ties[0].entity.name, "ws-1");
        assert_eq!(incidents[0].first_seen.as_deref(), Some("2026-01-01T09:00:00Z"));
    }

    #[test]
    fn one_stage_alone_is_no_incident() {
        let staging = |id: &str| finding(id, Stage::Staging, "ws-1", "2026-01-01T10:00:00Z");
        assert!(incidents_of(&[staging("a"), staging("b")]).is_empty());
        assert!(incidents_of(&[]).is_empty());
    }
}
