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
        let reason = match &error {
            Error::Engine(failed) if !is_of_store(failed) => analysis.failure(part, failed),
            Error::File(fault) => fault.to_string(),
            Error::Invalid(text) => analysis.failure_with(part, text),
            _ => return Err(error),
        };
        if !analysis.about.is_own {
            return Err(error);
        }
        self.add(analysis, reason);
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
            plan.gaps.push(Gap { table: analysis.id.to_owned(), cause });
        }
        plan
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_lake::{TestLake, between};
    use super::*;

    /// A plan of two analyses of the firewall.
    async fn plan() -> ScanPlan {
        let lake = TestLake::new();
        lake.write_sessions("2026-03-01", &[("10", "Palo Alto Networks", "10.0.0.1", "203.0.113.1")]);
        let config = lake.config("");
        let window = between("2026-03-01", "2026-03-02");
        lake.plan(&config, &["beaconing", "traffic_overview"], window).await.unwrap()
    }

    #[tokio::test]
    async fn a_failed_analysis_is_disabled_and_a_gap() {
        let plan = plan().await;
        let failed = plan.analyses[0];
        let mut failures = Failures::default();
        failures.add(failed, "first".into());
        failures.add(failed, "second".into());
        assert!(failures.has(failed));
        assert_eq!(failures.remaining(&plan).len(), plan.analyses.len() - 1);
        let reduced = failures.without(&plan);
        assert!(reduced.analyses.iter().all(|analysis| analysis.id != failed.id));
        let disabled = reduced.disabled.iter().find(|disabled| disabled.analysis.id == failed.id).unwrap();
        assert_eq!(disabled.reason, DisabledReason::Failed { error: "first".into() });
        assert_eq!(reduced.gaps.last().unwrap().to_string(), format!("{}: it failed: first", failed.id));
    }

    #[tokio::test]
    async fn analyses_of_a_rollup_that_failed_fail_with_it() {
        let plan = plan().await;
        let rollups = BTreeMap::from([("external_pairs".to_owned(), "no column x".to_owned())]);
        let failures = Failures::of_rollups(&plan, &rollups);
        let reads = |analysis: &&&'static Analysis| {
            let mut read = analysis.rollups.iter().chain(analysis.optional_rollups);
            read.any(|id| *id == "external_pairs")
        };
        assert_eq!(plan.analyses.iter().filter(reads).count(), failures.0.len());
        assert!(failures.0.values().all(|reason| reason == "no column x") && !failures.0.is_empty());
    }

    #[tokio::test]
    async fn an_error_of_a_built_in_analysis_fails_the_scan() {
        let plan = plan().await;
        let mut failures = Failures::default();
        let error = failures.fail(plan.analyses[0], None, Error::Invalid("no column x".into())).unwrap_err();
        assert_eq!(error.to_string(), "no column x");
        assert!(failures.0.is_empty());
    }
}
