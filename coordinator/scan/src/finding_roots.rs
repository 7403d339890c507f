//! From which root of a lake the rows of findings came: the roots whose state has rows that name the entities of a finding on its
//! days.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::NaiveDate;
use hindcast_base::Result;
use hindcast_base::entities::Entity;
use hindcast_base::time::{date_of_us, parse_time_us};
use hindcast_detections::Detections;
use hindcast_detections::findings::{Finding, NamedEntity};
use hindcast_engine::NamesByFile;

use super::merge::Merger;
use super::plan::ScanPlan;
use super::unit_record::UnitRecord;

/// Findings whose entities are looked up together: they are sent with each task.
const FINDINGS_AT_ONCE: usize = 5_000;

/// Names in each finding the roots from which its rows came, if the lake has several.
pub(super) async fn add_roots(
    findings: &mut [Finding],
    plan: &ScanPlan,
    merger: &mut Merger<'_>,
) -> Result<()> {
    if plan.roots.is_empty() {
        return Ok(());
    }
    for findings in findings.chunks_mut(FINDINGS_AT_ONCE) {
        let named =
            findings.iter().flat_map(|finding| finding.entities.iter().map(|named| named.entity.clone()));
        let wanted: Vec<Entity> = named.collect::<BTreeSet<_>>().into_iter().collect();
        let rollups = findings.iter().flat_map(|finding| rollups_of(plan.detections, finding)).collect();
        let names = merger.names(&wanted, &rollups).await?;
        let places = Places::of(plan, merger.records(), &names);
        for finding in findings {
            finding.roots = places.roots_of(finding, &wanted, &rollups_of(plan.detections, finding));
        }
    }
    Ok(())
}

/// The rollups that the analysis of a finding needs; if it needs none, those that it can read. What an analysis reads in addition
/// only weighs a finding.
fn rollups_of(detections: Detections, finding: &Finding) -> BTreeSet<&'static str> {
    let Some(analysis) = detections.by_id(&finding.analysis) else { return BTreeSet::new() };
    let needed = if analysis.rollups.is_empty() { analysis.optional_rollups } else { analysis.rollups };
    needed.iter().copied().collect()
}

/// The state of one unit and rollup, and where its rows came from.
struct Place<'a> {
    rollup: &'a str,
    root: &'a str,
    /// First and last day of the rows.
    days: Option<(NaiveDate, NaiveDate)>,
}

/// All state, with the entities that its rows name.
struct Places<'a> {
    all: Vec<Place<'a>>,
    /// By index of an entity: the places of the rows that name it, and all that they name.
    naming: HashMap<u32, Vec<(usize, &'a BTreeSet<u32>)>>,
}

impl<'a> Places<'a> {
    fn of(plan: &'a ScanPlan, records: &'a [UnitRecord], names: &'a NamesByFile) -> Self {
        let mut places = Self { all: Vec::new(), naming: HashMap::new() };
        for record in records {
            let root = plan.tables.get(record.unit.table).map(|planned| planned.table.root_name());
            for state in &record.states {
                let (Some(file), Some(root)) = (state.file(), root) else { continue };
                let days = state.stats.min_us.zip(state.stats.max_us);
                let days = days.map(|(first_us, last_us)| (date_of_us(first_us), date_of_us(last_us)));
                let index = places.all.len();
                places.all.push(Place { rollup: state.rollup(), root, days });
                for named in names.get(&file.path).into_iter().flatten() {
                    for entity in named {
                        places.naming.entry(*entity).or_default().push((index, named));
                    }
                }
            }
        }
        places
    }

    /// The roots of the rows that name as many of a finding's entities as any row of the same rollup does. If no row names one in
    /// the finding's form, those of all rows of its days.
    fn roots_of(&self, finding: &Finding, wanted: &[Entity], rollups: &BTreeSet<&str>) -> BTreeSet<String> {
        let index_of = |named: &NamedEntity| Some(wanted.binary_search(&named.entity).ok()? as u32);
        let own: BTreeSet<u32> = finding.entities.iter().filter_map(index_of).collect();
        let days = days_of(finding);
        let is_meant = |place: &Place<'_>| rollups.contains(place.rollup) && overlaps(place.days, days);
        let mut by_rollup: BTreeMap<&str, BTreeMap<BTreeSet<u32>, BTreeSet<&str>>> = BTreeMap::new();
        for (index, named) in own.iter().filter_map(|entity| self.naming.get(entity)).flatten() {
            let place = &self.all[*index];
            if is_meant(place) {
                let named: BTreeSet<u32> = named.intersection(&own).copied().collect();
                by_rollup.entry(place.rollup).or_default().entry(named).or_default().insert(place.root);
            }
        }
        let mut roots: BTreeSet<String> = BTreeSet::new();
        for of_rollup in by_rollup.values() {
            let is_exceeded = |named: &BTreeSet<u32>| {
                of_rollup.keys().any(|other| named != other && named.is_subset(other))
            };
            let most = of_rollup.iter().filter(|(named, _)| !is_exceeded(named));
            roots.extend(most.flat_map(|(_, roots)| roots).map(|root| (*root).to_owned()));
        }
        if roots.is_empty() {
            roots.extend(self.all.iter().filter(|place| is_meant(place)).map(|place| place.root.to_owned()));
        }
        roots
    }
}

