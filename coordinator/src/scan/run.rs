//! Runs a planned scan: rollups, merge, result tables, findings, scores, coverage.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use arrow::compute::concat_batches;
use chrono::NaiveDate;
use datafusion::execution::runtime_env::RuntimeEnv;
use hindcast_common::analyses::correlation::OFFICE_ADDRESSES;
use hindcast_common::analyses::{Analysis, Context, LOCATIONS, Locations, Suite};
use hindcast_common::catalog::task_session;
use hindcast_common::config::Config;
use hindcast_common::engine::{Engine, StateStore, UnitFault, collect};
use hindcast_common::error::{cause, store_failure};
use hindcast_common::findings::{Finding, Row, findings_of};
use hindcast_common::{Error, Result};

use crate::correlate::incidents_of;
use crate::geoip::LocationDatabase;
use crate::risk::{Assessor, DaySpan, RunRisk, days_of, run_risk};
use crate::watchlists::Watched;

use super::assessment::Assessment;
use super::build_coverage::{build_coverage, days_read, joined};
use super::coverage::{Coverage, Gap};
use super::entity_context::EntityContext;
use super::failures::Failures;
use super::filters::row_gaps;
use super::investigate::{EntityLookup, identity_plan};
use super::merge::{Merger, Results, RollupFiles, rollup_files};
use super::plan::ScanPlan;
use super::report::{EntitySummary, Outcome, Report};
use super::score::suite_score;
use super::spilled::AnalysisRows;
use super::table::ResultTable;
use super::unit_tracker::{RollupRun, UnitRecord};
use super::units::{cut, is_past, unit_bytes};

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
    pub rollups: Vec<RollupFiles>,
}

/// Runs `plan`.
///
/// # Errors
/// If the engine or a store fails. Files that can't be read are reported in the coverage instead.
pub async fn run_scan(
    plan: &ScanPlan,
    options: &RunOptions<'_>,
    progress: &dyn Progress,
) -> Result<ScanResult> {
    let identities = plan.investigated.as_ref().map(|_| identity_plan(plan));
    let lookups = identities.as_ref().map(|identities| rollup_run(identities, options));
    let mut lookup = match (&identities, &lookups) {
        (Some(identities), Some(lookups)) => {
            let mut lookup = EntityLookup::of(identities, options, lookups, progress).await?;
            lookup.find_users_addresses(plan, options, progress).await?;
            Some(lookup)
        }
        _ => None,
    };
    let rollups = rollup_run(plan, options);
    let records = read(plan, &rollups, lookup.as_mut(), progress).await?;
    tracing::debug!(units = records.len(), "rollups complete");
    progress.merging();
    let days = days_read(&plan.window, records.iter().filter(|record| !is_past(&record.unit, plan)));
    let mut merger = Merger::new(plan, options, &rollups, progress, records);
    put_locations(&mut merger, plan, options).await?;
    if let Some(lookup) = &lookup {
        lookup.put_own_addresses(&mut merger, &days).await?;
    }
    let mut failures = Failures::of_rollups(plan, &rollups.failed_rollups());
    let mut results = merger.run(&failures.remaining(plan)).await?;
    failures.extend(merger.take_failures());
    failures.check_findings_early(plan, &mut results, options.config)?;
    // Relations come from all rows, also if only an entity's rows are analysed.
    let relation_source = lookup.as_mut().map_or(&mut merger, |lookup| &mut lookup.identities);
    let context = EntityContext::load(relation_source, &plan.analyses, &results, options.config).await?;
    let (past, records): (Vec<_>, Vec<_>) =
        merger.into_records().into_iter().partition(|record| is_past(&record.unit, plan));
    finish(plan, options, &context, &mut results, &mut failures).await?;

    let mut shown = show_all(plan, options, results, &mut failures).await?;
    if let Some(lookup) = &lookup {
        shown.tables.insert(0, lookup.relations_table()?);
        shown.findings.retain(|finding| lookup.is_about(finding));
    }
    let Shown { tables, findings, signals } = shown;
    let reduced = failures.without(plan);
    let plan = &reduced;
    let watched = Watched::of(findings, &options.config.watchlists);
    let entity = match &mut lookup {
        Some(lookup) => Some(lookup.summarise(&records).await?),
        None => None,
    };
    // An entity may have no row that a suite looks at.
    let gaps = if lookup.is_some() { Vec::new() } else { row_gaps(plan, &records, options).await? };
    let seen =
        Seen { records: &records, past: &past, lookup: lookup.as_ref(), context: &context, entity, gaps };
    let outcome = assess(plan, options.config, seen, &watched, signals);
    let names = tables.iter().map(|table| table.name.clone()).collect();
    let report = Report::new(plan, options.config, outcome, names)?;
    let rollups = rollup_files(plan, &records);
    Ok(ScanResult { tables, findings: watched.findings, suppressed: watched.suppressed, report, rollups })
}

