//! The second half of a scan: makes results of state, and computes state again that can't be read.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::RecordBatch;
use futures::{StreamExt, TryStreamExt, stream};
use hindcast_common::analyses::{Analysis, SideTable};
use hindcast_common::catalog::StateFile;
use hindcast_common::engine::{
    MergeFault, MergeRows, MergeStage, Stage, StateFault, stage_plan, state_version,
};
use hindcast_common::error::{cause, store_failure};
use hindcast_common::functions::BUCKETS;
use hindcast_common::observability::Origin;
use hindcast_common::retry::with_retries;
use hindcast_common::rollups::Rollup;
use hindcast_common::{Error, Result};
use serde::{Deserialize, Serialize};

use super::failures::Failures;
use super::plan::ScanPlan;
use super::run::{Progress, RunOptions};
use super::spilled::{AnalysisRows, RowCollector};
use super::unit_record::UnitRecord;
use super::unit_tracker::RollupRun;
use super::units::is_past;

/// Times in a scan that a file of state is computed again because it can't be read. State is a cache: a damaged file costs time but
/// fails no scan.
const MAX_REPAIRS: u32 = 3;

/// Bytes of stored state per task. Merged they take some ten times as much memory, held for all analyses of the task.
const SHARD_STATE_BYTES: u64 = 16 << 20;
/// State is not divided below this many bytes per task: every shard makes a request for every file.
const LEAST_SHARD_BYTES: u64 = 256 << 10;
/// Rows of stored state per task if several analyses share what it merged, which is then held with its texts.
const SHARED_STATE_ROWS: u64 = 512 << 10;

