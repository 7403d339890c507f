//! The risk of entities, incidents and the run: a score of 0 to 100 with contributions that add up to it exactly.
//! docs/risk.md has the formula and its sources.

mod contribution;
pub mod correlate;
mod days;
mod formula;
mod run;
#[cfg(test)]
mod test_entities;
#[cfg(test)]
mod test_finding;

use std::collections::{BTreeMap, BTreeSet};

use hindcast_base::entities::{Entity, EntityKind};
use hindcast_detections::config::{Config, Effect, Watchlist, WatchlistIndex};
use hindcast_detections::findings::{Finding, NamedEntity, Severity};
use serde::{Deserialize, Serialize};

use crate::correlate::Prevalence;

pub use contribution::{Case, Contribution, RiskSource};
pub use days::{DaySpan, days_of};
pub use formula::{Assessed, Level};
pub use run::{DayRisk, RunRisk, StoredRisk, run_risk};

use formula::{Evidence, assess, damped};

/// An entity and its risk.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EntityRisk {
    /// The entity.
    #[serde(flatten)]
    pub entity: Entity,
    /// Its risk, 0 to 100, and the contributions of findings.
    #[serde(flatten)]
    pub risk: Assessed,
    /// The number of sources that contact it, if it is an address for which that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sources: Option<u64>,
}

/// Weighs findings by severity, confidence, and the rarity and weight of the entities they name.
pub struct Assessor<'a> {
    config: &'a Config,
    prevalence: &'a Prevalence,
    assets: Vec<(&'a Watchlist, WatchlistIndex)>,
}

/// The group of a finding, within which repetition counts less: its analysis, and one group for all low findings. Every day at work has
/// low findings of several analyses, which are no independent signs of an attack.
fn group_of(finding: &Finding) -> &str {
    match finding.severity {
        Severity::Low => "low",
        _ => &finding.analysis,
    }
}

impl<'a> Assessor<'a> {
    /// An assessor with the parameters of `config`.
    pub fn new(config: &'a Config, prevalence: &'a Prevalence) -> Self {
        let assets = config.watchlists.iter().filter(|list| list.effect == Effect::Weigh);
        Self { config, prevalence, assets: assets.map(|list| (list, list.index())).collect() }
    }

    /// The risk of every entity, highest first. It depends only on the findings that name the entity.
    pub fn entities(&self, findings: &[Finding]) -> Vec<EntityRisk> {
        let mut naming: BTreeMap<(EntityKind, &str), (&Entity, Vec<&Finding>)> = BTreeMap::new();
        for finding in findings {
            for NamedEntity { entity, .. } in &finding.entities {
                let named = naming.entry((entity.kind, &entity.name)).or_insert((entity, Vec::new()));
                // The fullest form of a name is shown.
                named.0 = named.0.max(entity);
                named.1.push(finding);
            }
        }
        let mut risks: Vec<EntityRisk> = naming
            .into_values()
            .map(|(entity, findings)| EntityRisk {
                entity: entity.clone(),
                risk: self.of(&findings, 0.0),
                sources: self.prevalence.of(entity),
            })
            .collect();
        risks.sort_by(|left, right| {
            right.risk.score.cmp(&left.risk.score).then_with(|| left.entity.cmp(&right.entity))
        });
        risks
    }

    /// The risk of related findings. Each tactic beyond the first adds to it.
    pub fn incident(&self, findings: &[&Finding]) -> Assessed {
        let tactics: BTreeSet<_> = findings.iter().filter_map(|finding| finding.tactic()).collect();
        self.of(findings, self.tactics_evidence(tactics.len()))
    }

    /// The risk of all `findings`. `tactics_evidence` is the amount that several tactics add.
    pub fn of(&self, findings: &[&Finding], tactics_evidence: f64) -> Assessed {
        let mut parts = damped(self.evidence(findings), self.config.risk.repeat);
        if tactics_evidence > 0.0 {
            parts.push(Evidence::alone(RiskSource::SeveralTactics, tactics_evidence));
        }
        assess(parts, &self.config.risk)
    }

    /// The amount that `tactics` tactics of related findings add.
    fn tactics_evidence(&self, tactics: usize) -> f64 {
        self.config.risk.tactic * tactics.saturating_sub(1) as f64
    }

    fn evidence(&self, findings: &[&Finding]) -> Vec<Evidence> {
        let evidence = |finding: &&Finding| Evidence {
            source: RiskSource::Finding(finding.id.clone()),
            group: group_of(finding).to_owned(),
            amount: self.amount(finding),
        };
        findings.iter().map(evidence).collect()
    }

    /// -ln(1 - p), where p is the probability that the finding is an attack, times the largest weight of its entities.
    fn amount(&self, finding: &Finding) -> f64 {
        let risk = &self.config.risk;
        let if_certain = match finding.severity {
            Severity::Low => risk.low,
            Severity::Medium => risk.medium,
            Severity::High => risk.high,
            Severity::Critical => risk.critical,
        };
        // The rarity of a host name counts, not that of its address, which others may use for other names.
        let is_named = finding.entities.iter().any(|one| one.kind == EntityKind::Url && self.is_known(one));
        let counted = finding.entities.iter().filter(|one| !is_named || one.kind != EntityKind::Ip);
        let rarity = counted.map(|entity| self.rarity(entity)).fold(1.0, f64::min);
        let probability = if_certain * f64::from(finding.confidence.min(100)) / 100.0 * rarity;
        let weights = self.assets.iter().filter(|(_, index)| finding.entities.iter().any(|e| index.has(e)));
        let weight = weights.map(|(list, _)| list.weight).fold(1.0, f64::max);
        -weight * (1.0 - probability).ln()
    }

    /// Whether it is a destination of which the sources are known.
    fn is_known(&self, entity: &NamedEntity) -> bool {
        entity.is_contacted() && self.prevalence.of(entity).is_some()
    }

    /// 1 for an address or a host name that one source contacts, 0 for one that all sources contact. How many sources contact an address that itself
    /// acts says nothing about what it does, so its rarity is 1.
    fn rarity(&self, entity: &NamedEntity) -> f64 {
        if !entity.is_contacted() {
            return 1.0;
        }
        let Some(sources) = self.prevalence.of(entity) else { return 1.0 };
        let others = sources.saturating_sub(1) as f64;
        let all_others =
            self.prevalence.total.max(self.config.risk.min_sources).saturating_sub(1).max(1) as f64;
        (1.0 - others / all_others).max(0.0)
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod worked_examples;
