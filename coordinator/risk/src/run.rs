//! The risk of a run for the whole window and by day, from its incidents and entities.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use hindcast_detections::findings::{Finding, Tactic};
use serde::{Deserialize, Serialize};

use super::contribution::{Case, Contribution, RiskSource};
use super::days::{DaySpan, days_of_finding};
use super::formula::{Assessed, Evidence, Level, assess, damped_sum};
use super::{Assessor, EntityRisk, group_of};
use crate::correlate::Incident;

/// The risk of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "RunRiskText", into = "RunRiskText")]
pub enum RunRisk {
    /// An analysis read data in which it could have found something.
    Assessed(Assessed),
    /// No analysis did, for these reasons.
    NotAssessed(Vec<String>),
    /// The assessed risk of a stored run whose explanation has a form that this build does not know.
    Stored(StoredRisk),
}

/// A risk as another build stored it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRisk {
    /// 0 to 100.
    pub score: u64,
    /// The level of the score.
    pub level: Level,
    /// The lines of the explanation.
    pub explanation: Vec<String>,
}

impl RunRisk {
    /// 0 to 100; none if nothing was assessed.
    pub fn score(&self) -> Option<u64> {
        match self {
            RunRisk::Assessed(risk) => Some(risk.score),
            RunRisk::Stored(risk) => Some(risk.score),
            RunRisk::NotAssessed(_) => None,
        }
    }

    /// The level of the score.
    pub fn level(&self) -> Level {
        match self {
            RunRisk::Assessed(risk) => risk.level,
            RunRisk::Stored(risk) => risk.level,
            RunRisk::NotAssessed(_) => Level::NotAssessed,
        }
    }

    /// Whether anything was assessed.
    pub fn is_assessed(&self) -> bool {
        !matches!(self, RunRisk::NotAssessed(_))
    }

    /// The contributions to the score, largest first, as far as they are known.
    pub fn contributions(&self) -> &[Contribution] {
        match self {
            RunRisk::Assessed(risk) => &risk.contributions,
            RunRisk::NotAssessed(_) | RunRisk::Stored(_) => &[],
        }
    }

    /// Why nothing was assessed; empty if something was.
    pub fn reasons(&self) -> &[String] {
        match self {
            RunRisk::Assessed(_) | RunRisk::Stored(_) => &[],
            RunRisk::NotAssessed(reasons) => reasons,
        }
    }

    /// The score, or the level if nothing was assessed.
    pub fn score_text(&self) -> String {
        self.score().map_or_else(|| self.level().name().to_owned(), |score| score.to_string())
    }

    /// The contributions or reasons, one text each.
    pub fn explanation(&self) -> Vec<String> {
        match self {
            RunRisk::Assessed(risk) => risk.contributions.iter().map(ToString::to_string).collect(),
            RunRisk::NotAssessed(reasons) => reasons.clone(),
            RunRisk::Stored(risk) => risk.explanation.clone(),
        }
    }
}

/// The form of [`RunRisk`] in result files.
#[derive(Serialize, Deserialize)]
struct RunRiskText {
    score: Option<u64>,
    level: Level,
    explanation: Vec<String>,
}

impl From<RunRisk> for RunRiskText {
    fn from(risk: RunRisk) -> Self {
        Self { score: risk.score(), level: risk.level(), explanation: risk.explanation() }
    }
}

impl From<RunRiskText> for RunRisk {
    fn from(text: RunRiskText) -> Self {
        let RunRiskText { score, level, explanation } = text;
        let Some(score) = score else { return RunRisk::NotAssessed(explanation) };
        match explanation.iter().map(|line| Contribution::parse(line)).collect() {
            Some(contributions) => RunRisk::Assessed(Assessed { score, level, contributions }),
            None => RunRisk::Stored(StoredRisk { score, level, explanation }),
        }
    }
}

/// The risk of a day, from the findings whose evidence reaches into it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayRisk {
    /// The day, UTC.
    pub date: NaiveDate,
    /// The last day of a run of equal days without folders; absent for a single day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub through: Option<NaiveDate>,
    /// 0 to 100; none if no row of the day was read.
    pub score: Option<u64>,
    /// The level of the score.
    pub level: Level,
    /// Findings of the day.
    pub findings: u64,
}

