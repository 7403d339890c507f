//! The analyses of a plan, step by step: merged from state, finished with what is known about entities, and made into tables and
//! findings.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::compute::concat_batches;
use hindcast_base::entities::EntityKind;
use hindcast_base::storage_fault::is_of_store;
use hindcast_base::{Error, Result};
use hindcast_detections::analyses::{Analysis, Context, Suite};
use hindcast_detections::findings::{Finding, candidate_entities, finding_entities, findings_of};
use hindcast_engine::collect;
use hindcast_lake::task_session;

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
    /// The findings of analyses whose rows are final: assessed once, for everything that asks for them.
    findings: BTreeMap<&'static str, Vec<Finding>>,
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
        let results = merger.run(&failures.remaining(plan)).await?;
        failures.extend(merger.take_failures());
        let mut run = Self { plan, options, results, findings: BTreeMap::new(), failures };
        for &analysis in plan.analyses.iter().filter(|analysis| analysis.finish.is_none()) {
            run.assess(analysis)?;
        }
        Ok(run)
    }

    /// Makes the findings of an analysis from its final rows.
    fn assess(&mut self, analysis: &'static Analysis) -> Result<()> {
        let rows = self.results.get(analysis.id).and_then(AnalysisRows::held);
        let Some(rows) = rows.filter(|_| analysis.finding.is_some()) else { return Ok(()) };
        match findings_of(analysis, rows, self.options.config) {
            Ok(findings) => drop(self.findings.insert(analysis.id, findings)),
            Err(error) => {
                self.failures.fail(analysis, None, error)?;
                self.results.remove(analysis.id);
            }
        }
        Ok(())
    }

    /// The entities of rows that are, or may become, findings.
    pub(super) fn wanted_entities(&self) -> BTreeSet<(EntityKind, String)> {
        let mut wanted = BTreeSet::new();
        for analysis in &self.plan.analyses {
            let rows = self.results.get(analysis.id).and_then(AnalysisRows::held);
            match (self.findings.get(analysis.id), &analysis.finding, rows) {
                (Some(findings), ..) => wanted.extend(finding_entities(findings)),
                (None, Some(rule), Some(rows)) => wanted.extend(candidate_entities(rule, rows)),
                _ => {}
            }
        }
        wanted
    }

    /// Finishes the results that need to know about entities, which no shard does.
    pub(super) async fn finish(&mut self, context: &EntityContext) -> Result<()> {
        let plan = self.plan;
        for &analysis in &plan.analyses {
            if analysis.finish.is_none() {
                continue;
            }
            let Some(rows) = self.results.remove(analysis.id) else { continue };
            match finished(analysis, &rows, self.options, context).await {
                Ok(rows) => {
                    self.results.insert(analysis.id, rows);
                    self.assess(analysis)?;
                }
                Err(error) => self.failures.fail(analysis, analysis.finish.as_ref(), error)?,
            }
        }
        Ok(())
    }

    /// Makes the tables of all analyses that have not failed, and collects their findings.
    pub(super) async fn find(mut self) -> Result<Found> {
        let (mut tables, mut findings, mut signals) = (Vec::new(), Vec::new(), Signals::new());
        for analysis in self.failures.remaining(self.plan) {
            let rows = self.results.remove(analysis.id);
            let no_rows = || Error::Internal(format!("{} was merged to nothing", analysis.id));
            let own_tables = match tables_of(analysis, rows.ok_or_else(no_rows)?, self.options).await {
                Ok(tables) => tables,
                Err(error) => {
                    self.failures.fail(analysis, None, error)?;
                    continue;
                }
            };
            if analysis.is_reported() {
                signals.entry(analysis.suite).or_default();
            }
            if let Some(own_findings) = self.findings.remove(analysis.id) {
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

/// The result table of one analysis, and its companion.
async fn tables_of(
    analysis: &'static Analysis,
    rows: AnalysisRows,
    options: &RunOptions<'_>,
) -> Result<Vec<ResultTable>> {
    let companion = match &analysis.companion {
        Some(companion) => {
            let bindings = analysis.bindings(options.config)?;
            let frame = companion.compute(rows.frame(&options.runtime)?, &bindings)?;
            let schema = Arc::clone(frame.schema().inner());
            let batches = match collect(analysis, options.config, frame).await {
                Err(error) if analysis.about.is_own && !is_of_store(&error) => {
                    return Err(analysis.failure(Some(&companion.query), &error));
                }
                batches => batches?,
            };
            let batch = concat_batches(&schema, &batches).map_err(|error| Error::Engine(error.into()))?;
            Some(ResultTable::held(companion.name, &[batch])?)
        }
        None => None,
    };
    Ok([rows.into_table(analysis.id)?].into_iter().chain(companion).collect())
}
