//! Plans a scan from listings alone: the window, the analyses that can run, and the files they read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::execution::runtime_env::RuntimeEnv;
use hindcast_base::entities::Entity;
use hindcast_base::time::Window;
use hindcast_base::{Error, Result};
use hindcast_detections::Detections;
use hindcast_detections::analyses::correlation::{ENTITY_TIES, OFFICE_ADDRESSES, PREVALENCE};
use hindcast_detections::analyses::{Analysis, Locations, Suite, one_of};
use hindcast_detections::config::Config;
use hindcast_detections::rollups::Rollup;
use hindcast_lake::{DateFolder, Lake, LakeTable, RootName, TableSpec};

use super::disabled::{Disabled, DisabledReason};
use super::gap::Gap;
use super::gaps::{TableColumns, column_gaps};
use super::look_back::{PlannedPast, past_of};
use super::sources::Sources;
use crate::geoip::LocationSource;

/// Columns by table.
type Columns = BTreeMap<String, BTreeSet<String>>;

/// What to scan.
#[derive(Debug, Clone)]
pub struct PlanRequest {
    /// The requested span of time.
    pub window: WindowRequest,
    /// Suites to run.
    pub suites: Vec<Suite>,
    /// Analyses to run; all of the suites if empty.
    pub only: Vec<&'static Analysis>,
    /// The entity under investigation; absent for a scan of all rows.
    pub investigated: Option<Entity>,
    /// The known detections.
    pub detections: Detections,
}

/// A requested window, in microseconds.
#[derive(Debug, Clone, Copy)]
pub enum WindowRequest {
    /// `[from, to)`; a missing bound is that of the lake.
    Between(Option<i64>, Option<i64>),
    /// This length of time, up to and including the newest row.
    Last(i64),
}

