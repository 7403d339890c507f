//! Links between findings: an entity that they share within a span of time, or rows of a day that relate two of their entities.

use std::collections::{BTreeMap, BTreeSet};

use hindcast_base::entities::{Entity, EntityKind};
use hindcast_base::time::{MICROS_PER_DAY, parse_time_us};
use hindcast_detections::findings::{Finding, NamedEntity};

use super::incident::{Hub, Relation};
use super::{EntityRelation, Prevalence};

/// First and last instant of a finding, in microseconds since 1970. `None` without a first instant.
pub fn span_us(finding: &Finding) -> Option<(i64, i64)> {
    span_of(finding.first_seen.as_deref(), finding.last_seen.as_deref())
}

/// The span of two times in RFC 3339, of which only the first is required.
pub(super) fn span_of(first: Option<&str>, last: Option<&str>) -> Option<(i64, i64)> {
    let first_us = parse_time_us(first?)?;
    let last_us = last.and_then(parse_time_us).unwrap_or(first_us);
    Some((first_us, last_us.max(first_us)))
}

/// A finding with its span of time.
pub(super) struct Placed<'a> {
    pub(super) finding: &'a Finding,
    pub(super) first_us: i64,
    pub(super) last_us: i64,
}

impl<'a> Placed<'a> {
    pub(super) fn of(finding: &'a Finding) -> Option<Self> {
        let (first_us, last_us) = span_us(finding)?;
        Some(Self { finding, first_us, last_us })
    }

    fn is_active_on(&self, day: i64) -> bool {
        (self.first_us.div_euclid(MICROS_PER_DAY)..=self.last_us.div_euclid(MICROS_PER_DAY)).contains(&day)
    }
}

/// Related findings, and their relation.
pub(super) struct Link {
    /// Indices of the findings, at least two.
    pub(super) findings: Vec<usize>,
    pub(super) relation: Relation,
}

/// The identity of an entity. Two domains may have an account of the same name.
type Key = (EntityKind, String, Option<String>);

/// Maps entities to keys. An account without a domain gets the only domain that is seen with its name.
pub(super) struct EntityKeys {
    domains: BTreeMap<String, BTreeSet<String>>,
}

impl EntityKeys {
    pub(super) fn of<'a>(entities: impl Iterator<Item = &'a Entity>) -> Self {
        let mut domains: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for entity in entities {
            if let Some(domain) = entity.domain() {
                domains.entry(entity.name.clone()).or_default().insert(domain.to_owned());
            }
        }
        Self { domains }
    }

    pub(super) fn key(&self, entity: &Entity) -> Key {
        let seen = match entity.kind {
            EntityKind::User => self.domains.get(&entity.name),
            _ => None,
        };
        let domain = match (entity.domain(), seen) {
            (Some(domain), _) => Some(domain.to_owned()),
            (None, Some(seen)) if seen.len() == 1 => seen.first().cloned(),
            _ => None,
        };
        (entity.kind, entity.name.clone(), domain)
    }
}

/// Addresses and accounts that are too common to relate findings.
pub(super) struct Hubs {
    /// Related to too many others by rows, with their number.
    related: BTreeMap<Key, (Entity, u64)>,
    /// Contacted by too many sources, with their number. They are common only as destinations: what a busy server does itself is as
    /// specific as what a workstation does.
    contacted: BTreeMap<Key, (Entity, u64)>,
}

