//! Groups linked findings into incidents, ordered along the kill chain, with their relations.

use std::collections::{BTreeMap, BTreeSet};

use hindcast_base::entities::Entity;
use hindcast_base::time::MICROS_PER_DAY;
use hindcast_detections::analyses::Suite;
use hindcast_detections::config::Config;
use hindcast_detections::findings::{Finding, KillChainPhase, Severity, Tactic};
use serde::{Deserialize, Serialize};

use super::groups::Groups;
use super::links::{EntityKeys, Hubs, Link, Placed, by_rows_of_a_day, by_shared_entity, span_of};
use super::{EntityRelation, Prevalence};
use crate::{Assessed, Assessor};

/// Related findings.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Incident {
    /// A hash of its first finding. It stays the same when later findings join.
    pub id: String,
    /// Its risk, 0 to 100, and the contributions.
    #[serde(flatten)]
    pub risk: Assessed,
    /// Severity of its worst finding.
    pub severity: Severity,
    /// First instant of its findings, RFC 3339.
    pub first_seen: Option<String>,
    /// Last instant of its findings, RFC 3339.
    pub last_seen: Option<String>,
    /// Suites of its findings.
    pub suites: BTreeSet<Suite>,
    /// Tactics of its findings.
    pub tactics: BTreeSet<Tactic>,
    /// Phases of the kill chain, in order.
    pub stages: BTreeSet<KillChainPhase>,
    /// The entities of its findings.
    pub entities: BTreeSet<Entity>,
    /// The relations between its findings.
    #[serde(rename = "ties")]
    pub relations: Vec<Relation>,
    /// Ids of all findings, along the kill chain and then by time.
    pub findings: Vec<String>,
    /// The roots from which rows of its findings came, if the lake has several.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub roots: BTreeSet<String>,
}

/// A relation between findings.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Relation {
    /// The entity that all findings name or, with `other`, the hub through which they are related.
    #[serde(flatten)]
    pub entity: Entity,
    /// The entity that rows name together with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other: Option<Entity>,
    /// Those rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<RelationRows>,
    /// Ids of the findings.
    pub findings: Vec<String>,
}

/// Rows that name two entities together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RelationRows {
    /// Their table.
    pub table: String,
    /// Their day, UTC.
    pub date: String,
    /// Their number.
    pub rows: u64,
    /// The number of names related to the entity on that day in that table.
    pub degree: u64,
}

/// An address or account that several findings name and that is too common to relate them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hub {
    /// The entity.
    #[serde(flatten)]
    pub entity: Entity,
    /// The largest number of names related to it on a day, or of sources that contact it.
    pub degree: u64,
    /// Findings that name it.
    pub findings: u64,
}

impl Incident {
    /// First and last instant of its findings, in microseconds since 1970. `None` without a first instant.
    pub fn span_us(&self) -> Option<(i64, i64)> {
        span_of(self.first_seen.as_deref(), self.last_seen.as_deref())
    }
}

impl Relation {
    pub(super) fn shared(entity: &Entity, findings: Vec<String>) -> Self {
        Self { entity: entity.clone(), other: None, rows: None, findings }
    }

    pub(super) fn by_rows(relation: &EntityRelation, findings: Vec<String>) -> Self {
        let rows = RelationRows {
            table: relation.table.clone(),
            date: relation.date.clone(),
            rows: relation.rows,
            degree: relation.degree,
        };
        Self { entity: relation.hub.clone(), other: Some(relation.other.clone()), rows: Some(rows), findings }
    }
}

