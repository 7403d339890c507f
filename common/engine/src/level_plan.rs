//! How a level is made: which task combines which buckets of which files.
//!
//! A task reads something of each of its files. If these are many, groups of them are first combined into *runs*: the task of a run reads
//! each of its files once, and divides the run into files of which the next task reads one. Runs are removed afterwards.

use std::collections::BTreeMap;

use futures::{StreamExt, TryStreamExt, stream};
use hindcast_base::Result;
use hindcast_base::retry::with_retries;
use hindcast_detections::config::Config;
use hindcast_functions::BUCKETS;
use hindcast_observability::Origin;
use object_store::ObjectStoreExt;

use super::Engine;
use super::combine_stage::{CombineStage, CombinedFiles, CombinedPart, LevelFile};
use super::level::{Level, LevelPart};
use super::shards::shards;
use super::stage::decode_parts;
use super::state::StateStore;
use super::state_key::hash_of;
use super::weights::Weights;

/// Bytes of state files that make one file.
const PART_BYTES: u64 = 16 << 20;
/// State files that the levels of one stage combine: each of its tasks is sent their names.
const STAGE_FILES: usize = 10_000;
/// Files with rows of a bucket from which on runs are made of them; a run has as many files.
pub const FAN_IN: usize = 32;
/// Objects that are removed at once.
const CONCURRENT_REMOVALS: usize = 32;

/// What levels are made with.
#[derive(Clone, Copy)]
pub struct Combiner<'a> {
    /// The engine.
    pub engine: &'a dyn Engine,
    /// Where state is stored.
    pub state: &'a StateStore,
    /// Parameters.
    pub config: &'a Config,
    /// Id of the coordinator's job; empty for a scan in this process.
    pub job: &'a str,
}

/// A level that is made.
#[derive(Debug)]
pub struct LevelPlan {
    key: String,
    rollup: String,
    files: Vec<LevelFile>,
    /// Ranges of buckets, each with the number of files that its task makes.
    tasks: Vec<((u16, u16), u16)>,
    /// The keys of the runs of which it is made.
    runs: Vec<String>,
}

/// How many files have rows of a bucket.
fn depth(files: &[LevelFile]) -> usize {
    let buckets = files.iter().map(|file| usize::from(file.buckets.1.saturating_sub(file.buckets.0)));
    buckets.sum::<usize>().div_ceil(usize::from(BUCKETS))
}

fn bytes_of(files: &[LevelFile]) -> u64 {
    files.iter().map(|file| file.file.bytes).sum()
}

impl LevelPlan {
    /// A level of `files`, in parts of equal weight.
    pub fn of(key: String, rollup: &str, files: Vec<LevelFile>, weights: &Weights) -> Self {
        let count = usize::try_from(bytes_of(&files).div_ceil(PART_BYTES)).unwrap_or(usize::MAX);
        let tasks = shards(count, weights).into_iter().map(|buckets| (buckets, 1)).collect();
        Self { key, rollup: rollup.to_owned(), files, tasks, runs: Vec::new() }
    }

    /// The runs to be made first: none for few files. Like that of a level, the key of a run depends on its files.
    ///
    /// # Errors
    /// If their names can't be hashed.
    pub fn runs(&mut self) -> Result<Vec<LevelPlan>> {
        if depth(&self.files) <= FAN_IN {
            return Ok(Vec::new());
        }
        self.files.sort_by(|left, right| left.file.path.cmp(&right.file.path));
        let run = |files: &[LevelFile]| {
            let hash = hash_of(&files)?;
            Ok(Self {
                key: format!("{}.run-{hash}", self.key),
                rollup: self.rollup.clone(),
                files: files.to_vec(),
                tasks: vec![((0, BUCKETS), FAN_IN as u16)],
                runs: Vec::new(),
            })
        };
        let runs: Vec<LevelPlan> = self.files.chunks(FAN_IN).map(run).collect::<Result<_>>()?;
        self.runs = runs.iter().map(|run| run.key.clone()).collect();
        Ok(runs)
    }