/// What a scan reads and computes.
#[derive(Debug, Clone)]
pub struct ScanPlan {
    /// The window.
    pub window: Window,
    /// Analyses that run, in the order of reports.
    pub analyses: Vec<&'static Analysis>,
    /// Analyses that can't run, and why.
    pub disabled: Vec<Disabled>,
    /// Tables read, with the files in the window.
    pub tables: Vec<PlannedTable>,
    /// Tables that analyses need and the lake lacks.
    pub missing_tables: Vec<&'static str>,
    /// All roots, if the lake has several.
    pub roots: Vec<RootName>,
    /// Tables that other roots have, by the root that lacks them.
    pub missing_in_roots: Vec<(Arc<str>, &'static str)>,
    /// What is present and can't be looked at, regardless of the date.
    pub gaps: Vec<Gap>,
    /// Columns the lake has in the window, by table.
    pub columns: BTreeMap<String, BTreeSet<String>>,
    /// The location database, if there is one.
    pub locations: Option<LocationSource>,
    /// The entity under investigation; absent for a scan of all rows.
    pub investigated: Option<Entity>,
    /// The known detections.
    pub detections: Detections,
}

/// A table, or its part in one of several roots, and what is read from it.
#[derive(Debug, Clone)]
pub struct PlannedTable {
    /// The table.
    pub table: LakeTable,
    /// Its folders in the window.
    pub folders: Vec<DateFolder>,
    /// The rollups that its files feed.
    pub rollups: Vec<&'static Rollup>,
    /// What is read of the time before the window, if an analysis looks back.
    pub past: Option<PlannedPast>,
}

impl PlannedTable {
    /// Number of files in the window, and their bytes.
    pub fn size(&self) -> (u64, u64) {
        let files = self.folders.iter().flat_map(|folder| &folder.files);
        files.fold((0, 0), |(count, bytes), file| (count + 1, bytes + file.bytes))
    }
}

/// Plans `request` over `lake`, with the parameters of `config` and the location database `locations`.
///
/// # Errors
/// [`Error::Invalid`] if no known table or no file is in the window, [`Error::Storage`] if a listing fails.
pub(crate) async fn plan_scan(
    lake: &Lake,
    request: &PlanRequest,
    config: &Config,
    locations: Option<LocationSource>,
    runtime: &Arc<RuntimeEnv>,
) -> Result<ScanPlan> {
    let sources = Sources::of(lake, request).await?;
    let (window, gaps) = sources.window(&request.window, runtime).await?;
    let plan = plan_window(&sources, request, config, window, locations, gaps).await?;
    plan.ok_or_else(|| {
        Error::Invalid(format!(
            "the lake has no file between {} and {}{}",
            hindcast_base::time::format_micros(window.from_us),
            hindcast_base::time::format_micros(window.to_us),
            sources.dates_hint(),
        ))
    })
}

/// Whether an analysis reads the table `name`. An earlier table in a rollup's list replaces it if that is `readable`.
pub(super) fn reads(
    detections: Detections,
    analysis: &Analysis,
    name: &str,
    readable: &BTreeSet<&str>,
) -> bool {
    rollups_of(detections, analysis).any(|rollup| {
        let before = rollup.tables.iter().position(|table| *table == name);
        before.is_some_and(|place| !rollup.tables[..place].iter().any(|table| readable.contains(table)))
    })
}

/// Plans `window` of `request` over `sources`; `gaps` are known in addition to those of the sources. There is no plan if the lake
/// has no gap and no file in the window.
///
/// # Errors
/// [`Error::Storage`] if a listing fails.
pub(super) async fn plan_window(
    sources: &Sources,
    request: &PlanRequest,
    config: &Config,
    window: Window,
    locations: Option<LocationSource>,
    mut gaps: Vec<Gap>,
) -> Result<Option<ScanPlan>> {
    let wanted = wanted(request);
    let mut in_window = Vec::new();
    let mut of_roots: BTreeMap<Option<Arc<str>>, Columns> = BTreeMap::new();
    for table in &sources.tables {
        let folders = table.folders(&window).await?;
        let needed = columns_needed(config, &wanted, table.spec);
        let names = table.columns(&folders, &needed).await?.into_iter().map(str::to_owned).collect();
        of_roots.entry(table.root.clone()).or_default().insert(table.spec.name.to_owned(), names);
        in_window.push((table.clone(), folders));
    }
    let columns = columns_of_lake(&in_window, &of_roots);
    gaps.extend(sources.gaps.iter().cloned());
    let mut folders = in_window.iter().flat_map(|(_, folders)| folders);
    if gaps.is_empty() && !in_window.is_empty() && folders.all(|folder| folder.files.is_empty()) {
        return Ok(None);
    }

    let (analyses, disabled) =
        enabled(request.detections, &wanted, &columns, locations.is_some(), request.investigated.is_some());
    // Where a rollup can be computed from any of several tables, each root has its own choice.
    let chosen: BTreeMap<_, _> = of_roots
        .iter()
        .map(|(root, own)| (root.clone(), rollups_by_table(request.detections, &analyses, own)))
        .collect();
    let known = in_window.iter().filter_map(|(table, folders)| {
        let known = of_roots.get(&table.root)?.get(table.spec.name)?;
        let in_lake = columns.get(table.spec.name)?;
        let rollups = chosen.get(&table.root)?.get(table.spec.name);
        Some(TableColumns { table, folders, known, in_lake, rollups })
    });
    let (known, of_entity) = (known.collect::<Vec<_>>(), request.investigated.is_some());
    gaps.extend(column_gaps(&known, of_entity, &disabled, &analyses));
    let mut tables = Vec::new();
    for (table, folders) in in_window {
        let own = chosen.get(&table.root).and_then(|chosen| chosen.get(table.spec.name));
        let Some(rollups) = own.cloned() else { continue };
        let past = past_of(&table, &rollups, &analyses, config, &window).await?;
        tables.push(PlannedTable { table, folders, rollups, past });
    }
    let names = tables_of(request.detections, &wanted);
    let missing_tables = missing(request.detections, &names, &columns).collect();
    let missing_in_roots = missing_in_roots(sources, &names, request.detections, &columns, &of_roots);
    let investigated = request.investigated.clone();
    Ok(Some(ScanPlan {
        window,
        analyses,
        disabled,
        tables,
        missing_tables,
        roots: sources.roots.clone(),
        missing_in_roots,
        gaps,
        columns,
        locations,
        investigated,
        detections: request.detections,
    }))
}

/// The columns of each table in any root. A root without a file in the window shows none, unless no root has one.
fn columns_of_lake(
    in_window: &[(LakeTable, Vec<DateFolder>)],
    of_roots: &BTreeMap<Option<Arc<str>>, Columns>,
) -> Columns {
    let mut all = Columns::new();
    for (table, folders) in in_window {
        let name = table.spec.name;
        let has_files = |folders: &[DateFolder]| folders.iter().any(|folder| !folder.files.is_empty());
        let mut of_name = in_window.iter().filter(|(other, _)| other.spec.name == name);
        if has_files(folders) || !of_name.any(|(_, folders)| has_files(folders)) {
            let own = of_roots.get(&table.root).and_then(|own| own.get(name));
            all.entry(name.to_owned()).or_default().extend(own.into_iter().flatten().cloned());
        }
    }
    all
}

/// Those of the tables `names` that are absent, and for which no other table serves.
fn missing<'a>(
    detections: Detections,
    names: &'a BTreeSet<&'static str>,
    columns: &'a Columns,
) -> impl Iterator<Item = &'static str> + 'a {
    let names = names.iter().copied();
    names.filter(move |name| !columns.contains_key(*name) && !has_substitute(detections, name, columns))
}

