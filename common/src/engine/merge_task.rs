//! One task of a merge job: reads a shard's state, merges it, runs the analyses and gives their rows.

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::{Result, internal_datafusion_err};
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::logical_expr::{ident, lit};
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::prelude::{DataFrame, SessionContext};
use futures::StreamExt;

use super::job::{Job, MergeJob, encode_result};
use super::session::{open_location, task_session};
use super::state_table::StateTable;
use crate::analyses::{Analysis, Inputs, Scope};
use crate::rollups::{BUCKET_COLUMN, Rollup};

/// Result batches that may wait for a slow reader.
const WAITING_BATCHES: usize = 4;

/// Starts task `shard` of a merge job; it gives the rows of every analysis.
pub(super) fn start(job: Arc<Job>, shard: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
    let schema = job.schema();
    let mut results = RecordBatchReceiverStreamBuilder::new(Arc::clone(&schema), WAITING_BATCHES);
    let sender = results.tx();
    results.spawn(async move {
        let Job::Merge(merge_job) = &*job else {
            return Err(DataFusionError::Internal("a merge task was given another job".into()));
        };
        let task = ShardTask {
            job: merge_job,
            buckets: merge_job.shards[shard],
            session: task_session(context.runtime_env()),
            context: &context,
        };
        for id in &merge_job.analyses {
            let analysis =
                Analysis::by_id(id).ok_or_else(|| internal_datafusion_err!("there is no analysis {id}"))?;
            let mut rows = task.result(analysis)?.execute_stream().await?;
            // An empty batch first: a result without rows still has its columns.
            let header = encode_result(&schema, id, &RecordBatch::new_empty(rows.schema()))?;
            if sender.send(Ok(header)).await.is_err() {
                return Ok(());
            }
            while let Some(batch) = rows.next().await.transpose()? {
                // A reader that has gone wants no more.
                if sender.send(encode_result(&schema, id, &batch)).await.is_err() {
                    return Ok(());
                }
            }
        }
        Ok(())
    });
    Ok(results.build())
}

struct ShardTask<'a> {
    job: &'a MergeJob,
    buckets: (u8, u8),
    session: SessionContext,
    context: &'a TaskContext,
}

impl ShardTask<'_> {
    fn result(&self, analysis: &Analysis) -> Result<DataFrame> {
        let inputs = Inputs {
            config: &self.job.config,
            columns: &self.job.columns,
            open: &|rollup, scope| self.open(rollup, scope),
        };
        let result = (analysis.run)(&inputs)?;
        // Only a cut result needs its order here: the first rows of all are among the first of each shard.
        if analysis.limit.is_some() { analysis.ordered(result, &self.job.config) } else { Ok(result) }
    }

    fn open(&self, id: &str, scope: Scope) -> Result<Option<DataFrame>> {
        let Some(files) = self.job.inputs.get(id) else {
            return Ok(None);
        };
        let rollup = Rollup::by_id(id).ok_or_else(|| internal_datafusion_err!("there is no rollup {id}"))?;
        let store = open_location(&self.job.state_url, self.context)?.store_url()?;
        let table = StateTable::new(rollup, &self.job.config, &self.session, store, files.clone())?;
        let states = self.session.read_table(Arc::new(table))?;
        let states = match scope {
            Scope::Whole => states,
            Scope::Shard => {
                let (from, to) = self.buckets;
                states.filter(ident(BUCKET_COLUMN).gt_eq(lit(from)).and(ident(BUCKET_COLUMN).lt(lit(to))))?
            }
        };
        rollup.merge(states).map(Some)
    }
}
