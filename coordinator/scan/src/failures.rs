//! Users' own detections that fail: each fails alone, and the scan reports file, line and reason.

use std::collections::BTreeMap;

use hindcast_base::storage_fault::is_of_store;
use hindcast_base::{Error, Result};
use hindcast_detections::analyses::Analysis;
use hindcast_detections::sql::SqlText;

use super::disabled::{Disabled, DisabledReason};
use super::gap::{Gap, GapCause};
use super::plan::ScanPlan;

/// Failed detections by id, each with the reason.
#[derive(Debug, Default)]
pub(super) struct Failures(BTreeMap<&'static str, String>);

impl Failures {
    /// The detections of `plan` that read a rollup that could not be computed; `rollups` has the reasons by id.
    pub(super) fn of_rollups(plan: &ScanPlan, rollups: &BTreeMap<String, String>) -> Self {
        let mut failures = Self::default();
        for analysis in &plan.analyses {
            let mut read = analysis.rollups.iter().chain(analysis.optional_rollups);
            if let Some(reason) = read.find_map(|id| rollups.get(*id)) {
                failures.add(analysis, reason.clone());
            }
        }
        failures
    }

    /// Records that `analysis` failed; the first reason counts.
    pub(super) fn add(&mut self, analysis: &Analysis, reason: String) {
        self.0.entry(analysis.id).or_insert(reason);
    }

    /// Records that `analysis` failed with `error`, in that part of its SQL if it is known.
    ///
    /// # Errors
    /// The error itself, if the analysis is built in or the cause is a store.
    pub(super) fn fail(&mut self, analysis: &Analysis, part: Option<&SqlText>, error: Error) -> Result<()> {
        let failure = match error {
            error if !analysis.about.is_own => return Err(error),
            Error::Engine(failed) if !is_of_store(&failed) => analysis.failure(part, &failed),
            Error::File(_) => error,
            error => return Err(error),
        };
        self.add(analysis, failure.to_string());
        Ok(())
    }

    pub(super) fn extend(&mut self, others: Self) {
        for (id, reason) in others.0 {
            self.0.entry(id).or_insert(reason);
        }
    }

    pub(super) fn has(&self, analysis: &Analysis) -> bool {
        self.0.contains_key(analysis.id)
    }

    /// The analyses of `plan` that have not failed.
    pub(super) fn remaining(&self, plan: &ScanPlan) -> Vec<&'static Analysis> {
        plan.analyses.iter().copied().filter(|analysis| !self.has(analysis)).collect()
    }

    /// The plan as far as it succeeded: each failed analysis is disabled and is a gap of the coverage.
    pub(super) fn without(&self, plan: &ScanPlan) -> ScanPlan {
        let mut plan = plan.clone();
        let analyses = std::mem::take(&mut plan.analyses);
        for analysis in analyses {
            let Some(error) = self.0.get(analysis.id) else {
                plan.analyses.push(analysis);
                continue;
            };
            let reason = DisabledReason::Failed { error: error.clone() };
            plan.disabled.push(Disabled { analysis, reason });
            let cause = GapCause::Detection { error: error.clone() };
            plan.gaps.push(Gap::new(analysis.id, cause));
        }
        plan
    }
}

#[cfg(test)]
#[path = "failures_tests.rs"]
mod tests;