/// Analyses that read the same rollups: they share one merge.
type Group = Vec<&'static Analysis>;
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
            side_tables: BTreeMap::new(),
            repairs: BTreeMap::new(),
            failures: Failures::default(),
        }
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
    pub(super) fn into_records(self) -> Vec<UnitRecord> {
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
        let mut groups = by_rollups(analyses);
        loop {
            let state = State::of(self.plan, &self.records);
            // The longest first, so that others fill what it leaves free.
            groups.sort_by_key(|group| std::cmp::Reverse(state.bytes(group)));
            let merges: Vec<_> = groups.iter().map(|group| self.merge(group, &state)).collect();
            let mut merges = stream::iter(merges).buffer_unordered(self.options.concurrent_merges);
            let (mut faults, mut failures) = (Vec::new(), Failures::default());
            while let Some((group, merged)) = merges.try_next().await? {
                match merged {
                    Ok(of_group) => results.extend(of_group),
                    Err(MergeFailure::State(of_group)) => faults.extend(of_group),
                    Err(MergeFailure::Detection(reason)) => failures.add(group[0], reason),
                }
            }
            drop(merges);
            groups.retain(|group| {
                let is_open = |analysis: &&'static Analysis| {
                    !results.contains_key(analysis.id) && !failures.has(analysis)
                };
                group.iter().any(is_open)
            });
            self.failures.extend(failures);
            if faults.is_empty() {
                return Ok(results);
            }
            self.repair(faults).await?;
        }
    }

    /// Computes state again that can't be read. Several shards and groups may report the same file.
    async fn repair(&mut self, mut faults: Vec<StateFault>) -> Result<()> {
        faults.sort_by(|left, right| left.file.cmp(&right.file));
        faults.dedup_by(|left, right| left.file == right.file);
        for StateFault { file, reason } in &faults {
            let repairs = self.repairs.entry(file.clone()).or_default();
            *repairs += 1;
            if *repairs > MAX_REPAIRS {
                return Err(Error::Internal(format!(
                    "state can't be read, also after it was computed again: {file}: {reason}"
                )));
            }
        }
        self.rollups.compute_again(&mut self.records, &faults, self.progress).await
    }

    /// A group with its results. If a user's own detection fails, and no store does, only that detection fails.
    async fn merge<'g>(&self, analyses: &'g Group, state: &State) -> Result<(&'g Group, Merged)> {
        let merged = match (self.merge_all(analyses, state).await, own_of(analyses)) {
            (Err(Error::Engine(error)), Some(own)) if store_failure("", &error).is_none() => {
                Err(MergeFailure::Detection(own.failure(None, &cause(&error))))
            }
            (merged, _) => merged?,
        };
        Ok((analyses, merged))
    }

    async fn merge_all(&self, analyses: &Group, state: &State) -> Result<Merged> {
        let options = self.options;
        let stage = MergeStage {
            config: options.config.for_tasks(),
            state_url: options.state.location().url().to_owned(),
            window: self.plan.window,
            shards: shards(self.shard_count(analyses, state)),
            origin: Origin::here(options.job),
            inputs: read_by(analyses, &state.of_window),
            past: read_by(analyses, &state.past),
            side_tables: self.side_tables.clone(),
            columns: self.plan.columns.clone(),
            analyses: analyses.iter().map(|analysis| analysis.id.to_owned()).collect(),
            investigated: self.plan.investigated.as_ref().map(|entity| entity.kind),
        };
        let collectors = match with_retries(|| self.run_stage(&stage, analyses)).await? {
            Ok(collectors) => collectors,
            Err(trouble) => return Ok(Err(trouble)),
        };
        let mut results = Vec::new();
        for (analysis, rows) in analyses.iter().zip(collectors) {
            let whole = rows.finish(analysis, options.config, &options.runtime).await?;
            results.push((analysis.id, whole));
        }
        tracing::debug!(analyses = ?results.iter().map(|(id, _)| id).collect::<Vec<_>>(), "merged");
        Ok(Ok(results))
    }

    /// As many shards as there may be tasks; more if the state is large, fewer if it is small.
    fn shard_count(&self, analyses: &Group, state: &State) -> usize {
        let is_shared = analyses.len() > 1;
        let manifests = self.records.iter().flat_map(|record| &record.manifests);
        let of_group = manifests.filter(|manifest| is_shared && reads(analyses, &manifest.rollup));
        let shared_rows: u64 = of_group.map(|manifest| manifest.state_rows).sum();
        let bytes = state.bytes(analyses);
        let large = (bytes / SHARD_STATE_BYTES).max(shared_rows / SHARED_STATE_ROWS);
        let count = large.max(self.options.shards as u64).min(1 + bytes / LEAST_SHARD_BYTES);
        usize::try_from(count).unwrap_or(usize::MAX)
    }

    /// Runs the stage and collects the rows of each analysis, or returns why there are none.
    async fn run_stage(
        &self,
        stage: &MergeStage,
        analyses: &Group,
    ) -> Result<std::result::Result<Vec<RowCollector>, MergeFailure>> {
        let rows = MergeRows::of(stage)?;
        let (mut faults, mut failures) = (Vec::new(), BTreeSet::new());
        let mut collectors: Vec<RowCollector> = (analyses.iter().zip(rows.split(&[])?))
            .map(|(analysis, (_, schema, _))| RowCollector::new(analysis, schema))
            .collect();
        let mut batches = self.options.engine.run(stage_plan(Stage::Merge(stage.clone()))?).await?;
        while let Some(batch) = batches.try_next().await? {
            let batches = [batch];
            for fault in rows.faults(&batches)? {
                match fault {
                    MergeFault::State(of_shard) => faults.extend(of_shard),
                    MergeFault::Detection(reason) => drop(failures.insert(reason)),
                    MergeFault::Panicked(panic) => {
                        let ids: Vec<_> = analyses.iter().map(|analysis| analysis.id).collect();
                        let ids = ids.join(", ");
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

/// The state files of a rollup from which a scan was computed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RollupFiles {
    /// The rollup.
    pub rollup: String,
    /// The definition and versions behind it, see [`state_version`].
    pub made_by: String,
    /// Its files.
    pub files: Vec<StateFile>,
}

/// The state files of the window.
pub(super) fn rollup_files(plan: &ScanPlan, records: &[UnitRecord]) -> Vec<RollupFiles> {
    let of_rollup = |(rollup, files): (String, Vec<StateFile>)| {
        let made_by = state_version(plan.detections.rollup(&rollup)?);
        Some(RollupFiles { rollup, made_by, files })
    };
    State::of(plan, records).of_window.into_iter().filter_map(of_rollup).collect()
}

/// State files by rollup.
type FilesByRollup = BTreeMap<String, Vec<StateFile>>;

/// The state of all units.
struct State {
    of_window: FilesByRollup,
    /// State of the time before the window, of the rollups that analyses look back at.
    past: FilesByRollup,
}

impl State {
    fn of(plan: &ScanPlan, records: &[UnitRecord]) -> Self {
        let none_of = |rollup: &&Rollup| (rollup.id.to_owned(), Vec::new());
        let of_window = plan.tables.iter().flat_map(|planned| &planned.rollups);
        let past = plan.tables.iter().flat_map(|planned| &planned.past).flat_map(|past| &past.rollups);
        let mut state =
            Self { of_window: of_window.map(none_of).collect(), past: past.map(none_of).collect() };
        for record in records {
            let files = if is_past(&record.unit, plan) { &mut state.past } else { &mut state.of_window };
            for manifest in &record.manifests {
                if let (Some(files), Some(file)) = (files.get_mut(&manifest.rollup), manifest.file()) {
                    files.push(file);
                }
            }
        }
        state
    }

    /// Bytes that the analyses of a group read.
    fn bytes(&self, group: &Group) -> u64 {
        let read = self.of_window.iter().chain(&self.past).filter(|(id, _)| reads(group, id));
        read.flat_map(|(_, files)| files).map(|file| file.bytes).sum()
    }
}

fn read_by(group: &Group, files: &FilesByRollup) -> FilesByRollup {
    let read = files.iter().filter(|(id, _)| reads(group, id));
    read.map(|(id, files)| (id.clone(), files.clone())).collect()
}

/// Whether an analysis of the group reads the rollup.
fn reads(group: &[&'static Analysis], rollup: &str) -> bool {
    let reads = |analysis: &&Analysis| {
        analysis.rollups.contains(&rollup) || analysis.optional_rollups.contains(&rollup)
    };
    group.iter().any(reads)
}

/// The analysis of a group that is a user's own; it is then the only one.
fn own_of(group: &[&'static Analysis]) -> Option<&'static Analysis> {
    group.first().copied().filter(|analysis| analysis.about.is_own)
}

/// Groups of analyses that read the same rollups; a user's own is alone, so that no other fails with it.
fn by_rollups(analyses: &[&'static Analysis]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for &analysis in analyses {
        let shares = |group: &&mut Group| {
            !analysis.about.is_own && own_of(group).is_none() && group[0].rollups == analysis.rollups
        };
        match groups.iter_mut().find(shares) {
            Some(group) => group.push(analysis),
            None => groups.push(vec![analysis]),
        }
    }
    groups
}

/// All buckets, in `count` ranges of nearly equal length.
fn shards(count: usize) -> Vec<(u8, u8)> {
    let count = count.clamp(1, usize::from(BUCKETS));
    let bound = |shard: usize| (usize::from(BUCKETS) * shard / count) as u8;
    (0..count).map(|shard| (bound(shard), bound(shard + 1))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_cover_every_bucket_once() {
        for count in [1, 2, 3, 7, 64, 1000] {
            let ranges = shards(count);
            assert_eq!(ranges.first().map(|range| range.0), Some(0));
            assert_eq!(ranges.last().map(|range| range.1), Some(BUCKETS));
            assert!(ranges.windows(2).all(|pair| pair[0].1 == pair[1].0), "{ranges:?}");
        }
    }
}