    /// Reads runs instead of the files of which they are made. Without all of them, there is nothing to be done.
    pub fn use_runs(&mut self, made: &BTreeMap<String, Level>) {
        if self.runs.is_empty() {
            return;
        }
        let runs: Option<Vec<&Level>> = self.runs.iter().map(|key| made.get(key)).collect();
        let Some(runs) = runs else {
            self.tasks.clear();
            return;
        };
        let pieces =
            bytes_of(&self.files).div_ceil(PART_BYTES * FAN_IN as u64).clamp(1, u64::from(u16::MAX)) as u16;
        let bound = |place: usize| (usize::from(BUCKETS) * place / FAN_IN) as u16;
        self.tasks = (0..FAN_IN).map(|place| ((bound(place), bound(place + 1)), pieces)).collect();
        self.files = runs.into_iter().flat_map(Level::files).collect();
    }
}

/// Makes levels, and commits those of which every part is stored: these are returned, by key.
pub async fn build_levels(plans: Vec<LevelPlan>, combiner: Combiner<'_>) -> BTreeMap<String, Level> {
    let mut made = BTreeMap::new();
    let mut plans = plans.into_iter().filter(|plan| !plan.tasks.is_empty()).peekable();
    while plans.peek().is_some() {
        let (mut of_stage, mut files) = (Vec::new(), 0);
        while let Some(plan) = plans.next_if(|plan| files == 0 || files + plan.files.len() <= STAGE_FILES) {
            files += plan.files.len().max(1);
            of_stage.push(plan);
        }
        for level in built(of_stage, combiner).await {
            let key = level.key.clone();
            match with_retries(|| combiner.state.commit_level(level.clone())).await {
                Ok(level) => drop(made.insert(key, level)),
                Err(error) => tracing::warn!(%error, key, "a level can't be stored"),
            }
        }
    }
    made
}

/// The levels of one stage of which every part is stored.
async fn built(plans: Vec<LevelPlan>, combiner: Combiner<'_>) -> Vec<Level> {
    let (mut keys, mut levels, mut parts) = (Vec::new(), Vec::new(), Vec::new());
    for (level, LevelPlan { key, rollup, files, tasks, .. }) in plans.into_iter().enumerate() {
        keys.push((key.clone(), tasks.len()));
        parts.extend(tasks.into_iter().map(|(buckets, pieces)| CombinedPart { level, buckets, pieces }));
        levels.push(CombinedFiles { key, rollup, files });
    }
    let stage = CombineStage {
        config: combiner.config.for_tasks(),
        state_url: combiner.state.location().url().to_owned(),
        levels,
        parts,
        origin: Origin::here(combiner.job),
    };
    let mut outcomes = stored_parts(stage, combiner).await.unwrap_or_else(|error| {
        tracing::warn!(%error, "state is not combined");
        BTreeMap::new()
    });
    let whole = keys.into_iter().enumerate().filter_map(|(level, (key, tasks))| {
        let of_level = outcomes.remove(&level).filter(|outcomes| outcomes.len() == tasks)?;
        Some(level_of(key, of_level.into_iter().flatten().collect()))
    });
    whole.collect()
}

/// The parts that each task of a stage stored, by level.
async fn stored_parts(
    stage: CombineStage,
    combiner: Combiner<'_>,
) -> Result<BTreeMap<usize, Vec<Vec<LevelPart>>>> {
    let mut made: BTreeMap<usize, Vec<Vec<LevelPart>>> = BTreeMap::new();
    let mut batches = combiner.engine.run(stage.into()).await?;
    while let Some(batch) = batches.try_next().await? {
        for outcome in decode_parts(&batch)? {
            match outcome.result {
                Ok(parts) => made.entry(outcome.level).or_default().push(parts),
                Err(reason) => tracing::warn!(reason, "a part of state is not combined"),
            }
        }
    }
    Ok(made)
}

/// The level of these parts.
fn level_of(key: String, mut parts: Vec<LevelPart>) -> Level {
    let mut weights = Weights::default();
    parts.sort_by_key(|part| part.buckets);
    for data in parts.iter_mut().filter_map(|part| part.data.as_mut()) {
        weights.add(&std::mem::take(&mut data.weights));
    }
    Level { key, parts, weights: weights.stored() }
}

