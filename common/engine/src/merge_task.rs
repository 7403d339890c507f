//! One task of a merge stage: reads a shard's state, merges it and runs the analyses on it.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::{Result, exec_datafusion_err, internal_err};
use datafusion::datasource::MemTable;
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::MemoryLimit;
use datafusion::logical_expr::{ident, lit};
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::prelude::{DataFrame, SessionContext};
use futures::future::ready;
use futures::{StreamExt, stream};
use tokio::sync::mpsc::Sender;
use tracing::Instrument;

use super::combine_stage::Shard as ShardTask;
use super::merge_rows::MergeRows;
use super::merge_stored::{ChangedKeys, merge_stored};
use super::own_detections::{stream_rows, within_time_limit};
use super::stage::{MergeFault, MergeStage, StateFault, Task};
use super::state_table::StateTable;
use hindcast_base::ErrorKind;
use hindcast_base::catch_panic::catch_panic;
use hindcast_base::error::{cause, is_exhausted};
use hindcast_base::retry::with_retries;
use hindcast_base::storage_fault::{is_of_store, storage_fault};
use hindcast_detections::analyses::{
    Analysis, Inputs, Scope, SideTable, analysis, merged_columns, open_states, rollup, state_schema,
};
use hindcast_detections::rollups::BUCKET_COLUMN;
use hindcast_functions::BUCKETS;
use hindcast_lake::StateFile;
use hindcast_lake::{open_location, task_session};
use hindcast_observability::TaskGuard;

/// Most result batches that wait for a slow reader.
const WAITING_BATCHES: usize = 4;
/// State files that are read at once to find those that can't be read.
const CONCURRENT_CHECKS: usize = 32;
/// Most bytes of stored state that a shard's task merges once and holds in memory for all its analyses. A larger state is
/// streamed and merged again for each analysis, within the memory budget.
const HELD_STATE_BYTES: u64 = 32 << 20;
/// The divisor of the memory budget that limits the stored size of held state. Merged it is several times larger.
const HELD_STATE_PART: u64 = 64;

/// Starts the task of one shard of a merge stage, which returns the rows of all its analyses.
pub(super) fn start(
    stage: Arc<MergeStage>,
    schema: SchemaRef,
    task: Task<ShardTask>,
    context: Arc<TaskContext>,
) -> Result<SendableRecordBatchStream> {
    let mut results = RecordBatchReceiverStreamBuilder::new(Arc::clone(&schema), WAITING_BATCHES);
    let sender = results.tx();
    let origin = &stage.origin;
    let span = tracing::info_span!("shard", job = origin.job, index = task.index);
    origin.adopt(&span);
    results.spawn(
        async move {
            let stage = &*stage;
            let guard = TaskGuard::start("merge");
            let (error, panic) = match catch_panic(merge(stage, &task.work, &schema, &sender, &context)).await
            {
                Ok(Ok(())) => {
                    guard.end(true);
                    return Ok(());
                }
                Ok(Err(error)) => (error, None),
                Err(panic) => (exec_datafusion_err!("merging panicked: {panic}"), Some(panic)),
            };
            let faults = find_unreadable(stage, &task.work, &context, &error).await;
            let known = MergeFault::State(faults).if_any().or_else(|| own_detection_fault(stage, &error));
            let fault = match (known, panic) {
                (Some(known), _) => known,
                // It would panic on any machine, so it is not a failure of this worker.
                (None, Some(panic)) => MergeFault::Panicked(panic),
                (None, None) => other_fault(&stage.state_url, error)?,
            };
            // If the reader is gone, nobody needs the row.
            let _ = sender.send(MergeRows::fault_row(&schema, &fault)).await;
            guard.end(false);
            Ok(())
        }
        .instrument(span),
    );
    Ok(results.build())
}

