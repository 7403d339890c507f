//! Findings: rows that deserve an analyst's time, in one schema for all analyses.

mod assess;
mod attack;
mod beacon_score;
pub mod definition;
mod explanation;
mod named_entity;
mod prevalence;
mod row;
mod rule;
#[cfg(test)]
mod rule_tests;
#[cfg(test)]
mod tests;

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use arrow::array::RecordBatch;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use assess::RowAssessor;
pub use attack::{ATTACK_VERSION, Tactic};
pub use beacon_score::BeaconScore;
pub use explanation::Explanation;
pub use named_entity::NamedEntity;
pub use prevalence::{Prevalence, candidate_entities, finding_entities, wanted_rows};
pub use row::Row;
pub use rule::{EntityColumn, FindingRule, KillChainPhase, Period, Role, Severity, Technique, technique};

use crate::analyses::{Analysis, Suite};
use crate::config::Config;
use hindcast_base::Result;
pub use hindcast_base::entities::{Entity, EntityKind};
use hindcast_base::time::{MICROS_PER_DAY, MICROS_PER_SECOND, format_micros};

/// One finding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Hash of analysis, entities, period and what the rule separates by: the same finding has the same id in every run.
    pub id: String,
    /// The analysis that raised it.
    pub analysis: String,
    /// Its suite.
    pub suite: Suite,
    /// Title for people.
    pub title: String,
    /// How bad it is, if it is true.
    pub severity: Severity,
    /// How likely it is true, 0 to 100.
    pub confidence: u8,
    /// First instant of the evidence, RFC 3339.
    pub first_seen: Option<String>,
    /// Last instant of the evidence, RFC 3339.
    pub last_seen: Option<String>,
    /// Number of rows of the result table that it unites.
    pub rows: u64,
    /// Its phase of the kill chain.
    pub stage: KillChainPhase,
    /// The entities involved.
    pub entities: BTreeSet<NamedEntity>,
    /// ATT&CK techniques, the most significant first.
    pub techniques: Vec<Technique>,
    /// A sentence about what was observed.
    pub explanation: String,
    /// The strongest of its rows.
    pub evidence: Value,
    /// Watchlists that name one of its entities.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub watchlists: Vec<String>,
    /// The roots from which its rows came, if the lake has several.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub roots: BTreeSet<String>,
}

impl Finding {
    /// The tactic of its most significant technique.
    pub fn tactic(&self) -> Option<Tactic> {
        self.techniques.first()?.tactic()
    }
}

/// The findings in the rows of an analysis, in order of their first rows. Their `rows` add up to the number of rows that are findings.
/// This is the only place that assesses rows: everything else reads its findings.
///
/// # Errors
/// [`hindcast_base::Error::Invalid`] naming file and line if the analysis's rule fails for its rows.
pub fn findings_of(analysis: &Analysis, rows: &RecordBatch, config: &Config) -> Result<Vec<Finding>> {
    let Some(rule) = &analysis.finding else { return Ok(Vec::new()) };
    let assessment = RowAssessor::new(rule, analysis, &rows.schema(), config)?.of(rows)?;
    let mut groups: Vec<Group<'_>> = Vec::new();
    let mut group_of_key: HashMap<GroupKey<'_>, usize> = HashMap::new();
    for index in (0..rows.num_rows()).filter(|index| assessment.is_finding[*index]) {
        let row = Row::new(rows, index);
        let strength = (assessment.severity[index], assessment.confidence[index]);
        let by = rule.by.iter().map(|column| row.text(column)).collect();
        let key = (entities_of(rule, &row), period_start(rule, &row), by);
        match group_of_key.entry(key) {
            Entry::Occupied(group) => groups[*group.get()].add(rule, row, strength),
            Entry::Vacant(vacant) => {
                let (entities, period_us, _) = vacant.key().clone();
                groups.push(Group::new(rule, row, strength, entities, period_us));
                vacant.insert(groups.len() - 1);
            }
        }
    }
    groups.iter().map(|group| group.finding(analysis, rule)).collect()
}

