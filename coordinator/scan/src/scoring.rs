//! Scores, incidents and risks of a run, from its findings and from what it looked at.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use hindcast_detections::config::Config;

use super::analysis_run::Signals;
use super::assessment::Assessment;
use super::coverage::{Coverage, CoverageEntry};
use super::coverage_builder::{days_read, joined};
use super::entity_context::EntityContext;
use super::plan::ScanPlan;
use super::report::Outcome;
use super::score::suite_score;
use super::unit_record::{PlanRecords, UnitRecord};
use crate::watchlists::Watched;
use hindcast_risk::correlate::incidents_of;
use hindcast_risk::{Assessor, RunRisk, days_of, run_risk};

/// What a run looked at.
pub(super) struct LookedAt {
    pub(super) coverage: Coverage,
    pub(super) assessment: Assessment,
    /// First and last days of runs of days that were looked at, in any order.
    pub(super) days: Vec<(NaiveDate, NaiveDate)>,
    /// Units whose state was computed, and all units.
    pub(super) computed_units: (usize, usize),
}

/// The scores, incidents and risks of a run of `plan`.
pub(super) fn score(
    plan: &ScanPlan,
    config: &Config,
    context: &EntityContext,
    watched: &Watched,
    mut signals: Signals,
    looked_at: LookedAt,
) -> Outcome {
    let suppressed_rows = watched.suppressed_rows();
    for (id, rows) in signals.values_mut().flatten() {
        *rows -= suppressed_rows.get(id.as_str()).copied().unwrap_or_default().min(*rows);
    }
    let LookedAt { coverage, assessment, days, computed_units } = looked_at;
    // A suite that looked at no row has no score.
    let suites = signals
        .into_iter()
        .filter(|(suite, _)| assessment.has(*suite))
        .map(|(suite, signals)| (suite.name().to_owned(), suite_score(signals, &config.score)))
        .collect();
    let findings = &watched.findings;
    let assessor = Assessor::new(config, &context.prevalence);
    let (incidents, hubs) =
        incidents_of(findings, &context.relations, &context.prevalence, &assessor, config);
    let entities = assessor.entities(findings);
    let with_files = coverage.tables.iter().filter(|entry| entry.files > 0);
    let last = plan.window.last_date();
    let dates = |entry: &CoverageEntry| {
        let through = entry.through.unwrap_or(entry.date).min(last);
        let first = entry.date.max(plan.window.first_date()).min(through);
        [entry.date].into_iter().chain(first.iter_days().take_while(move |date| *date <= through))
    };
    let folders: BTreeSet<NaiveDate> = with_files.flat_map(dates).collect();
    let days = days_of(&plan.window, &folders, &joined(days), findings);
    let (risk, risk_by_day) = run_risk(&assessor, findings, &incidents, &entities, &days);
    let risk = match assessment {
        Assessment::Assessed(_) => risk,
        Assessment::NotAssessed(reasons) => RunRisk::NotAssessed(reasons),
    };
    Outcome {
        suites,
        risk,
        risk_by_day,
        findings: findings.len(),
        suppressed: watched.suppressed_by_list(),
        incidents,
        hubs,
        entities,
        entity: None,
        coverage,
        computed_units,
    }
}

/// Days of the window with rows that an analysis looked at.
pub(super) fn days_looked_at(
    plan: &ScanPlan,
    records: &PlanRecords,
    coverage: &Coverage,
    assessment: &Assessment,
) -> Vec<(NaiveDate, NaiveDate)> {
    let is_looked_at = |record: &&UnitRecord| {
        let table = &plan.tables[record.unit.table].table;
        assessment.is_assessed() && coverage.has_rows_taken(table.spec.name, table.root.as_deref())
    };
    days_read(&plan.window, records.of_window.iter().filter(is_looked_at))
}

/// Units whose state was computed, and all units.
pub(super) fn computed_units<'a>(records: impl Iterator<Item = &'a UnitRecord>) -> (usize, usize) {
    records.fold((0, 0), |(computed, all), record| (computed + usize::from(record.was_computed), all + 1))
}

#[cfg(test)]
#[path = "scoring_tests.rs"]
mod tests;
