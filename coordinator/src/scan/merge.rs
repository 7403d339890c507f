//! Merge jobs: analyses that read the same state, run together over all shards.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use futures::{StreamExt, TryStreamExt, stream};
use hindcast_common::Result;
use hindcast_common::analyses::{Analysis, SideTable};
use hindcast_common::catalog::LakeFile;
use hindcast_common::engine::{Job, MergeJob, MergeRows, job_plan};
use hindcast_common::functions::BUCKETS;
use hindcast_common::operation::Origin;
use hindcast_common::retry::with_retries;

use super::ledger::UnitRecord;
use super::plan::ScanPlan;
use super::run::RunOptions;

/// Merge jobs under way at once: while one orders its result, the other's tasks use the threads.
const CONCURRENT_MERGES: usize = 2;

/// The state of a window, and what is put beside it, ready for analyses to be run on.
pub(super) struct Merger<'a> {
    plan: &'a ScanPlan,
    options: &'a RunOptions<'a>,
    /// State files by rollup.
    state: BTreeMap<String, Vec<LakeFile>>,
    side_tables: BTreeMap<String, LakeFile>,
}

impl<'a> Merger<'a> {
    /// The state that `records` came to.
    pub(super) fn new(plan: &'a ScanPlan, options: &'a RunOptions<'a>, records: &[UnitRecord]) -> Self {
        let planned = plan.tables.iter().flat_map(|planned| &planned.rollups);
        let mut state: BTreeMap<String, Vec<LakeFile>> =
            planned.map(|rollup| (rollup.id.to_owned(), Vec::new())).collect();
        for manifest in records.iter().flat_map(|record| &record.manifests) {
            if let (Some(files), Some(data)) = (state.get_mut(&manifest.rollup), &manifest.data) {
                files.push(data.clone());
            }
        }
        Self { plan, options, state, side_tables: BTreeMap::new() }
    }

    /// Whether there is state of one of the rollups that `analysis` reads.
    pub(super) fn has_state_for(&self, analysis: &Analysis) -> bool {
        let mut rollups = analysis.rollups.iter().chain(analysis.optional_rollups);
        rollups.any(|id| self.state.contains_key(*id))
    }

    /// Puts a side table where every task finds it.
    pub(super) async fn put_beside(&mut self, table: &SideTable, rows: &RecordBatch) -> Result<()> {
        let file = with_retries(|| self.options.state.put_side_table(table, rows)).await?;
        self.side_tables.insert(table.name.to_owned(), file);
        Ok(())
    }

    /// The whole results of `analyses`: in their order, but for those that are still to be finished.
    pub(super) async fn run(
        &self,
        analyses: &[&'static Analysis],
    ) -> Result<BTreeMap<&'static str, RecordBatch>> {
        let groups = by_rollups(analyses);
        let merges: Vec<_> = groups.iter().map(|group| self.merge(group)).collect();
        let mut merges = stream::iter(merges).buffer_unordered(CONCURRENT_MERGES);
        let mut results = BTreeMap::new();
        while let Some(merged) = merges.try_next().await? {
            results.extend(merged);
        }
        Ok(results)
    }

    async fn merge(&self, analyses: &[&'static Analysis]) -> Result<Vec<(&'static str, RecordBatch)>> {
        let is_read = |id: &str| {
            analyses
                .iter()
                .any(|analysis| analysis.rollups.contains(&id) || analysis.optional_rollups.contains(&id))
        };
        let options = self.options;
        let job = MergeJob {
            config: options.config.for_tasks(),
            state_url: options.state.location().url().to_owned(),
            shards: shards(options.shards),
            origin: Origin::here(options.job),
            inputs: self
                .state
                .iter()
                .filter(|(id, _)| is_read(id))
                .map(|(id, files)| (id.clone(), files.clone()))
                .collect(),
            side_tables: self.side_tables.clone(),
            columns: self.plan.columns.clone(),
            analyses: analyses.iter().map(|analysis| analysis.id.to_owned()).collect(),
            investigated: self.plan.investigated.as_ref().map(|entity| entity.kind),
        };
        let rows = MergeRows::of(&job)?;
        let batches: Vec<RecordBatch> = with_retries(|| async {
            let rows = options.engine.run(job_plan(Job::Merge(job.clone()))?).await?;
            Ok(rows.try_collect().await?)
        })
        .await?;
        let mut results = Vec::new();
        for (analysis, (_, schema, own)) in analyses.iter().zip(rows.split(&batches)?) {
            let whole = match analysis.finish {
                Some(_) => concat_batches(&schema, &own)
                    .map_err(|error| hindcast_common::Error::Engine(error.into()))?,
                None => analysis.ordered(&schema, &own, options.config)?,
            };
            results.push((analysis.id, whole));
        }
        tracing::debug!(analyses = ?results.iter().map(|(id, _)| id).collect::<Vec<_>>(), "merged");
        Ok(results)
    }
}

/// Analyses that read the same rollups, together: they share one merge.
fn by_rollups(analyses: &[&'static Analysis]) -> Vec<Vec<&'static Analysis>> {
    let mut groups: Vec<Vec<&'static Analysis>> = Vec::new();
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