/// Removes runs.
pub async fn remove_levels(runs: BTreeMap<String, Level>, combiner: Combiner<'_>) {
    for (key, run) in runs {
        if let Err(error) = combiner.state.forget(&key).await {
            tracing::debug!(%error, key, "a run is not removed");
        }
        let paths: Vec<_> =
            run.files().map(|file| combiner.state.location().child(&file.file.path)).collect();
        let removals: Vec<_> =
            paths.iter().map(|path| combiner.state.location().store().delete(path)).collect();
        let mut removals = stream::iter(removals).buffer_unordered(CONCURRENT_REMOVALS);
        while let Some(removed) = removals.next().await {
            if let Err(error) = removed {
                tracing::debug!(%error, key, "a part of a run is not removed");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use hindcast_lake::StateFile;

    use super::*;

    fn file(place: usize, buckets: (u16, u16)) -> LevelFile {
        let path = format!("T/date=2026-01-05/event_bins/{place:04}.00ff.parquet");
        LevelFile { buckets, file: StateFile { path, bytes: 12 << 20, tail_bytes: 9 } }
    }

    fn plan(files: Vec<LevelFile>) -> LevelPlan {
        LevelPlan::of(
            "levels/T/event_bins/2026-01-05-1d/0123".into(),
            "event_bins",
            files,
            &Weights::default(),
        )
    }

    #[test]
    fn few_files_are_combined_at_once_in_parts_of_their_size() {
        let mut few = plan((0..4).map(|place| file(place, (0, BUCKETS))).collect());
        assert_eq!(few.tasks.iter().map(|task| task.0).collect::<Vec<_>>(), shards(3, &Weights::default()));
        assert!(few.runs().unwrap().is_empty());
        few.use_runs(&BTreeMap::new());
        assert_eq!(few.tasks.len(), 3);
        // A level of parts has one file for each bucket.
        let bound = |place: u16| place * 64;
        let parts: Vec<LevelFile> =
            (0..64).map(|place| file(place.into(), (bound(place), bound(place + 1)))).collect();
        assert_eq!(depth(&parts), 1);
        assert!(plan(parts).runs().unwrap().is_empty());
    }

    #[test]
    fn many_files_are_combined_into_runs_of_which_each_task_reads_one_file_each() {
        let mut many = plan((0..100).map(|place| file(place, (0, BUCKETS))).collect());
        let runs = many.runs().unwrap();
        assert_eq!(runs.iter().map(|run| run.files.len()).collect::<Vec<_>>(), [32, 32, 32, 4]);
        assert!(runs.iter().all(|run| run.tasks == [((0, BUCKETS), 32)]));
        let bound = |place: usize| (place * 128) as u16;
        let part =
            |place| LevelPart { buckets: (bound(place), bound(place + 1)), data: Some(data()), rows: 1 };
        let level = |key: &String| level_of(key.clone(), (0..32).map(part).collect());
        let made: BTreeMap<String, Level> = many.runs.iter().map(|key| (key.clone(), level(key))).collect();
        many.use_runs(&made);
        assert_eq!((many.tasks.len(), many.tasks[0], many.files.len()), (32, ((0, 128), 3), 128));
        for (buckets, _) in &many.tasks {
            let read =
                many.files.iter().filter(|file| file.buckets.0 < buckets.1 && buckets.0 < file.buckets.1);
            assert_eq!(read.count(), 4);
        }
        // Without a run, nothing is made of the others.
        let mut broken = plan((0..100).map(|place| file(place, (0, BUCKETS))).collect());
        broken.runs().unwrap();
        broken.use_runs(&made.into_iter().skip(1).collect());
        assert!(broken.tasks.is_empty());
    }

    fn data() -> super::super::manifest::StateData {
        let weights = super::super::weights::StoredWeights::default();
        super::super::manifest::StateData { content: "00ff".into(), bytes: 9, tail_bytes: 4, weights }
    }
}
