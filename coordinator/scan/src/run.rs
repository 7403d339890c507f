//! Runs a planned scan: rollups, merge, result tables, findings, scores, coverage.

use std::sync::Arc;

use datafusion::execution::runtime_env::RuntimeEnv;
use hindcast_base::Result;
use hindcast_detections::config::Config;
use hindcast_detections::findings::Finding;
use hindcast_engine::{Engine, StateStore, UnitFault};

use super::analysis_run::{AnalysisRun, Found};
use super::assessment::Assessment;
use super::coverage_builder::CoverageBuilder;
use super::entity_context::EntityContext;
use super::entity_lookup::SkippedFolders;
use super::filters::row_gaps;
use super::finding_roots::add_roots;
use super::geolocation::add_locations;
use super::investigation::run_investigation;
use super::merge::Merger;
use super::plan::ScanPlan;
use super::report::{Outcome, Report};
use super::row_filter::row_filters;
use super::scoring::{LookedAt, computed_units, days_looked_at, score};
use super::state_files::{UsedRollup, used_rollups};
use super::table::ResultTable;
use super::unit_record::PlanRecords;
use super::unit_tracker::RollupRun;
use super::units::{cut, unit_bytes};
use crate::geoip::LocationDatabase;
use crate::watchlists::Watched;

/// What a scan runs with.
pub struct RunOptions<'a> {
    /// The engine.
    pub engine: &'a dyn Engine,
    /// Memory and stores of this process, for work on results.
    pub runtime: Arc<RuntimeEnv>,
    /// Where state is stored.
    pub state: &'a StateStore,
    /// Whether stored state is used.
    pub use_cache: bool,
    /// Tasks of a merge stage.
    pub shards: usize,
    /// Merge stages that run at once.
    pub concurrent_merges: usize,
    /// Parameters.
    pub config: &'a Config,
    /// Id of the coordinator's job; empty for a scan in this process.
    pub job: &'a str,
    /// The location database, for analyses that need locations.
    pub locations: Option<&'a LocationDatabase>,
}

/// Receives the progress of a scan.
pub trait Progress: Send + Sync {
    /// The number of units to read, and their bytes.
    fn planned(&self, units: u64, bytes: u64);
    /// So many units have their state already.
    fn cached(&self, units: u64);
    /// A unit was read.
    fn unit_done(&self, bytes: u64);
    /// A unit failed; it may be retried.
    fn unit_failed(&self, fault: &UnitFault);
    /// All units are read; results are computed next.
    fn merging(&self);
}

/// A scan whose progress nobody watches.
impl Progress for () {
    fn planned(&self, _: u64, _: u64) {}
    fn cached(&self, _: u64) {}
    fn unit_done(&self, _: u64) {}
    fn unit_failed(&self, _: &UnitFault) {}
    fn merging(&self) {}
}

/// What a scan found.
#[derive(Debug)]
pub struct ScanResult {
    /// Result tables, in the order of reports.
    pub tables: Vec<ResultTable>,
    /// Findings, in the order of their analyses and rows.
    pub findings: Vec<Finding>,
    /// Findings that an allow-list suppressed, in the same order.
    pub suppressed: Vec<Finding>,
    /// Scores, incidents, coverage and the outline of the plan.
    pub report: Report,
    /// The rollups' state behind it; empty if the result was fetched from a coordinator.
    pub rollups: Vec<UsedRollup>,
}

impl ScanResult {
    /// The result of a run of `plan` that came to `outcome`.
    ///
    /// # Errors
    /// If the parameters can't be hashed.
    pub(super) fn new(
        plan: &ScanPlan,
        config: &Config,
        tables: Vec<ResultTable>,
        watched: Watched,
        outcome: Outcome,
        records: PlanRecords,
    ) -> Result<Self> {
        let names = tables.iter().map(|table| table.name.clone()).collect();
        let report = Report::new(plan, config, outcome, names)?;
        let rollups = used_rollups(plan, records.of_window);
        let Watched { findings, suppressed } = watched;
        Ok(Self { tables, findings, suppressed, report, rollups })
    }
}

/// Runs `plan`: a scan of all rows, or the investigation of an entity.
///
/// # Errors
/// If the engine or a store fails. Files that can't be read are reported in the coverage instead.
pub async fn run_plan(
    plan: &ScanPlan,
    options: &RunOptions<'_>,
    progress: &dyn Progress,
) -> Result<ScanResult> {
    match &plan.investigated {
        None => run_scan(plan, options, progress).await,
        Some(entity) => run_investigation(plan, entity, options, progress).await,
    }
}

/// Runs `plan` over all rows.
async fn run_scan(plan: &ScanPlan, options: &RunOptions<'_>, progress: &dyn Progress) -> Result<ScanResult> {
    let rollups = RollupRun::new(plan, options);
    let units = cut(plan);
    progress.planned(units.len() as u64, units.iter().map(unit_bytes).sum());
    let records = rollups.complete(units, progress).await?;
    tracing::debug!(units = records.len(), "rollups complete");
    progress.merging();

    let mut merger = Merger::new(plan, options, &rollups, progress, records);
    merger.use_levels().await?;
    add_locations(&mut merger, plan, options).await?;
    let mut analyses = AnalysisRun::merge(plan, options, &mut merger).await?;
    let context = EntityContext::load(&mut merger, &analyses.wanted_entities(), options.config).await?;
    analyses.finish(&context).await?;

    let Found { plan, tables, mut findings, signals } = analyses.find().await?;
    add_roots(&mut findings, &plan, &mut merger).await?;
    let records = PlanRecords::of(&plan, merger.into_records());
    let watched = Watched::of(findings, &options.config.watchlists);

    let gaps = row_gaps(&plan, &records.of_window, options).await?;
    let filters = row_filters(&plan, &records.of_window, options.config);
    let coverage =
        CoverageBuilder::new(&plan, &records, &SkippedFolders::default()).with_filters(filters).build(gaps);
    let assessment = Assessment::of_scan(&plan, &coverage);
    let days = days_looked_at(&plan, &records, &coverage, &assessment);
    let computed_units = computed_units(records.of_window.iter());
    let looked_at = LookedAt { coverage, assessment, days, computed_units };
    let outcome = score(&plan, options.config, &context, &watched, signals, looked_at);
    ScanResult::new(&plan, options.config, tables, watched, outcome, records)
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