/// The tables and findings of all analyses.
#[derive(Default)]
struct Shown {
    tables: Vec<ResultTable>,
    findings: Vec<Finding>,
    /// Rows that raise findings, by suite and analysis.
    signals: BTreeMap<Suite, BTreeMap<String, u64>>,
}

/// The tables and findings of all analyses that have not failed.
async fn show_all(
    plan: &ScanPlan,
    options: &RunOptions<'_>,
    mut results: Results,
    failures: &mut Failures,
) -> Result<Shown> {
    let mut all = Shown::default();
    for analysis in failures.remaining(plan) {
        let whole = results.remove(analysis.id);
        let whole = whole.ok_or_else(|| Error::Internal(format!("{} was merged to nothing", analysis.id)))?;
        let (tables, found) = match show(analysis, whole, options).await {
            Ok(shown) => shown,
            Err(error) => {
                failures.fail(analysis, None, error)?;
                continue;
            }
        };
        if analysis.is_reported() {
            all.signals.entry(analysis.suite).or_default();
        }
        if let Some(found) = found {
            let count = found.iter().map(|finding| finding.rows).sum();
            all.signals.entry(analysis.suite).or_default().insert(analysis.id.to_owned(), count);
            all.findings.extend(found);
        }
        all.tables.extend(tables);
    }
    Ok(all)
}

/// The tables of one analysis, and its findings if it raises any.
async fn show(
    analysis: &'static Analysis,
    whole: AnalysisRows,
    options: &RunOptions<'_>,
) -> Result<(Vec<ResultTable>, Option<Vec<Finding>>)> {
    let found = match (&analysis.finding, whole.held()) {
        (Some(_), Some(rows)) => Some(findings_of(analysis, std::slice::from_ref(rows), options.config)?),
        _ => None,
    };
    let companion = match &analysis.companion {
        Some(companion) => {
            let bindings = analysis.bindings(options.config)?;
            let frame = companion.compute(whole.frame(&options.runtime)?, &bindings)?;
            let schema = Arc::clone(frame.schema().inner());
            let rows = match collect(analysis, options.config, frame).await {
                Err(error) if analysis.about.is_own && store_failure("", &error).is_none() => {
                    return Err(Error::Config(analysis.failure(Some(&companion.query), &cause(&error))));
                }
                rows => rows?,
            };
            let rows = concat_batches(&schema, &rows).map_err(|error| Error::Engine(error.into()))?;
            Some(ResultTable::held(companion.name, &[rows])?)
        }
        None => None,
    };
    let tables = [whole.into_table(analysis.id)?].into_iter().chain(companion);
    Ok((tables.collect(), found))
}

/// What was read, and what is known about the entities in it.
struct Seen<'a> {
    records: &'a [UnitRecord],
    /// Records of the time before the window.
    past: &'a [UnitRecord],
    lookup: Option<&'a EntityLookup<'a>>,
    context: &'a EntityContext,
    entity: Option<EntitySummary>,
    /// Tables of which no row was looked at.
    gaps: Vec<Gap>,
}

/// Scores, incidents, risks and coverage of the findings.
fn assess(
    plan: &ScanPlan,
    config: &Config,
    seen: Seen<'_>,
    watched: &Watched,
    mut signals: BTreeMap<Suite, BTreeMap<String, u64>>,
) -> Outcome {
    let suppressed_rows = watched.suppressed_rows();
    for (id, rows) in signals.values_mut().flatten() {
        *rows -= suppressed_rows.get(id.as_str()).copied().unwrap_or_default().min(*rows);
    }
    let Seen { records, past, lookup, context, entity, gaps } = seen;
    let coverage = build_coverage(plan, records, past, lookup, gaps);
    let assessment = Assessment::of(plan, &coverage);
    // A suite that looked at no row has no score.
    let scored = signals
        .into_iter()
        .filter(|(suite, _)| assessment.has(*suite))
        .map(|(suite, signals)| (suite.name().to_owned(), suite_score(signals, &config.score)))
        .collect();
    let findings = &watched.findings;
    let assessor = Assessor::new(config, &context.prevalence);
    let (incidents, hubs) =
        incidents_of(findings, &context.relations, &context.prevalence, &assessor, config);
    let entities = assessor.entities(findings);
    let days = day_spans(plan, records, lookup, (&coverage, &assessment), findings);
    let (risk, risk_by_day) = run_risk(&assessor, findings, &incidents, &entities, &days);
    let risk = match assessment {
        Assessment::Assessed(_) => risk,
        Assessment::NotAssessed(reasons) => RunRisk::not_assessed(reasons),
    };
    let risk_of_all =
        |summary| EntitySummary { risk: assessor.of(&findings.iter().collect::<Vec<_>>(), 0.0), ..summary };
    let all_records = || records.iter().chain(lookup.iter().flat_map(|lookup| lookup.identities.records()));
    let computed = all_records().filter(|record| record.was_computed).count();
    Outcome {
        suites: scored,
        risk,
        risk_by_day,
        findings: findings.len(),
        suppressed: watched.suppressed_by_list(),
        incidents,
        hubs,
        entities,
        entity: entity.map(risk_of_all),
        coverage,
        computed_units: (computed, all_records().count()),
    }
}

