//! The risk of a run for the whole window and by day, from its incidents and entities.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use hindcast_common::findings::{Finding, Tactic};
use serde::{Deserialize, Serialize};

use super::days::{DaySpan, days_of_finding};
use super::formula::{Assessed, Evidence, Level, assess, damped_sum};
use super::{Assessor, EntityRisk};
use crate::correlate::Incident;

/// The risk of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRisk {
    /// 0 to 100; none if nothing was assessed.
    pub score: Option<u64>,
    /// The level of the score.
    pub level: Level,
    /// The contributions, whose points add up to the score. The reasons, if nothing was assessed.
    pub explanation: Vec<String>,
}

impl RunRisk {
    /// The risk of a run in which nothing was assessed, with the reasons.
    pub fn not_assessed(reasons: Vec<String>) -> Self {
        Self { score: None, level: Level::NotAssessed, explanation: reasons }
    }

    /// The score, or the level if nothing was assessed.
    pub fn score_text(&self) -> String {
        self.score.map_or_else(|| self.level.name().to_owned(), |score| score.to_string())
    }

    /// Whether an analysis read data in which it could have found something.
    pub fn is_assessed(&self) -> bool {
        self.level != Level::NotAssessed
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

/// The risk of the run and of its days: all evidence of the worst incident or entity, and a part of all other evidence.
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
    let explanation =
        whole.contributions.iter().map(|part| format!("{} points: {}", part.points, part.from)).collect();
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
    let risk = RunRisk { score: Some(whole.score), level: whole.level, explanation };
    (risk, days.iter().map(of_day).collect())
}

/// The evidence and the days of a finding.
struct Weighed<'a> {
    analysis: &'a str,
    tactic: Option<Tactic>,
    amount: f64,
    /// The first and the last day.
    days: Option<(NaiveDate, NaiveDate)>,
}

impl<'a> Weighed<'a> {
    fn of(finding: &'a Finding, assessor: &Assessor<'_>) -> Self {
        let days = days_of_finding(finding);
        Self { analysis: &finding.analysis, tactic: finding.tactic(), amount: assessor.amount(finding), days }
    }
}

/// Incidents and entities: the worst of these cases counts in full.
struct Cases {
    names: Vec<String>,
    incidents: usize,
    /// The cases of each finding.
    of_finding: Vec<Vec<usize>>,
}

impl Cases {
    fn new(findings: &[Finding], incidents: &[Incident], entities: &[EntityRisk]) -> Self {
        let mut names: Vec<String> =
            incidents.iter().map(|incident| format!("incident {}", incident.id)).collect();
        let mut cases_of_id: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (case, incident) in incidents.iter().enumerate() {
            for id in &incident.findings {
                cases_of_id.entry(id).or_default().push(case);
            }
        }
        let mut case_of_entity = BTreeMap::new();
        for risk in entities {
            let (kind, name) = (risk.entity.kind, risk.entity.name.as_str());
            case_of_entity.insert((kind, name), names.len());
            names.push(format!("{} {name}", kind.name()));
        }
        let of_finding = findings.iter().map(|finding| {
            let named = finding.entities.iter();
            let of_entities = named.filter_map(|e| case_of_entity.get(&(e.kind, e.name.as_str())));
            let of_incidents = cases_of_id.get(finding.id.as_str()).into_iter().flatten();
            of_incidents.chain(of_entities).copied().collect()
        });
        Self { of_finding: of_finding.collect(), incidents: incidents.len(), names }
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
            pieces.iter().for_each(|piece| amounts.entry(piece.analysis).or_default().push(piece.amount));
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
            parts.push(Evidence::alone(format!("the worst, {}", self.names[case]), amount));
        }
        for (analysis, amounts) in by_analysis {
            let what = format!("{} findings of {analysis}", amounts.len());
            parts.push(Evidence::alone(what, damped_sum(amounts, risk.repeat) * risk.rest));
        }
        assess(parts, risk)
    }
}