/// The risk of the run and of its days: all evidence of the worst incident or entity, and a part of the evidence of all findings.
pub fn run_risk(
    assessor: &Assessor<'_>,
    findings: &[Finding],
    incidents: &[Incident],
    entities: &[EntityRisk],
    days: &[DaySpan],
) -> (RunRisk, Vec<DayRisk>) {
    let weighed: Vec<Weighed<'_>> = findings.iter().map(|finding| Weighed::of(finding, assessor)).collect();
    let cases = Cases::new(findings, incidents, entities);
    let whole = cases.assess(assessor, &weighed, |_| true);
    let of_day = |day: &DaySpan| {
        let is_active =
            |piece: &Weighed<'_>| piece.days.is_some_and(|(first, last)| (first..=last).contains(&day.first));
        let findings = weighed.iter().filter(|piece| is_active(piece)).count() as u64;
        let risk = (day.was_read || findings > 0).then(|| cases.assess(assessor, &weighed, is_active));
        DayRisk {
            date: day.first,
            through: (day.last > day.first).then_some(day.last),
            score: risk.as_ref().map(|risk| risk.score),
            level: risk.map_or(Level::NotAssessed, |risk| risk.level),
            findings,
        }
    };
    (RunRisk::Assessed(whole), days.iter().map(of_day).collect())
}

/// The evidence and the days of a finding.
struct Weighed<'a> {
    analysis: &'a str,
    /// Within it, repetition counts less.
    group: &'a str,
    tactic: Option<Tactic>,
    amount: f64,
    /// The first and the last day.
    days: Option<(NaiveDate, NaiveDate)>,
}

impl<'a> Weighed<'a> {
    fn of(finding: &'a Finding, assessor: &Assessor<'_>) -> Self {
        let days = days_of_finding(finding);
        let (analysis, group, tactic) = (&finding.analysis, group_of(finding), finding.tactic());
        Self { analysis, group, tactic, amount: assessor.amount(finding), days }
    }
}

/// Incidents and entities: the worst of these cases counts in full.
struct Cases {
    cases: Vec<Case>,
    incidents: usize,
    /// The cases of each finding.
    of_finding: Vec<Vec<usize>>,
}

impl Cases {
    fn new(findings: &[Finding], incidents: &[Incident], entities: &[EntityRisk]) -> Self {
        let mut cases: Vec<Case> =
            incidents.iter().map(|incident| Case::Incident(incident.id.clone())).collect();
        let mut cases_of_id: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (case, incident) in incidents.iter().enumerate() {
            for id in &incident.findings {
                cases_of_id.entry(id).or_default().push(case);
            }
        }
        let mut case_of_entity = BTreeMap::new();
        for risk in entities {
            let (kind, name) = (risk.entity.kind, risk.entity.name.as_str());
            case_of_entity.insert((kind, name), cases.len());
            cases.push(Case::Entity(kind, name.to_owned()));
        }
        let of_finding = findings.iter().map(|finding| {
            let named = finding.entities.iter();
            let of_entities = named.filter_map(|e| case_of_entity.get(&(e.kind, e.name.as_str())));
            let of_incidents = cases_of_id.get(finding.id.as_str()).into_iter().flatten();
            of_incidents.chain(of_entities).copied().collect()
        });
        Self { of_finding: of_finding.collect(), incidents: incidents.len(), cases }
    }

    fn assess(
        &self,
        assessor: &Assessor<'_>,
        weighed: &[Weighed<'_>],
        is_included: impl Fn(&Weighed<'_>) -> bool,
    ) -> Assessed {
        let risk = &assessor.config.risk;
        let mut by_case: BTreeMap<usize, Vec<&Weighed<'_>>> = BTreeMap::new();
        let mut by_analysis: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        for (piece, cases) in weighed.iter().zip(&self.of_finding).filter(|(piece, _)| is_included(piece)) {
            cases.iter().for_each(|case| by_case.entry(*case).or_default().push(piece));
            by_analysis.entry(piece.analysis).or_default().push(piece.amount);
        }
        // The first of equal cases wins: incidents come before entities.
        let mut worst: Option<(f64, usize)> = None;
        for (case, pieces) in by_case {
            let mut amounts: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
            pieces.iter().for_each(|piece| amounts.entry(piece.group).or_default().push(piece.amount));
            let mut total: f64 = amounts.into_values().map(|amounts| damped_sum(amounts, risk.repeat)).sum();
            if case < self.incidents {
                let tactics: BTreeSet<Tactic> = pieces.iter().filter_map(|piece| piece.tactic).collect();
                total += assessor.tactics_evidence(tactics.len());
            }
            if total > 0.0 && worst.is_none_or(|(most, _)| total > most) {
                worst = Some((total, case));
            }
        }
        let mut parts: Vec<Evidence> = Vec::new();
        if let Some((amount, case)) = worst {
            parts.push(Evidence::alone(RiskSource::Worst(self.cases[case].clone()), amount));
        }
        for (analysis, amounts) in by_analysis {
            let source = RiskSource::FindingsOf { analysis: analysis.to_owned(), count: amounts.len() };
            parts.push(Evidence::alone(source, damped_sum(amounts, risk.repeat) * risk.rest));
        }
        assess(parts, risk)
    }
}
