//! One task of a merge job: reads a shard's state, merges it and runs the analyses on it.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::{Result, internal_datafusion_err};
use datafusion::datasource::MemTable;
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::MemoryLimit;
use datafusion::logical_expr::{ident, lit};
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::prelude::{DataFrame, SessionContext};
use futures::StreamExt;
use tracing::Instrument;

use super::job::{Job, MergeJob, Task};
use super::merge_rows::MergeRows;
use super::session::{open_location, task_session};
use super::state_table::{StateTable, state_schema};
use crate::analyses::{Analysis, Inputs, Scope, SideTable};
use crate::functions::BUCKETS;
use crate::operation::TaskGuard;
use crate::rollups::{BUCKET_COLUMN, Rollup};

/// Result batches that may wait for a slow reader.
const WAITING_BATCHES: usize = 4;
/// Most bytes of stored state that a shard's task merges once and holds for all its analyses. Beyond it each analysis
/// merges anew, streaming, within the memory budget.
const HELD_STATE_BYTES: u64 = 32 << 20;
/// Part of the memory budget, as its divisor, that held state may take as stored; merged it is several times larger.
const HELD_STATE_PART: u64 = 32;

/// Starts the task of a shard of a merge job; it gives the rows of all its analyses.
pub(super) fn start(
    job: Arc<Job>,
    schema: SchemaRef,
    task: Task<(u8, u8)>,
    context: Arc<TaskContext>,
) -> Result<SendableRecordBatchStream> {
    let mut results = RecordBatchReceiverStreamBuilder::new(Arc::clone(&schema), WAITING_BATCHES);
    let sender = results.tx();
    let origin = job.origin();
    let span = tracing::info_span!("shard", job = origin.job, index = task.index);
    origin.adopt(&span);
    results.spawn(
        async move {
            let Job::Merge(job) = &*job else {
                return Err(DataFusionError::Internal("a merge task was given another job".into()));
            };
            let guard = TaskGuard::start();
            let shard = Shard::open(job, task.work, &context).await?;
            for id in &job.analyses {
                let analysis = analysis(id)?;
                let open = |rollup: &str, scope| shard.merged(rollup, scope);
                let frame = (analysis.run)(&Inputs {
                    config: &job.config,
                    columns: &job.columns,
                    open: &open,
                    open_side: &|table| shard.side(table),
                    buckets: shard.buckets,
                    investigated: job.investigated,
                })?;
                let mut rows = analysis.cut(frame, &job.config)?.execute_stream().await?;
                while let Some(batch) = rows.next().await.transpose()? {
                    // A reader that has gone wants no more.
                    if sender.send(MergeRows::widen(&schema, id, &batch)).await.is_err() {
                        return Ok(());
                    }
                }
            }
            guard.end(true);
            Ok(())
        }
        .instrument(span),
    );
    Ok(results.build())
}

/// One shard's state.
struct Shard<'a> {
    job: &'a MergeJob,
    buckets: (u8, u8),
    session: SessionContext,
    context: &'a TaskContext,
    /// Merged state that more than one analysis reads, where it is small.
    held: BTreeMap<&'a str, Arc<MemTable>>,
}

impl<'a> Shard<'a> {
    async fn open(job: &'a MergeJob, buckets: (u8, u8), context: &'a TaskContext) -> Result<Self> {
        let session = task_session(context.runtime_env());
        let held_bytes = match context.memory_pool().memory_limit() {
            MemoryLimit::Finite(bytes) => HELD_STATE_BYTES.min(bytes as u64 / HELD_STATE_PART),
            _ => HELD_STATE_BYTES,
        };
        let mut opened = Self { job, buckets, session, context, held: BTreeMap::new() };
        let share = |bytes: u64| bytes * u64::from(buckets.1 - buckets.0) / u64::from(BUCKETS);
        for (id, files) in &job.inputs {
            let readers = job.analyses.iter().filter_map(|id| Analysis::by_id(id));
            let is_shared = readers.filter(|analysis| analysis.rollups.contains(&id.as_str())).count() > 1;
            let bytes: u64 = files.iter().map(|file| file.bytes).sum();
            if is_shared && share(bytes) <= held_bytes {
                let frame = opened.stored(id, files.clone(), Scope::Shard)?;
                let schema = Arc::clone(frame.schema().inner());
                let table = MemTable::try_new(schema, vec![frame.collect().await?])?;
                opened.held.insert(id, Arc::new(table));
            }
        }
        Ok(opened)
    }

    fn merged(&self, id: &str, scope: Scope) -> Result<Option<DataFrame>> {
        match (self.held.get(id), self.job.inputs.get(id)) {
            (Some(held), _) if scope == Scope::Shard => {
                self.session.read_table(Arc::clone(held) as Arc<_>).map(Some)
            }
            (_, Some(files)) => self.stored(id, files.clone(), scope).map(Some),
            (_, None) => Ok(None),
        }
    }

    fn side(&self, table: &SideTable) -> Result<Option<DataFrame>> {
        let Some(file) = self.job.side_tables.get(table.name) else { return Ok(None) };
        let store = open_location(&self.job.state_url, self.context)?.store_url()?;
        let rows = StateTable::new(table.schema(), store, vec![file.clone()]);
        self.session.read_table(Arc::new(rows)).map(Some)
    }

    fn stored(&self, id: &str, files: Vec<crate::catalog::LakeFile>, scope: Scope) -> Result<DataFrame> {
        let rollup = rollup(id)?;
        let store = open_location(&self.job.state_url, self.context)?.store_url()?;
        let schema = state_schema(rollup, &self.job.config, &self.session)?;
        let states = self.session.read_table(Arc::new(StateTable::new(schema, store, files)))?;
        rollup.merge(match scope {
            Scope::Whole => states,
            Scope::Shard => {
                let (from, to) = self.buckets;
                states.filter(ident(BUCKET_COLUMN).gt_eq(lit(from)).and(ident(BUCKET_COLUMN).lt(lit(to))))?
            }
        })
    }
}

pub(super) fn analysis(id: &str) -> Result<&'static Analysis> {
    Analysis::by_id(id).ok_or_else(|| internal_datafusion_err!("there is no analysis {id}"))
}

pub(super) fn rollup(id: &str) -> Result<&'static Rollup> {
    Rollup::by_id(id).ok_or_else(|| internal_datafusion_err!("there is no rollup {id}"))
}