impl Hubs {
    pub(super) fn of(
        placed: &[Placed<'_>],
        relations: &[EntityRelation],
        prevalence: &Prevalence,
        keys: &EntityKeys,
        max_shared: u64,
    ) -> Self {
        let mut hubs = Self { related: BTreeMap::new(), contacted: BTreeMap::new() };
        let note = |noted: &mut BTreeMap<Key, (Entity, u64)>, entity: &Entity, degree: u64| {
            if degree > max_shared {
                let known = noted.entry(keys.key(entity)).or_insert_with(|| (entity.clone(), degree));
                known.1 = known.1.max(degree);
                keep_fuller(&mut known.0, entity);
            }
        };
        relations.iter().for_each(|relation| note(&mut hubs.related, &relation.hub, relation.degree));
        for named in placed.iter().flat_map(|place| &place.finding.entities) {
            if named.is_contacted() {
                note(&mut hubs.contacted, named, prevalence.of(named).unwrap_or_default());
            }
        }
        hubs
    }

    /// Whether a finding that names the entity of `key` names a hub.
    fn has(&self, named: &NamedEntity, key: &Key) -> bool {
        self.related.contains_key(key) || (named.is_contacted() && self.contacted.contains_key(key))
    }

    /// Whether the entity of `key` is a hub in any role.
    fn has_in_any_role(&self, key: &Key) -> bool {
        self.related.contains_key(key) || self.contacted.contains_key(key)
    }

    /// Whether a finding names a hub.
    pub(super) fn are_named_by(&self, place: &Placed<'_>, keys: &EntityKeys) -> bool {
        place.finding.entities.iter().any(|entity| self.has(entity, &keys.key(entity)))
    }

    /// The hubs that several findings name, with the number of findings.
    pub(super) fn named_by_several(&self, placed: &[Placed<'_>], keys: &EntityKeys) -> Vec<Hub> {
        let mut named: BTreeMap<Key, u64> = BTreeMap::new();
        for entity in placed.iter().flat_map(|place| &place.finding.entities) {
            *named.entry(keys.key(entity)).or_default() += 1;
        }
        let hub = |(key, (entity, degree)): (&Key, &(Entity, u64))| {
            let findings = named.get(key).copied().filter(|count| *count > 1)?;
            Some(Hub { entity: entity.clone(), degree: *degree, findings })
        };
        let mut hubs = self.related.clone();
        for (key, (entity, degree)) in &self.contacted {
            let known = hubs.entry(key.clone()).or_insert_with(|| (entity.clone(), *degree));
            known.1 = known.1.max(*degree);
            keep_fuller(&mut known.0, entity);
        }
        hubs.iter().filter_map(hub).collect()
    }
}

/// Links between findings that name the same entity, each within `within_us` of the previous one.
pub(super) fn by_shared_entity(
    placed: &[Placed<'_>],
    keys: &EntityKeys,
    hubs: &Hubs,
    within_us: i64,
) -> Vec<Link> {
    let mut by_entity: BTreeMap<Key, (Entity, Vec<usize>)> = BTreeMap::new();
    for (index, place) in placed.iter().enumerate() {
        for entity in &place.finding.entities {
            let key = keys.key(entity);
            // A storage host or its URL is used by many; the sender relates findings.
            if entity.kind != EntityKind::Url && !hubs.has(entity, &key) {
                let named = by_entity.entry(key).or_insert_with(|| (entity.entity.clone(), Vec::new()));
                keep_fuller(&mut named.0, entity);
                named.1.push(index);
            }
        }
    }
    let mut links = Vec::new();
    for (entity, mut indices) in by_entity.into_values() {
        indices.sort_by_key(|index| (placed[*index].first_us, &placed[*index].finding.id));
        let mut run: Vec<usize> = Vec::new();
        let mut run_end_us = i64::MIN;
        let mut close = |run: Vec<usize>| {
            if run.len() > 1 {
                let relation = Relation::shared(&entity, ids(placed, &run));
                links.push(Link { findings: run, relation });
            }
        };
        for index in indices {
            if !run.is_empty() && placed[index].first_us > run_end_us.saturating_add(within_us) {
                close(std::mem::take(&mut run));
                run_end_us = i64::MIN;
            }
            run_end_us = run_end_us.max(placed[index].last_us);
            run.push(index);
        }
        close(run);
    }
    links
}

/// Links between findings of a day whose entities rows of that day name together, directly or through a third entity.
pub(super) fn by_rows_of_a_day(
    placed: &[Placed<'_>],
    relations: &[EntityRelation],
    keys: &EntityKeys,
    hubs: &Hubs,
) -> Vec<Link> {
    let mut named: BTreeMap<Key, Vec<usize>> = BTreeMap::new();
    for (index, place) in placed.iter().enumerate() {
        for entity in &place.finding.entities {
            named.entry(keys.key(entity)).or_default().push(index);
        }
    }
    let active = |key: &Key, day: i64| -> Vec<usize> {
        let indices = named.get(key).into_iter().flatten().copied();
        indices.filter(|index| placed[*index].is_active_on(day)).collect()
    };
    // All names that are related to an address or account on a day are related to each other through it.
    let mut by_hub: BTreeMap<(i64, Key), Vec<&EntityRelation>> = BTreeMap::new();
    for relation in relations {
        let key = keys.key(&relation.hub);
        if !hubs.has_in_any_role(&key) && !hubs.has_in_any_role(&keys.key(&relation.other)) {
            by_hub.entry((relation.day, key)).or_default().push(relation);
        }
    }
    let mut links = Vec::new();
    for ((day, hub), relations) in by_hub {
        let mut through: BTreeSet<usize> = active(&hub, day).into_iter().collect();
        let mut joining = Vec::new();
        for relation in relations {
            let others = active(&keys.key(&relation.other), day);
            if !others.is_empty() {
                through.extend(others);
                joining.push(relation);
            }
        }
        let mut findings: Vec<usize> = through.into_iter().collect();
        findings.sort_by_key(|index| (placed[*index].first_us, &placed[*index].finding.id));
        if findings.len() > 1 {
            for relation in joining {
                let relation = Relation::by_rows(relation, ids(placed, &findings));
                links.push(Link { findings: findings.clone(), relation });
            }
        }
    }
    links
}

/// Replaces `known` by the fuller form of its name.
fn keep_fuller(known: &mut Entity, other: &Entity) {
    if other > known {
        *known = other.clone();
    }
}

fn ids(placed: &[Placed<'_>], indices: &[usize]) -> Vec<String> {
    indices.iter().map(|index| placed[*index].finding.id.clone()).collect()
}