/// The tables that a root lacks and others have.
fn missing_in_roots(
    sources: &Sources,
    names: &BTreeSet<&'static str>,
    detections: Detections,
    columns: &Columns,
    of_roots: &BTreeMap<Option<Arc<str>>, Columns>,
) -> Vec<(Arc<str>, &'static str)> {
    let none = Columns::new();
    let mut missing_in_roots = Vec::new();
    for root in sources.roots.iter().filter(|root| !sources.absent_roots.contains(&root.name)) {
        let own = of_roots.get(&Some(Arc::clone(&root.name))).unwrap_or(&none);
        let missing = missing(detections, names, own).filter(|name| columns.contains_key(*name));
        missing_in_roots.extend(missing.map(|name| (Arc::clone(&root.name), name)));
    }
    missing_in_roots
}

/// The requested analyses, whether or not they can run.
pub(super) fn wanted(request: &PlanRequest) -> Vec<&'static Analysis> {
    let of_suites = request
        .detections
        .analyses()
        .iter()
        .filter(|analysis| request.suites.contains(&analysis.suite))
        .filter(|analysis| request.only.is_empty() || request.only.iter().any(|only| only.id == analysis.id));
    let of_investigation = request.investigated.iter().flat_map(|_| request.detections.investigation());
    of_investigation.chain(of_suites).copied().collect()
}

fn rollups_of(detections: Detections, analysis: &Analysis) -> impl Iterator<Item = &'static Rollup> {
    let read = analysis.rollups.iter().chain(analysis.optional_rollups);
    read.filter_map(move |id| detections.rollup(id))
}

