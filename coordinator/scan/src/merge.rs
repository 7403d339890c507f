//! The second half of a scan: makes results of state, and computes state again that can't be read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::RecordBatch;
use futures::{StreamExt, TryStreamExt, stream};
use hindcast_base::entities::Entity;
use hindcast_base::retry::with_retries;
use hindcast_base::storage_fault::is_of_store;
use hindcast_base::{Error, Result};
use hindcast_detections::analyses::{Analysis, SideTable};
use hindcast_engine::{
    KnownState, LEVELS, MergeFault, MergeRows, MergeStage, NamesByFile, NamesStage, Stage, StateFault,
    Weights, decode_names, shards,
};
use hindcast_lake::StateFile;
use hindcast_observability::Origin;

use super::analysis_group::AnalysisGroup;
use super::failures::Failures;
use super::levels::{Applicable, Levels};
use super::plan::ScanPlan;
use super::results::GroupResult;
use super::run::{Progress, RunOptions};
use super::spilled::{AnalysisRows, RowCollector};
use super::state_files::{StateFiles, read_by, reads_of};
use super::unit_record::UnitRecord;
use super::unit_tracker::RollupRun;
use super::window_state::WindowState;

/// Times in a scan that a file of state is computed again because it can't be read. State is a cache: a damaged file costs time but
/// fails no scan.
const MAX_REPAIRS: u32 = 3;

/// Bytes of stored state per task. Merged they take some ten times as much memory, held for all analyses of the task.
const SHARD_STATE_BYTES: u64 = 16 << 20;
/// State is not divided below this many bytes per task: every shard makes a request for every file.
const LEAST_SHARD_BYTES: u64 = 256 << 10;
/// Rows of stored state per task if several analyses share what it merged, which is then held with its texts.
const SHARED_STATE_ROWS: u64 = 512 << 10;

/// Results by analysis.
pub(super) type Results = BTreeMap<&'static str, AnalysisRows>;
/// The results of a group, or why it has none.
type Merged = std::result::Result<Vec<(&'static str, AnalysisRows)>, MergeFailure>;

/// Why a group has no results although the scan continues.
enum MergeFailure {
    /// These files of state can't be read.
    State(Vec<StateFault>),
    /// The only analysis is a user's own, and its SQL fails for this reason.
    Detection(String),
}

/// The state and side tables of a window, on which analyses run.
pub(super) struct Merger<'a> {
    plan: &'a ScanPlan,
    options: &'a RunOptions<'a>,
    rollups: &'a RollupRun<'a>,
    progress: &'a dyn Progress,
    records: Vec<UnitRecord>,
    levels: Levels,
    side_tables: BTreeMap<String, StateFile>,
    /// How often each file of state was computed again.
    repairs: BTreeMap<String, u32>,
    /// Users' own detections that failed.
    failures: Failures,
}

impl<'a> Merger<'a> {
    /// A merger of the state of `records`.
    pub(super) fn new(
        plan: &'a ScanPlan,
        options: &'a RunOptions<'a>,
        rollups: &'a RollupRun<'a>,
        progress: &'a dyn Progress,
        records: Vec<UnitRecord>,
    ) -> Self {
        Self {
            plan,
            options,
            rollups,
            progress,
            records,
            levels: Levels::default(),
            side_tables: BTreeMap::new(),
            repairs: BTreeMap::new(),
            failures: Failures::default(),
        }
    }

    /// Merges combined state where there is some; what is missing is made first.
    ///
    /// # Errors
    /// If a rollup of a record is not known.
    pub(super) async fn use_levels(&mut self) -> Result<()> {
        if self.options.use_cache {
            self.levels = Levels::of(self.plan, self.options, &self.records).await?;
        }
        Ok(())
    }

    /// Users' own detections that failed: they have no results.
    pub(super) fn take_failures(&mut self) -> Failures {
        std::mem::take(&mut self.failures)
    }

    /// Users' own rollups that could not be computed, each with the reason.
    pub(super) fn failed_rollups(&self) -> BTreeMap<String, String> {
        self.rollups.failed_rollups()
    }

    /// The units of the state.
    pub(super) fn records(&self) -> &[UnitRecord] {
        &self.records
    }

    /// The units, including state that was computed again.
    pub(super) fn into_records(mut self) -> Vec<UnitRecord> {
        self.levels.name_damaged(&mut self.records);
        self.records
    }

    /// Whether there is state of the rollups that `analysis` reads.
    pub(super) fn has_state_for(&self, analysis: &Analysis) -> bool {
        let planned = || self.plan.tables.iter().flat_map(|planned| &planned.rollups);
        let is_planned = |id: &&str| planned().any(|rollup| rollup.id == *id);
        let has_optional = analysis.optional_rollups.iter().any(&is_planned);
        analysis.rollups.iter().all(is_planned) && (has_optional || !analysis.rollups.is_empty())
    }