/// The fault of a user's detection, which is merged alone, unless a store is the cause of `error`.
fn own_detection_fault(stage: &MergeStage, error: &DataFusionError) -> Option<MergeFault> {
    let [id] = stage.analyses.as_slice() else { return None };
    let own = stage.config.detections.by_id(id).filter(|analysis| analysis.about.is_own)?;
    (!is_of_store(error)).then(|| MergeFault::Detection(own.failure(None, error).to_string()))
}

/// The fault of an error that no state file and no user's detection causes. It is sent as a row, because errors of tasks reach the
/// coordinator as texts without a kind.
///
/// # Errors
/// `error` itself, if this worker may be at fault: another one may succeed.
fn other_fault(state_url: &str, error: DataFusionError) -> Result<MergeFault> {
    match ErrorKind::of(&error) {
        ErrorKind::Internal => Err(error),
        kind => Ok(match storage_fault(&format!("the state at {state_url}"), &error) {
            Some(fault) if kind == ErrorKind::Unavailable => MergeFault::Storage(fault),
            _ => MergeFault::Failed { kind, message: cause(&error) },
        }),
    }
}

/// Sends the rows of all analyses of a shard.
async fn merge(
    stage: &MergeStage,
    task: &ShardTask,
    schema: &SchemaRef,
    sender: &Sender<Result<RecordBatch>>,
    context: &TaskContext,
) -> Result<()> {
    if let Some(stored) = &stage.stored {
        return merge_stored(stage, stored, task, schema, sender, context).await;
    }
    let mut shard = Shard::new(stage, task, context);
    shard.hold_shared().await?;
    for id in &stage.analyses {
        let analysis = analysis(&stage.config, id)?;
        let is_wanted =
            within_time_limit(analysis, &stage.config, shard.send(analysis, schema, sender)).await?;
        if !is_wanted {
            return Ok(());
        }
    }
    Ok(())
}

/// The state files that can't be read or merged alone, if they may be the cause of `error`.
async fn find_unreadable(
    stage: &MergeStage,
    task: &ShardTask,
    context: &TaskContext,
    error: &DataFusionError,
) -> Vec<StateFault> {
    if is_exhausted(error) {
        return Vec::new();
    }
    let shard = Shard::new(stage, task, context);
    let states = stage.inputs.iter().chain(&stage.past);
    let inputs = states.flat_map(|(id, files)| files.iter().map(move |file| (id, file)));
    let parts = task.parts.iter().flat_map(|(id, parts)| parts.iter().map(move |part| (id, &part.file)));
    let inputs = inputs.chain(parts);
    let checks: Vec<_> = inputs.map(|(id, file)| shard.check(id, file)).collect();
    stream::iter(checks).buffer_unordered(CONCURRENT_CHECKS).filter_map(ready).collect().await
}

/// The state of one shard.
pub(super) struct Shard<'a> {
    stage: &'a MergeStage,
    task: &'a ShardTask,
    session: SessionContext,
    context: &'a TaskContext,
    /// Small merged state that more than one analysis reads.
    held: BTreeMap<&'a str, Arc<MemTable>>,
    /// The keys that are read, if not all.
    only: Option<ChangedKeys>,
}

impl<'a> Shard<'a> {
    pub(super) fn new(stage: &'a MergeStage, task: &'a ShardTask, context: &'a TaskContext) -> Self {
        let session = task_session(context.runtime_env());
        Self { stage, task, session, context, held: BTreeMap::new(), only: None }
    }