/// First and last day of a finding.
fn days_of(finding: &Finding) -> Option<(NaiveDate, NaiveDate)> {
    let day = |time: &Option<String>| parse_time_us(time.as_deref()?).map(date_of_us);
    let (first, last) = (day(&finding.first_seen), day(&finding.last_seen));
    first.or(last).zip(last.or(first))
}

/// Whether two runs of days have a common day, as far as they are known.
fn overlaps(one: Option<(NaiveDate, NaiveDate)>, other: Option<(NaiveDate, NaiveDate)>) -> bool {
    match (one, other) {
        (Some((first, last)), Some((other_first, other_last))) => first <= other_last && other_first <= last,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use hindcast_base::entities::EntityKind;

    use super::*;
    use crate::test_finding;

    const SOURCE: u32 = 0;
    const TARGET: u32 = 1;
    const OTHER: u32 = 2;

    fn wanted() -> Vec<Entity> {
        let mut wanted: Vec<Entity> = ["10.0.0.1", "203.0.113.1", "203.0.113.2"]
            .iter()
            .filter_map(|name| Entity::of(EntityKind::Ip, name))
            .collect();
        wanted.sort();
        wanted
    }

    /// State of a rollup in roots on days of March, with what its rows name.
    fn roots(parts: &[(&str, &str, u32, &[&[u32]])], finding: &Finding) -> Vec<String> {
        let sets: Vec<Vec<BTreeSet<u32>>> = parts
            .iter()
            .map(|(.., sets)| sets.iter().map(|set| set.iter().copied().collect()).collect())
            .collect();
        let mut places = Places { all: Vec::new(), naming: HashMap::new() };
        for (index, ((rollup, root, day, _), sets)) in parts.iter().zip(&sets).enumerate() {
            let day = NaiveDate::from_ymd_opt(2026, 3, *day).unwrap();
            places.all.push(Place { rollup, root, days: Some((day, day)) });
            for set in sets {
                set.iter().for_each(|entity| places.naming.entry(*entity).or_default().push((index, set)));
            }
        }
        let rollups = ["external_pairs", "dns_pairs"].into();
        places.roots_of(finding, &wanted(), &rollups).into_iter().collect()
    }

    fn finding(names: &[usize], first: &str, last: &str) -> Finding {
        Finding {
            entities: names.iter().map(|index| wanted()[*index].clone().into()).collect(),
            last_seen: Some(last.to_owned()),
            ..test_finding::finding("f", first)
        }
    }

    #[test]
    fn rows_that_name_all_entities_count_and_others_of_their_rollup_do_not() {
        let pair = finding(&[0, 1], "2026-03-01T10:00:00Z", "2026-03-03T10:00:00Z");
        let parts: [(&str, &str, u32, &[&[u32]]); 4] = [
            ("external_pairs", "main", 1, &[&[SOURCE, TARGET], &[SOURCE, OTHER]]),
            ("external_pairs", "emea", 2, &[&[SOURCE, OTHER]]),
            ("external_pairs", "apac", 3, &[&[TARGET, SOURCE]]),
            ("external_pairs", "amer", 4, &[&[TARGET, SOURCE]]),
        ];
        assert_eq!(roots(&parts, &pair), ["apac", "main"]);
    }

    #[test]
    fn each_rollup_counts_by_itself() {
        let pair = finding(&[0, 1], "2026-03-01T10:00:00Z", "2026-03-01T10:00:00Z");
        let parts: [(&str, &str, u32, &[&[u32]]); 3] = [
            ("external_pairs", "main", 1, &[&[SOURCE, TARGET]]),
            ("dns_pairs", "emea", 1, &[&[SOURCE]]),
            ("port_sessions", "apac", 1, &[&[SOURCE, TARGET]]),
        ];
        assert_eq!(roots(&parts, &pair), ["emea", "main"]);
    }

    #[test]
    fn without_a_row_that_names_an_entity_all_roots_of_its_days_count() {
        let none = finding(&[], "2026-03-01T10:00:00Z", "2026-03-02T10:00:00Z");
        let parts: [(&str, &str, u32, &[&[u32]]); 3] = [
            ("external_pairs", "main", 1, &[&[SOURCE]]),
            ("external_pairs", "emea", 2, &[]),
            ("external_pairs", "apac", 3, &[]),
        ];
        assert_eq!(roots(&parts, &none), ["emea", "main"]);
    }

    #[test]
    fn unknown_days_may_be_any() {
        let day = NaiveDate::from_ymd_opt(2026, 3, 1);
        assert!(overlaps(None, day.zip(day)) && overlaps(day.zip(day), None));
    }
}