    /// Stores a side table for all tasks.
    pub(super) async fn add_side_table(&mut self, table: &SideTable, rows: &RecordBatch) -> Result<()> {
        let file = with_retries(|| self.options.state.put_side_table(table, rows)).await?;
        self.side_tables.insert(table.name.to_owned(), file);
        Ok(())
    }

    /// The results of `analyses`, in their order unless they are still to be finished. State that can't be read is computed again.
    pub(super) async fn run(&mut self, analyses: &[&'static Analysis]) -> Result<Results> {
        let mut results = Results::new();
        let mut groups = AnalysisGroup::all(analyses);
        loop {
            let levels = Applicable::of(self.levels.used(), self.plan, &self.records);
            let state = StateFiles::of(self.plan, &self.records, &levels);
            let window = WindowState::of(self.plan, &self.records);
            // The longest first, so that others fill what it leaves free.
            groups.sort_by_key(|group| std::cmp::Reverse(state.bytes(group)));
            let merges: Vec<_> = groups.iter().map(|group| self.merge(group, &state, &window)).collect();
            let mut merges = stream::iter(merges).buffer_unordered(self.options.concurrent_merges);
            let (mut faults, mut failures) = (Vec::new(), Failures::default());
            while let Some((group, merged)) = merges.try_next().await? {
                match merged {
                    Ok(of_group) => results.extend(of_group),
                    Err(MergeFailure::State(of_group)) => faults.extend(of_group),
                    Err(MergeFailure::Detection(reason)) => failures.add(group.analyses()[0], reason),
                }
            }
            drop(merges);
            groups.retain(|group| {
                let is_open = |analysis: &&'static Analysis| {
                    !results.contains_key(analysis.id) && !failures.has(analysis)
                };
                group.analyses().iter().any(is_open)
            });
            self.failures.extend(failures);
            if faults.is_empty() {
                return Ok(results);
            }
            self.repair(faults).await?;
        }
    }

    /// The `wanted` entities that rows of the state of `rollups` name together, by file. State that can't be read is computed again.
    pub(super) async fn names(&mut self, wanted: &[Entity], rollups: &BTreeSet<&str>) -> Result<NamesByFile> {
        loop {
            let reads = reads_of(&self.records, rollups);
            if reads.is_empty() {
                return Ok(NamesByFile::new());
            }
            let stage = Arc::new(NamesStage {
                config: self.options.config.for_tasks(),
                state_url: self.options.state.location().url().to_owned(),
                wanted: wanted.to_vec(),
                reads,
                origin: Origin::here(self.options.job),
            });
            let (names, faults) = with_retries(|| self.run_names(&stage)).await?;
            if faults.is_empty() {
                return Ok(names);
            }
            self.repair(faults).await?;
        }
    }

    async fn run_names(&self, stage: &Arc<NamesStage>) -> Result<(NamesByFile, Vec<StateFault>)> {
        let (mut names, mut faults) = (NamesByFile::new(), Vec::new());
        let mut batches = self.options.engine.run(Stage::Names(Arc::clone(stage))).await?;
        while let Some(batch) = batches.try_next().await? {
            for outcome in decode_names(&batch)? {
                match outcome {
                    Ok(of_task) => names.extend(of_task),
                    Err(of_task) => faults.extend(of_task),
                }
            }
        }
        Ok((names, faults))
    }

    /// Computes state again that can't be read. Several shards and groups may report the same file.
    async fn repair(&mut self, mut faults: Vec<StateFault>) -> Result<()> {
        faults.sort_by(|left, right| left.file.cmp(&right.file));
        faults.dedup_by(|left, right| left.file == right.file);
        let mut of_units = Vec::new();
        for fault in faults {
            // Several parts of a level may be damaged: the first of them ends its use.
            let is_of_level = fault.file.starts_with(LEVELS);
            if !self.levels.drop_damaged(&fault, self.options).await? && !is_of_level {
                of_units.push(fault);
            }
        }
        if of_units.is_empty() {
            return Ok(());
        }
        let faults = of_units;
        for StateFault { file, reason } in &faults {
            let repairs = self.repairs.entry(file.clone()).or_default();
            *repairs += 1;
            if *repairs > MAX_REPAIRS {
                return Err(Error::Data(format!(
                    "state can't be read, also after it was computed again: {file}: {reason}"
                )));
            }
        }
        self.rollups.compute_again(&mut self.records, &faults, self.progress).await
    }

