//! An investigation: a scan of one entity's rows. What names it, and how common it is, comes from all rows.

use hindcast_base::Result;
use hindcast_base::entities::Entity;

use super::analysis_run::{AnalysisRun, Found};
use super::assessment::Assessment;
use super::coverage_builder::{CoverageBuilder, days_read};
use super::entity_context::EntityContext;
use super::entity_lookup::{EntityLookup, lookup_plan};
use super::finding_roots::add_roots;
use super::geolocation::add_locations;
use super::merge::Merger;
use super::plan::ScanPlan;
use super::run::{Progress, RunOptions, ScanResult};
use super::scoring::{LookedAt, computed_units, days_looked_at, score};
use super::unit_record::PlanRecords;
use super::unit_tracker::RollupRun;
use super::units::is_past;
use crate::watchlists::Watched;
use hindcast_risk::Assessor;

/// Runs `plan`, the investigation of `entity`.
pub(super) async fn run_investigation(
    plan: &ScanPlan,
    entity: &Entity,
    options: &RunOptions<'_>,
    progress: &dyn Progress,
) -> Result<ScanResult> {
    let lookup_plan = lookup_plan(plan);
    let lookup_rollups = RollupRun::new(&lookup_plan, options);
    let mut lookup = EntityLookup::load(entity, &lookup_plan, options, &lookup_rollups, progress).await?;
    lookup.find_users_addresses(plan, options, progress).await?;

    let rollups = RollupRun::new(plan, options);
    let records = lookup.read_rows(plan, &rollups, progress).await?;
    tracing::debug!(units = records.len(), "rollups complete");
    progress.merging();

    let of_window = records.iter().filter(|record| !is_past(&record.unit, plan));
    let days_with_rows = days_read(&plan.window, of_window);
    let mut merger = Merger::new(plan, options, &rollups, progress, records);
    add_locations(&mut merger, plan, options).await?;
    lookup.add_own_addresses(&mut merger, &days_with_rows).await?;
    let mut analyses = AnalysisRun::merge(plan, options, &mut merger).await?;
    let wanted = analyses.wanted_entities();
    let context = EntityContext::load(&mut lookup.merger, &wanted, options.config).await?;
    analyses.finish(&context).await?;

    let Found { plan, mut tables, mut findings, signals } = analyses.find().await?;
    tables.insert(0, lookup.relations_table()?);
    findings.retain(|finding| lookup.is_about(finding));
    add_roots(&mut findings, &plan, &mut merger).await?;
    let records = PlanRecords::of(&plan, merger.into_records());
    let watched = Watched::of(findings, &options.config.watchlists);

    let mut summary = lookup.summarise(&records.of_window).await?;
    let (looked_up, looked_up_tables) = lookup.records();
    // An entity may have no row that a suite looks at: that is no gap.
    let coverage = CoverageBuilder::new(&plan, &records, &lookup.skipped)
        .with_lookup(looked_up, looked_up_tables)
        .build(Vec::new());
    let assessment = Assessment::of_investigation(&plan, &coverage);
    let mut days = days_looked_at(&plan, &records, &coverage, &assessment);
    // Days without rows of the entity were searched too.
    let folders = plan.tables.iter().flat_map(|planned| &planned.folders);
    days.extend(folders.map(|folder| (folder.date, folder.last_date())));
    let computed_units = computed_units(records.of_window.iter().chain(looked_up));
    let looked_at = LookedAt { coverage, assessment, days, computed_units };
    let mut outcome = score(&plan, options.config, &context, &watched, signals, looked_at);
    let assessor = Assessor::new(options.config, &context.prevalence);
    summary.risk = assessor.of(&watched.findings.iter().collect::<Vec<_>>(), 0.0);
    outcome.entity = Some(summary);
    ScanResult::new(&plan, options.config, tables, watched, outcome, records)
}