/// The entities that a row names, with canonical names. An entity that two columns name has the role of the first.
pub(crate) fn entities_of(rule: &FindingRule, row: &Row<'_>) -> BTreeSet<NamedEntity> {
    let mut named: BTreeMap<Entity, Role> = BTreeMap::new();
    for column in &rule.entities {
        if let Some(entity) = row.text(&column.column).and_then(|text| Entity::of(column.kind, text)) {
            named.entry(entity).or_insert(column.role);
        }
    }
    named.into_iter().map(|(entity, role)| NamedEntity { entity, role: Some(role) }).collect()
}

/// What rows of one finding have in common: the entities, the start of the period, and the columns that separate findings.
type GroupKey<'a> = (BTreeSet<NamedEntity>, Option<i64>, Vec<Option<&'a str>>);

/// Rows that are one finding: the same entities in the same period.
struct Group<'a> {
    entities: BTreeSet<NamedEntity>,
    strongest: Row<'a>,
    strength: (Severity, u8),
    rows: u64,
    first_us: Option<i64>,
    last_us: Option<i64>,
    period_us: Option<i64>,
}

impl<'a> Group<'a> {
    fn new(
        rule: &FindingRule,
        row: Row<'a>,
        strength: (Severity, u8),
        entities: BTreeSet<NamedEntity>,
        period_us: Option<i64>,
    ) -> Self {
        Self {
            entities,
            strength,
            rows: 1,
            first_us: row.micros(&rule.first_seen),
            last_us: row.micros(&rule.last_seen),
            period_us,
            strongest: row,
        }
    }

    fn add(&mut self, rule: &FindingRule, row: Row<'a>, strength: (Severity, u8)) {
        self.rows += 1;
        self.first_us = [self.first_us, row.micros(&rule.first_seen)].into_iter().flatten().min();
        self.last_us = self.last_us.max(row.micros(&rule.last_seen));
        if strength > self.strength {
            self.strength = strength;
            self.strongest = row;
        }
    }

    /// What keeps it apart from other rows of its entities and period.
    fn by(&self, rule: &FindingRule) -> Vec<Option<&'a str>> {
        rule.by.iter().map(|column| self.strongest.text(column)).collect()
    }

    fn finding(&self, analysis: &Analysis, rule: &FindingRule) -> Result<Finding> {
        let mut explanation = rule.explanation.render(&self.strongest)?;
        if self.rows > 1 {
            explanation.push_str(&format!(" ({} rows in all)", self.rows));
        }
        Ok(Finding {
            id: finding_id(analysis.id, &self.entities, self.period_us, &self.by(rule)),
            analysis: analysis.id.to_owned(),
            suite: analysis.suite,
            title: rule.title.clone(),
            severity: self.strength.0,
            confidence: self.strength.1,
            first_seen: self.first_us.map(format_micros),
            last_seen: self.last_us.map(format_micros),
            rows: self.rows,
            stage: rule.stage,
            entities: self.entities.clone(),
            techniques: rule.techniques.clone(),
            explanation,
            evidence: self.strongest.to_json(&rule.evidence),
            watchlists: Vec::new(),
            roots: BTreeSet::new(),
        })
    }
}

fn period_start(rule: &FindingRule, row: &Row<'_>) -> Option<i64> {
    let (instant, length_us) = match rule.period {
        Period::Hour => (&rule.first_seen, 3_600 * MICROS_PER_SECOND),
        Period::Day => (&rule.first_seen, MICROS_PER_DAY),
        Period::LastDay => (&rule.last_seen, MICROS_PER_DAY),
        Period::Window => return None,
    };
    row.micros(instant).map(|micros| micros.div_euclid(length_us) * length_us)
}

fn finding_id(
    analysis: &str,
    entities: &BTreeSet<NamedEntity>,
    period_us: Option<i64>,
    by: &[Option<&str>],
) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(analysis.as_bytes());
    for entity in entities {
        // With lengths, two different lists never have the same bytes.
        let name = entity.full_name.as_ref().unwrap_or(&entity.name);
        hasher.update(&[0, entity.kind as u8]);
        hasher.update(&(name.len() as u64).to_le_bytes());
        hasher.update(name.as_bytes());
    }
    hasher.update(&period_us.unwrap_or(i64::MIN).to_le_bytes());
    for value in by {
        hasher.update(&[u8::from(value.is_some())]);
        hasher.update(&(value.unwrap_or_default().len() as u64).to_le_bytes());
        hasher.update(value.unwrap_or_default().as_bytes());
    }
    hasher.finalize().to_hex()[..24].to_owned()
}