    /// A group with its results. If a user's own detection fails, and no store does, only that detection fails.
    async fn merge<'g>(
        &self,
        group: &'g AnalysisGroup,
        state: &StateFiles,
        window: &WindowState<'_>,
    ) -> Result<(&'g AnalysisGroup, Merged)> {
        let merged = match (self.merge_all(group, state, window).await, group.own_detection()) {
            (Err(Error::Engine(error)), Some(own)) if !is_of_store(&error) => {
                Err(MergeFailure::Detection(own.failure(None, &error).to_string()))
            }
            (merged, _) => merged?,
        };
        Ok((group, merged))
    }

    async fn merge_all(
        &self,
        group: &AnalysisGroup,
        state: &StateFiles,
        window: &WindowState<'_>,
    ) -> Result<Merged> {
        let options = self.options;
        let (inputs, levels) = state.inputs(group);
        // Stored rows are a cache.
        let result = GroupResult::of(group, self.plan, options, window).await;
        let result = result.inspect_err(|error| tracing::warn!(%error, "rows are not stored")).ok().flatten();
        let known_shards = result.as_ref().and_then(|result| result.shards.clone());
        let shards =
            known_shards.unwrap_or_else(|| shards(self.shard_count(group, state), &self.weights(group)));
        let stage = Arc::new(MergeStage {
            config: options.config.for_tasks(),
            state_url: options.state.location().url().to_owned(),
            window: self.plan.window,
            shards,
            origin: Origin::here(options.job),
            inputs,
            levels,
            stored: result.as_ref().map(|result| result.stored.clone()),
            past: read_by(group, &state.past),
            side_tables: self.side_tables.clone(),
            columns: self.plan.columns.clone(),
            analyses: group.analyses().iter().map(|analysis| analysis.id.to_owned()).collect(),
            investigated: self.plan.investigated.as_ref().map(|entity| entity.kind),
        });
        let collectors = match with_retries(|| self.run_stage(&stage, group)).await? {
            Ok(collectors) => collectors,
            Err(failure) => return Ok(Err(failure)),
        };
        if let Some(result) = &result
            && let Err(error) = result.commit(&stage.shards, options.state).await
        {
            tracing::warn!(%error, "a result can't be stored");
        }
        let mut results = Vec::new();
        for (analysis, collector) in group.analyses().iter().zip(collectors) {
            let rows = collector.finish(analysis, options.config, &options.runtime).await?;
            results.push((analysis.id, rows));
        }
        tracing::debug!(analyses = ?results.iter().map(|(id, _)| id).collect::<Vec<_>>(), "merged");
        Ok(Ok(results))
    }

    /// As many shards as there may be tasks; more if the state is large, fewer if it is small.
    fn shard_count(&self, group: &AnalysisGroup, state: &StateFiles) -> usize {
        let is_shared = group.analyses().len() > 1;
        let states = self.records.iter().flat_map(|record| &record.states);
        let of_group = states.filter(|state| is_shared && group.reads(state.rollup()));
        let shared_rows: u64 = of_group.map(|state| state.rows).sum();
        let bytes = state.bytes(group);
        let large = (bytes / SHARD_STATE_BYTES).max(shared_rows / SHARED_STATE_ROWS);
        let count = large.max(self.options.shards as u64).min(1 + bytes / LEAST_SHARD_BYTES);
        usize::try_from(count).unwrap_or(usize::MAX)
    }

    /// How the state of a group is spread over the buckets.
    fn weights(&self, group: &AnalysisGroup) -> Weights {
        let mut weights = Weights::default();
        let states = self.records.iter().flat_map(|record| &record.states);
        let of_group = states.filter(|state| group.reads(state.rollup()));
        of_group.filter_map(KnownState::weights).for_each(|own| weights.add(own));
        weights
    }

    /// Runs the stage and collects the rows of each analysis, or returns why there are none.
    async fn run_stage(
        &self,
        stage: &Arc<MergeStage>,
        group: &AnalysisGroup,
    ) -> Result<std::result::Result<Vec<RowCollector>, MergeFailure>> {
        let rows = MergeRows::of(stage)?;
        let (mut faults, mut failures) = (Vec::new(), BTreeSet::new());
        let mut collectors: Vec<RowCollector> = (group.analyses().iter().zip(rows.split(&[])?))
            .map(|(analysis, (_, schema, _))| RowCollector::new(analysis, schema))
            .collect();
        let mut batches = self.options.engine.run(Stage::Merge(Arc::clone(stage))).await?;
        while let Some(batch) = batches.try_next().await? {
            let batches = [batch];
            for fault in MergeRows::faults(&batches)? {
                match fault {
                    MergeFault::State(of_shard) => faults.extend(of_shard),
                    MergeFault::Detection(reason) => drop(failures.insert(reason)),
                    MergeFault::Storage(fault) => return Err(Error::Storage(fault)),
                    MergeFault::Failed { kind, message } => return Err(Error::of_kind(kind, message)),
                    MergeFault::Panicked(panic) => {
                        let ids = group.names();
                        return Err(Error::Internal(format!("merging the state of {ids} panicked: {panic}")));
                    }
                }
            }
            for (of_analysis, (_, _, own)) in collectors.iter_mut().zip(rows.split(&batches)?) {
                own.into_iter().try_for_each(|rows| of_analysis.add(rows, &self.options.runtime))?;
            }
        }
        // An analysis that fails on unreadable state may succeed once it is computed again.
        Ok(match (faults.is_empty(), failures.into_iter().next()) {
            (true, None) => Ok(collectors),
            (true, Some(reason)) => Err(MergeFailure::Detection(reason)),
            (false, _) => Err(MergeFailure::State(faults)),
        })
    }
}