/// Tables that `analyses` read.
pub(super) fn tables_of(detections: Detections, analyses: &[&'static Analysis]) -> BTreeSet<&'static str> {
    analyses
        .iter()
        .flat_map(|analysis| rollups_of(detections, analysis))
        .flat_map(|rollup| rollup.tables)
        .copied()
        .collect()
}

/// Tables that `analysis` reads, without those of optional rollups, unless it has no others: looking at them alone is not looking.
pub(super) fn tables_without_optional(detections: Detections, analysis: &Analysis) -> BTreeSet<&'static str> {
    if analysis.rollups.is_empty() {
        return rollups_of(detections, analysis).flat_map(|rollup| rollup.tables).copied().collect();
    }
    let rollups = analysis.rollups.iter().filter_map(|id| detections.rollup(id));
    rollups.flat_map(|rollup| rollup.tables).copied().collect()
}

/// Columns of a table that `analyses` or correlation need. No others are searched for.
fn columns_needed(
    config: &Config,
    analyses: &[&'static Analysis],
    table: &TableSpec,
) -> BTreeSet<&'static str> {
    let detections = config.detections;
    let correlation = [ENTITY_TIES, OFFICE_ADDRESSES, PREVALENCE].into_iter();
    let correlation = correlation.filter_map(|id| detections.by_id(id));
    let all = || analyses.iter().copied().chain(correlation.clone());
    let rollups = all().flat_map(|analysis| rollups_of(detections, analysis));
    let read = rollups.filter(|rollup| rollup.tables.contains(&table.name)).flat_map(|rollup| {
        let of_populations = rollup.populations.iter().map(|(population, _)| population.column);
        rollup.columns_read(config).into_iter().chain(of_populations)
    });
    let required = all().flat_map(|analysis| analysis.requires);
    let required = required.filter(|required| required.tables.contains(&table.name));
    let required = required.flat_map(|required| required.columns).flat_map(|names| one_of(names));
    let named = read.chain(required);
    named.chain([table.time_column]).filter(|column| table.column(column).is_some()).collect()
}

/// Whether another table that serves the same rollup is present.
fn has_substitute(detections: Detections, name: &str, columns: &Columns) -> bool {
    detections
        .rollups()
        .iter()
        .filter(|rollup| rollup.tables.contains(&name))
        .any(|rollup| rollup.tables.iter().any(|table| columns.contains_key(*table)))
}

/// The analyses that can run, and those that can't.
fn enabled(
    detections: Detections,
    wanted: &[&'static Analysis],
    columns: &Columns,
    has_locations: bool,
    is_investigation: bool,
) -> (Vec<&'static Analysis>, Vec<Disabled>) {
    let (mut analyses, mut disabled) = (Vec::new(), Vec::new());
    let reads_any = |analysis: &Analysis| {
        let mut tables = rollups_of(detections, analysis).flat_map(|rollup| rollup.tables);
        !analysis.rollups.is_empty() || tables.any(|table| columns.contains_key(*table))
    };
    for &analysis in wanted {
        let unread = (!reads_any(analysis)).then_some(DisabledReason::NoneOfItsTables);
        match unread.or_else(|| DisabledReason::of(analysis, columns, has_locations, is_investigation)) {
            None => analyses.push(analysis),
            Some(reason) => disabled.push(Disabled { analysis, reason }),
        }
    }
    (analyses, disabled)
}

fn rollups_by_table(
    detections: Detections,
    analyses: &[&'static Analysis],
    columns: &Columns,
) -> BTreeMap<&'static str, Vec<&'static Rollup>> {
    let mut by_table: BTreeMap<&'static str, Vec<&'static Rollup>> = BTreeMap::new();
    let table_of = |rollup: &Rollup| rollup.tables.iter().copied().find(|table| columns.contains_key(*table));
    for rollup in analyses.iter().flat_map(|analysis| rollups_of(detections, analysis)) {
        let Some(table) = table_of(rollup) else { continue };
        let rollups = by_table.entry(table).or_default();
        if !rollups.iter().any(|chosen| chosen.id == rollup.id) {
            rollups.push(rollup);
        }
    }
    let asks = |analysis: &&Analysis| analysis.finding.is_some() || analysis.locations != Locations::Unused;
    if analyses.iter().any(asks) {
        // Correlation reads only tables that are read anyway. Pairs of addresses are many: it reads them only if an analysis does.
        let mut read = analyses.iter().flat_map(|analysis| analysis.rollups);
        let prevalence = detections.by_id(PREVALENCE);
        let prevalence = prevalence.filter(|query| read.any(|id| query.rollups.contains(id)));
        let others = [ENTITY_TIES, OFFICE_ADDRESSES].into_iter().filter_map(|id| detections.by_id(id));
        for rollup in others.chain(prevalence).flat_map(|query| rollups_of(detections, query)) {
            let rollups = table_of(rollup).and_then(|table| by_table.get_mut(table));
            if let Some(rollups) =
                rollups.filter(|rollups| !rollups.iter().any(|chosen| chosen.id == rollup.id))
            {
                rollups.push(rollup);
            }
        }
    }
    by_table
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