/// The days of the window, and whether anything was looked at on them.
fn day_spans(
    plan: &ScanPlan,
    records: &[UnitRecord],
    lookup: Option<&EntityLookup<'_>>,
    (coverage, assessment): (&Coverage, &Assessment),
    findings: &[Finding],
) -> Vec<DaySpan> {
    let folders: BTreeSet<NaiveDate> =
        coverage.tables.iter().filter(|entry| entry.files > 0).map(|entry| entry.date).collect();
    let is_looked_at = |record: &&UnitRecord| {
        assessment.is_assessed() && coverage.has_rows_taken(plan.tables[record.unit.table].table.spec.name)
    };
    let mut days = days_read(&plan.window, records.iter().filter(is_looked_at));
    if lookup.is_some() {
        // Days without rows of the entity were searched too.
        let folders = plan.tables.iter().flat_map(|planned| &planned.folders);
        days.extend(folders.map(|folder| (folder.date, folder.date)));
    }
    days_of(&plan.window, &folders, &joined(days), findings)
}

/// Adds a side table with the locations of the lake's client addresses, if an analysis needs them and there is a database.
async fn put_locations(merger: &mut Merger<'_>, plan: &ScanPlan, options: &RunOptions<'_>) -> Result<()> {
    let is_asked = plan.analyses.iter().any(|analysis| analysis.locations != Locations::Unused);
    let Some(database) = options.locations.filter(|_| is_asked) else { return Ok(()) };
    let query = options.config.detections.by_id(OFFICE_ADDRESSES);
    let Some(query) = query.filter(|query| merger.has_state_for(query)) else { return Ok(()) };
    let answers = merger.run(&[query]).await?;
    let Some(addresses) = answers.get(OFFICE_ADDRESSES).and_then(AnalysisRows::held) else { return Ok(()) };
    let rows = (0..addresses.num_rows()).map(|index| Row::new(addresses, index));
    merger.add_side_table(&LOCATIONS, &database.locate(rows.filter_map(|row| row.text("address")))?).await
}

/// How a plan's rollups are computed.
pub(super) fn rollup_run<'a>(plan: &ScanPlan, options: &'a RunOptions<'a>) -> RollupRun<'a> {
    RollupRun {
        engine: options.engine,
        state: options.state,
        config: options.config,
        job: options.job,
        tables: cut(plan).0,
        use_cache: options.use_cache,
        failed_rollups: Mutex::default(),
    }
}

/// Completes the units: all of the plan, or those that can hold rows of the entity in `lookup`.
async fn read(
    plan: &ScanPlan,
    rollups: &RollupRun<'_>,
    lookup: Option<&mut EntityLookup<'_>>,
    progress: &dyn Progress,
) -> Result<Vec<UnitRecord>> {
    let (_, units) = cut(plan);
    let (units, selected, behind) = match lookup {
        Some(lookup) => {
            let units = lookup.select(plan, units);
            let selected = std::mem::take(&mut lookup.selected);
            let behind =
                lookup.identities.records().iter().chain(&selected).map(|record| unit_bytes(&record.unit));
            let behind: Vec<u64> = behind.collect();
            (units, selected, behind)
        }
        None => (units, Vec::new(), Vec::new()),
    };
    let bytes = units.iter().map(unit_bytes).chain(behind.iter().copied()).sum();
    progress.planned((units.len() + behind.len()) as u64, bytes);
    let mut records = rollups.complete(units, progress).await?;
    records.extend(selected);
    Ok(records)
}

/// Finishes the results that need to know about entities, which no shard does.
async fn finish(
    plan: &ScanPlan,
    options: &RunOptions<'_>,
    context: &EntityContext,
    results: &mut Results,
    failures: &mut Failures,
) -> Result<()> {
    for &analysis in &plan.analyses {
        if analysis.finish.is_none() {
            continue;
        }
        let Some(rows) = results.remove(analysis.id) else { continue };
        match finished(analysis, &rows, options, context).await {
            Ok(whole) => drop(results.insert(analysis.id, whole)),
            Err(error) => failures.fail(analysis, analysis.finish.as_ref(), error)?,
        }
    }
    Ok(())
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
