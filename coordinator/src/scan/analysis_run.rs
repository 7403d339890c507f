//! The analyses of a plan, step by step: merged from state, finished with what is known about entities, and made into tables and
//! findings.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::compute::concat_batches;
use hindcast_common::analyses::{Analysis, Context, Suite};
use hindcast_common::catalog::task_session;
use hindcast_common::engine::collect;
use hindcast_common::error::{cause, store_failure};
use hindcast_common::findings::{Finding, findings_of};
use hindcast_common::{Error, Result};

use super::entity_context::EntityContext;
use super::failures::Failures;
use super::merge::{Merger, Results};
use super::plan::ScanPlan;
use super::run::RunOptions;
use super::spilled::AnalysisRows;
use super::table::ResultTable;

/// Rows that raise findings, by suite and analysis.
pub(super) type Signals = BTreeMap<Suite, BTreeMap<String, u64>>;

/// The rows of a plan's analyses, and the analyses that failed.
pub(super) struct AnalysisRun<'a> {
    plan: &'a ScanPlan,
    options: &'a RunOptions<'a>,
    results: Results,
    failures: Failures,
}

/// The tables and findings of a plan's analyses.
pub(super) struct Found {
    /// The plan without the analyses that failed.
    pub(super) plan: ScanPlan,
    /// Result tables, in the order of reports.
    pub(super) tables: Vec<ResultTable>,
    /// Findings, in the order of their analyses and rows.
    pub(super) findings: Vec<Finding>,
    pub(super) signals: Signals,
}

impl<'a> AnalysisRun<'a> {
    /// Merges the state and runs the analyses on it.
    pub(super) async fn merge(
        plan: &'a ScanPlan,
        options: &'a RunOptions<'a>,
        merger: &mut Merger<'_>,
    ) -> Result<Self> {
        let mut failures = Failures::of_rollups(plan, &merger.failed_rollups());
        let mut results = merger.run(&failures.remaining(plan)).await?;
        failures.extend(merger.take_failures());
        failures.check_findings_early(plan, &mut results, options.config)?;
        Ok(Self { plan, options, results, failures })
    }

    /// The rows by analysis.
    pub(super) fn results(&self) -> &Results {
        &self.results
    }

    /// Finishes the results that need to know about entities, which no shard does.
    pub(super) async fn finish(&mut self, context: &EntityContext) -> Result<()> {
        for &analysis in &self.plan.analyses {
            if analysis.finish.is_none() {
                continue;
            }
            let Some(rows) = self.results.remove(analysis.id) else { continue };
            match finished(analysis, &rows, self.options, context).await {
                Ok(rows) => drop(self.results.insert(analysis.id, rows)),
                Err(error) => self.failures.fail(analysis, analysis.finish.as_ref(), error)?,
            }
        }
        Ok(())
    }

    /// Makes tables and findings of all analyses that have not failed.
    pub(super) async fn find(mut self) -> Result<Found> {
        let (mut tables, mut findings, mut signals) = (Vec::new(), Vec::new(), Signals::new());
        for analysis in self.failures.remaining(self.plan) {
            let rows = self.results.remove(analysis.id);
            let no_rows = || Error::Internal(format!("{} was merged to nothing", analysis.id));
            let (own_tables, own_findings) =
                match tables_and_findings(analysis, rows.ok_or_else(no_rows)?, self.options).await {
                    Ok(found) => found,
                    Err(error) => {
                        self.failures.fail(analysis, None, error)?;
                        continue;
                    }
                };
            if analysis.is_reported() {
                signals.entry(analysis.suite).or_default();
            }
            if let Some(own_findings) = own_findings {
                let rows = own_findings.iter().map(|finding| finding.rows).sum();
                signals.entry(analysis.suite).or_default().insert(analysis.id.to_owned(), rows);
                findings.extend(own_findings);
            }
            tables.extend(own_tables);
        }
        Ok(Found { plan: self.failures.without(self.plan), tables, findings, signals })
    }
}

async fn finished(
    analysis: &'static Analysis,
    rows: &AnalysisRows,
    options: &RunOptions<'_>,
    context: &EntityContext,
) -> Result<AnalysisRows> {
    let session = task_session(Arc::clone(&options.runtime));
    let prevalence = session.read_batch(context.prevalence.rows()?)?;
    let known = Context { config: options.config, prevalence };
    let frame = analysis.finished(rows.frame(&options.runtime)?, &known)?;
    let schema = Arc::clone(frame.schema().inner());
    let rows = collect(analysis, options.config, frame).await?;
    Ok(AnalysisRows::Held(analysis.ordered(&schema, rows, options.config)?))
}

/// The tables of one analysis, and its findings if it raises any.
async fn tables_and_findings(
    analysis: &'static Analysis,
    rows: AnalysisRows,
    options: &RunOptions<'_>,
) -> Result<(Vec<ResultTable>, Option<Vec<Finding>>)> {
    let findings = match (&analysis.finding, rows.held()) {
        (Some(_), Some(rows)) => Some(findings_of(analysis, std::slice::from_ref(rows), options.config)?),
        _ => None,
    };
    let companion = match &analysis.companion {
        Some(companion) => {
            let bindings = analysis.bindings(options.config)?;
            let frame = companion.compute(rows.frame(&options.runtime)?, &bindings)?;
            let schema = Arc::clone(frame.schema().inner());
            let batches = match collect(analysis, options.config, frame).await {
                Err(error) if analysis.about.is_own && store_failure("", &error).is_none() => {
                    return Err(Error::Config(analysis.failure(Some(&companion.query), &cause(&error))));
                }
                batches => batches?,
            };
            let batch = concat_batches(&schema, &batches).map_err(|error| Error::Engine(error.into()))?;
            Some(ResultTable::held(companion.name, &[batch])?)
        }
        None => None,
    };
    let tables = [rows.into_table(analysis.id)?].into_iter().chain(companion);
    Ok((tables.collect(), findings))
}