/// The incidents among `findings`, worst first, and the hubs that are too common to relate findings.
pub fn incidents_of(
    findings: &[Finding],
    relations: &[EntityRelation],
    prevalence: &Prevalence,
    assessor: &Assessor<'_>,
    config: &Config,
) -> (Vec<Incident>, Vec<Hub>) {
    let placed: Vec<Placed<'_>> = findings.iter().filter_map(Placed::of).collect();
    let named = placed.iter().flat_map(|place| &place.finding.entities).map(|named| &named.entity);
    let keys =
        EntityKeys::of(named.chain(relations.iter().flat_map(|relation| [&relation.hub, &relation.other])));
    let hubs = Hubs::of(&placed, relations, prevalence, &keys, config.incidents.max_shared);
    let within_us = config.incidents.within.0.unwrap_or(i64::MAX).max(MICROS_PER_DAY / 24);
    let mut links = by_shared_entity(&placed, &keys, &hubs, within_us);
    links.extend(by_rows_of_a_day(&placed, relations, &keys, &hubs));

    let mut groups = Groups::new(placed.len());
    for link in &links {
        link.findings.windows(2).for_each(|pair| groups.unite(pair[0], pair[1]));
    }
    let mut members: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for index in 0..placed.len() {
        members.entry(groups.root(index)).or_default().push(index);
    }
    let mut links_of: BTreeMap<usize, Vec<&Link>> = BTreeMap::new();
    for link in &links {
        links_of.entry(groups.root(link.findings[0])).or_default().push(link);
    }
    let mut incidents: Vec<Incident> = members
        .into_iter()
        .filter_map(|(root, members)| {
            let is_specific = |place: &Placed<'_>| !hubs.are_named_by(place, &keys);
            incident(&placed, &members, links_of.get(&root)?, assessor, &is_specific)
        })
        .collect();
    incidents.sort_by(|left, right| {
        let worst_first = right.risk.score.cmp(&left.risk.score).then(right.severity.cmp(&left.severity));
        worst_first.then(left.first_seen.cmp(&right.first_seen)).then(left.id.cmp(&right.id))
    });
    (incidents, hubs.named_by_several(&placed, &keys))
}

/// The incident of these findings. `None` if they have only one suite and one tactic.
fn incident(
    placed: &[Placed<'_>],
    members: &[usize],
    links: &[&Link],
    assessor: &Assessor<'_>,
    is_specific: &dyn Fn(&Placed<'_>) -> bool,
) -> Option<Incident> {
    let findings: Vec<&Finding> = members.iter().map(|index| placed[*index].finding).collect();
    // Findings about hubs, such as a beacon to an update server that everybody uses, do not turn other findings into an incident.
    let specific = members.iter().map(|index| &placed[*index]).filter(|place| is_specific(place));
    let specific: Vec<&Finding> = specific.map(|place| place.finding).collect();
    let suites: BTreeSet<Suite> = specific.iter().map(|finding| finding.suite).collect();
    let tactics: BTreeSet<Tactic> = specific.iter().filter_map(|finding| finding.tactic()).collect();
    if suites.len() < 2 && tactics.len() < 2 {
        return None;
    }
    // Low findings are worth knowing, not worth an incident: a periodic program and a small upload of one host are its daily work.
    if specific.iter().all(|finding| finding.severity == Severity::Low) {
        return None;
    }
    let id_of = |index: &usize| placed[*index].finding.id.as_str();
    let first = members.iter().min_by_key(|index| (placed[**index].first_us, id_of(index)))?;
    let last = members.iter().max_by_key(|index| placed[**index].last_us)?;
    let mut chain = members.to_vec();
    chain.sort_by_key(|index| (placed[*index].finding.stage, placed[*index].first_us, id_of(index)));
    let hash = blake3::hash(format!("incident {}", id_of(first)).as_bytes()).to_hex();
    Some(Incident {
        id: hash[..24].to_owned(),
        risk: assessor.incident(&findings),
        severity: findings.iter().map(|finding| finding.severity).max()?,
        first_seen: placed[*first].finding.first_seen.clone(),
        last_seen: placed[*last].finding.last_seen.clone(),
        suites,
        tactics,
        stages: findings.iter().map(|finding| finding.stage).collect(),
        entities: findings
            .iter()
            .flat_map(|finding| &finding.entities)
            .map(|named| named.entity.clone())
            .collect(),
        relations: in_order(links),
        findings: chain.iter().map(|index| id_of(index).to_owned()).collect(),
        roots: findings.iter().flat_map(|finding| finding.roots.iter().cloned()).collect(),
    })
}

/// The relations ordered by entity, then by rows.
fn in_order(links: &[&Link]) -> Vec<Relation> {
    let mut relations: Vec<Relation> = links.iter().map(|link| link.relation.clone()).collect();
    relations.sort();
    relations
}
