//! The second half of a scan: state to results, and state that can't be read computed again.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use futures::{StreamExt, TryStreamExt, stream};
use hindcast_common::analyses::Analysis;
use hindcast_common::catalog::LakeFile;
use hindcast_common::engine::{Job, MergeJob, MergeRows, StateFault, job_plan};
use hindcast_common::functions::BUCKETS;
use hindcast_common::operation::Origin;
use hindcast_common::retry::with_retries;
use hindcast_common::{Error, Result};

use super::ledger::{RollupRun, UnitRecord};
use super::plan::ScanPlan;
use super::run::{Progress, RunOptions};

/// Times in a scan that state is computed again because it can't be read. State is a cache: it costs time, never a scan.
const MOST_REPAIRS: u32 = 3;

/// Analyses that read the same rollups: they share one merge.
type Group = Vec<&'static Analysis>;
/// The whole result of each analysis of a group, in its order; or what state can't be read.
type Merged = std::result::Result<Vec<(&'static str, RecordBatch)>, Vec<StateFault>>;

/// The whole results of all analyses of `plan` by their ids. State that can't be read is computed again.
pub(super) async fn merge_all(
    plan: &ScanPlan,
    options: &RunOptions<'_>,
    rollups: &RollupRun<'_>,
    records: &mut [UnitRecord],
    progress: &dyn Progress,
) -> Result<BTreeMap<&'static str, RecordBatch>> {
    let mut results = BTreeMap::new();
    let mut groups = by_rollups(&plan.analyses);
    let mut repairs = 0;
    loop {
        let state = state_files(plan, records);
        // The longest first: others then fill what it leaves free.
        groups.sort_by_key(|group| std::cmp::Reverse(state_bytes(group, &state)));
        let merges: Vec<_> = groups.iter().map(|group| merge(group, plan, options, &state)).collect();
        let mut merges = stream::iter(merges).buffer_unordered(options.concurrent_merges);
        let mut faults = Vec::new();
        while let Some(merged) = merges.try_next().await? {
            match merged {
                Ok(of_group) => results.extend(of_group),
                Err(of_group) => faults.extend(of_group),
            }
        }
        drop(merges);
        let Some(fault) = faults.first() else { return Ok(results) };
        if repairs == MOST_REPAIRS {
            let StateFault { file, reason } = fault;
            return Err(Error::Internal(format!(
                "state can't be read, also after it was computed again: {file}: {reason}"
            )));
        }
        repairs += 1;
        rollups.compute_again(records, &faults, progress).await?;
        groups.retain(|group| group.iter().any(|analysis| !results.contains_key(analysis.id)));
    }
}

/// State files by rollup.
fn state_files(plan: &ScanPlan, records: &[UnitRecord]) -> BTreeMap<String, Vec<LakeFile>> {
    let mut files: BTreeMap<String, Vec<LakeFile>> = plan
        .tables
        .iter()
        .flat_map(|planned| &planned.rollups)
        .map(|rollup| (rollup.id.to_owned(), Vec::new()))
        .collect();
    for manifest in records.iter().flat_map(|record| &record.manifests) {
        if let (Some(files), Some(data)) = (files.get_mut(&manifest.rollup), &manifest.data) {
            files.push(data.clone());
        }
    }
    files
}

/// Whether an analysis of the group reads the rollup.
fn reads(group: &[&'static Analysis], rollup: &str) -> bool {
    let reads = |analysis: &&Analysis| {
        analysis.rollups.contains(&rollup) || analysis.optional_rollups.contains(&rollup)
    };
    group.iter().any(reads)
}

fn state_bytes(group: &[&'static Analysis], state: &BTreeMap<String, Vec<LakeFile>>) -> u64 {
    let read = state.iter().filter(|(id, _)| reads(group, id));
    read.flat_map(|(_, files)| files).map(|file| file.bytes).sum()
}

async fn merge(
    analyses: &[&'static Analysis],
    plan: &ScanPlan,
    options: &RunOptions<'_>,
    state: &BTreeMap<String, Vec<LakeFile>>,
) -> Result<Merged> {
    let job = MergeJob {
        config: options.config.clone(),
        state_url: options.state.location().url().to_owned(),
        shards: shards(options.shards),
        origin: Origin::here(options.job),
        inputs: state
            .iter()
            .filter(|(id, _)| reads(analyses, id))
            .map(|(id, files)| (id.clone(), files.clone()))
            .collect(),
        columns: plan.columns.clone(),
        analyses: analyses.iter().map(|analysis| analysis.id.to_owned()).collect(),
    };
    let rows = MergeRows::of(&job)?;
    let batches: Vec<RecordBatch> = with_retries(|| async {
        let rows = options.engine.run(job_plan(Job::Merge(job.clone()))?).await?;
        Ok(rows.try_collect().await?)
    })
    .await?;
    let faults = rows.faults(&batches)?;
    if !faults.is_empty() {
        return Ok(Err(faults));
    }
    let mut results = Vec::new();
    for (analysis, (_, schema, own)) in analyses.iter().zip(rows.split(&batches)?) {
        results.push((analysis.id, analysis.ordered(&schema, &own, options.config)?));
    }
    tracing::debug!(analyses = ?results.iter().map(|(id, _)| id).collect::<Vec<_>>(), "merged");
    Ok(Ok(results))
}

fn by_rollups(analyses: &[&'static Analysis]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for &analysis in analyses {
        match groups.iter_mut().find(|group| group[0].rollups == analysis.rollups) {
            Some(group) => group.push(analysis),
            None => groups.push(vec![analysis]),
        }
    }
    groups
}

/// All buckets, in `count` ranges as even as they can be.
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