    pub(super) fn stage(&self) -> &'a MergeStage {
        self.stage
    }

    pub(super) fn task(&self) -> &'a ShardTask {
        self.task
    }

    pub(super) fn session(&self) -> &SessionContext {
        &self.session
    }

    /// Reads only the state of these keys, or of all.
    pub(super) fn read_only(&mut self, keys: Option<ChangedKeys>) {
        self.held.clear();
        self.only = keys;
    }

    /// Merges small state that more than one analysis reads, and holds it.
    pub(super) async fn hold_shared(&mut self) -> Result<()> {
        let held_bytes = match self.context.memory_pool().memory_limit() {
            MemoryLimit::Finite(bytes) => HELD_STATE_BYTES.min(bytes as u64 / HELD_STATE_PART),
            _ => HELD_STATE_BYTES,
        };
        for id in self.stage.inputs.keys() {
            let readers = self.stage.analyses.iter().filter_map(|id| self.stage.config.detections.by_id(id));
            let reads = |analysis: &&Analysis| {
                analysis.rollups.iter().chain(analysis.optional_rollups).any(|read| *read == id.as_str())
            };
            let is_shared = readers.filter(reads).count() > 1;
            if is_shared && self.bytes(id) <= held_bytes {
                let frame = self.stored(id, self.files(id, Scope::Shard)?, Scope::Shard)?;
                let schema = Arc::clone(frame.schema().inner());
                let table = MemTable::try_new(schema, vec![frame.collect().await?])?;
                self.held.insert(id, Arc::new(table));
            }
        }
        Ok(())
    }

    /// Sends the rows of one analysis; false if the reader is gone.
    async fn send(
        &self,
        analysis: &Analysis,
        schema: &SchemaRef,
        sender: &Sender<Result<RecordBatch>>,
    ) -> Result<bool> {
        let frame = analysis.cut(self.frame(analysis)?, &self.stage.config)?;
        let mut batches = stream_rows(analysis, frame).await?;
        while let Some(batch) = batches.next().await.transpose()? {
            if sender.send(MergeRows::widen(schema, analysis.id, &batch)).await.is_err() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The rows of one analysis.
    pub(super) fn frame(&self, analysis: &Analysis) -> Result<DataFrame> {
        let stage = self.stage;
        let open = |rollup: &str, scope| self.merged(rollup, scope);
        analysis.run(&Inputs {
            config: &stage.config,
            columns: &stage.columns,
            open: &open,
            schema_of: &|id| merged_columns(id, &stage.config, &self.session),
            session: &self.session.state(),
            open_side: &|table| self.side(table),
            window: stage.window,
            buckets: self.task.buckets,
            investigated: stage.investigated,
        })
    }

    fn merged(&self, id: &str, scope: Scope) -> Result<Option<DataFrame>> {
        match (self.held.get(id), self.stage.states(scope).get(id)) {
            (Some(held), _) if scope == Scope::Shard => {
                self.session.read_table(Arc::clone(held) as Arc<_>).map(Some)
            }
            (_, Some(_)) => self.stored(id, self.files(id, scope)?, scope).map(Some),
            (_, None) => Ok(None),
        }
    }

    /// The files of a rollup with rows of this shard, or with all rows.
    fn files(&self, id: &str, scope: Scope) -> Result<Vec<StateFile>> {
        let files = self.stage.states(scope).get(id).cloned().unwrap_or_default();
        let parts = self.task.parts.get(id).map(Vec::as_slice).unwrap_or_default();
        match scope {
            Scope::Past => Ok(files),
            Scope::Whole if !self.task.parts.contains_key(id) => Ok(files),
            // A task has only the parts of its own buckets.
            Scope::Whole => internal_err!("an analysis reads all of {id}, but did not say so"),
            Scope::Shard | Scope::Unmerged => {
                Ok(files.into_iter().chain(parts.iter().map(|part| part.file.clone())).collect())
            }
        }
    }

    /// Bytes of a rollup's state in this shard, if all buckets of a file have the same number.
    fn bytes(&self, id: &str) -> u64 {
        let (from, to) = self.task.buckets;
        let share = |file: &StateFile, (first, end): (u16, u16)| {
            let shared = u64::from(to.min(end).saturating_sub(from.max(first)));
            file.bytes * shared / u64::from(end.saturating_sub(first).max(1))
        };
        let files = self.stage.inputs.get(id).into_iter().flatten().map(|file| share(file, (0, BUCKETS)));
        let parts = self.task.parts.get(id).into_iter().flatten();
        files.chain(parts.map(|part| share(&part.file, part.buckets))).sum()
    }

    fn side(&self, table: &SideTable) -> Result<Option<DataFrame>> {
        let Some(file) = self.stage.side_tables.get(table.name) else { return Ok(None) };
        let state = open_location(&self.stage.state_url, self.context)?;
        let rows = StateTable::new(table.schema(), state, vec![file.clone()]);
        self.session.read_table(Arc::new(rows)).map(Some)
    }

    fn stored(&self, id: &str, files: Vec<StateFile>, scope: Scope) -> Result<DataFrame> {
        open_states(rollup(&self.stage.config, id)?, self.states(id, files, scope)?, scope)
    }

    pub(super) fn states(&self, id: &str, files: Vec<StateFile>, scope: Scope) -> Result<DataFrame> {
        let state = open_location(&self.stage.state_url, self.context)?;
        let schema = state_schema(rollup(&self.stage.config, id)?, &self.stage.config, &self.session)?;
        let mut table = StateTable::new(schema, state, files);
        if self.only.is_some() {
            table = table.reading_keys_first();
        }
        let states = self.session.read_table(Arc::new(table))?;
        let (from, to) = self.task.buckets;
        let in_shard = ident(BUCKET_COLUMN).gt_eq(lit(from)).and(ident(BUCKET_COLUMN).lt(lit(to)));
        match (scope, &self.only) {
            (Scope::Whole, _) => Ok(states),
            (Scope::Shard | Scope::Unmerged, Some(keys)) => states.filter(in_shard.and(keys.has_row())),
            (Scope::Shard | Scope::Unmerged | Scope::Past, _) => states.filter(in_shard),
        }
    }

    /// The fault of a file, found by reading and merging the part of it that this shard reads.
    async fn check(&self, id: &str, file: &StateFile) -> Option<StateFault> {
        // The store may fail temporarily for a good file.
        let reading = with_retries(|| async { Ok(self.merge_alone(id, file).await?) });
        let reason = match catch_panic(reading).await {
            Ok(Ok(())) => return None,
            Ok(Err(error)) => error.to_string(),
            Err(panic) => format!("reading it panicked: {panic}"),
        };
        Some(StateFault { file: file.path.clone(), reason })
    }

    async fn merge_alone(&self, id: &str, file: &StateFile) -> Result<()> {
        // Analyses read optional rollups whole.
        let mut readers = self.stage.analyses.iter().filter_map(|id| self.stage.config.detections.by_id(id));
        let is_whole = readers.any(|analysis| analysis.optional_rollups.contains(&id));
        let scope = if is_whole { Scope::Whole } else { Scope::Shard };
        let mut rows = self.stored(id, vec![file.clone()], scope)?.execute_stream().await?;
        while rows.next().await.transpose()?.is_some() {}
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use hindcast_base::Error;
    use object_store::Error as StoreError;

    use super::*;

    fn fault_of(error: impl Into<DataFusionError>) -> MergeFault {
        other_fault("s3://bucket/state", error.into().context("merging")).unwrap()
    }

    #[test]
    fn a_fault_has_the_kind_of_its_error() {
        for kind in ErrorKind::ALL.into_iter().filter(|kind| *kind != ErrorKind::Internal) {
            let message = "text".to_owned();
            assert_eq!(fault_of(Error::of_kind(kind, "text")), MergeFault::Failed { kind, message });
        }
    }

    #[test]
    fn a_failing_store_is_named_by_its_state() {
        let store = StoreError::Generic { store: "S3", source: "the connection was reset".into() };
        let MergeFault::Storage(fault) = fault_of(store) else { panic!("another fault") };
        let text = fault.to_string();
        assert!(text.starts_with("reading the state at s3://bucket/state: "), "{text}");
        assert!(text.contains("the connection was reset"), "{text}");
    }

    #[test]
    fn the_worker_may_be_at_fault_for_other_errors() {
        for error in [
            DataFusionError::Execution("no threads".into()),
            DataFusionError::ResourcesExhausted("memory".into()),
        ] {
            assert!(other_fault("s3://bucket/state", error).is_err());
        }
    }
}
