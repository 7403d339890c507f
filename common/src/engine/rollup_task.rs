//! One task of a rollup job: reads a unit's files once, feeds every rollup in that pass, commits their state.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::{filter_record_batch, max, min};
use arrow::datatypes::{SchemaRef, TimestampMicrosecondType};
use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::Result;
use datafusion::common::runtime::SpawnedTask;
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::logical_expr::ident;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::prelude::SessionContext;
use futures::future::join_all;
use futures::{FutureExt, StreamExt, stream};
use tokio::sync::mpsc;
use tracing::Instrument;

use super::job::{Job, RollupJob, RollupUnit, TableRef, Task, UnitFault, UnitOutcome, encode_outcome};
use super::session::{is_exhausted, open_location, task_session};
use super::state::{EncodedState, Manifest, StateStore, UnitStats, unit_key};
use super::write_state::encode_state;
use crate::catalog::{
    LakeFile, LakeTable, TableSpec, UnreadableCounts, canonical_schema, file_scan, locate_fault,
};
use crate::error::{Error, InputFault, store_failure};
use crate::operation::TaskGuard;
use crate::rollups::{BUCKET_COLUMN, Rollup};
use crate::time::Window;

/// Batches that may wait for a rollup slower than the reader.
const WAITING_BATCHES: usize = 2;

/// Starts the task of a unit of a rollup job; it gives one outcome, whatever happens to the unit.
pub(super) fn start(
    job: Arc<Job>,
    schema: SchemaRef,
    task: Task<RollupUnit>,
    context: Arc<TaskContext>,
) -> Result<SendableRecordBatchStream> {
    let outcome_schema = Arc::clone(&schema);
    let origin = job.origin();
    let span = tracing::info_span!("unit", job = origin.job, index = task.index, date = %task.work.date);
    origin.adopt(&span);
    let outcome = async move {
        let guard = TaskGuard::start("rollup");
        let Job::Rollup(rollup_job) = &*job else {
            return Err(DataFusionError::Internal("a rollup task was given another job".into()));
        };
        // A decoder that panics on a strange file must not take other units with it.
        let run = AssertUnwindSafe(run_within_memory(rollup_job, &task.work, &context));
        let result = match run.catch_unwind().await {
            Ok(result) => result.map_err(|error| fault_of(error, &task.work)),
            Err(panic) => Err(UnitFault::Failed(format!("its task panicked: {}", panic_text(&*panic)))),
        };
        guard.end(result.is_ok());
        encode_outcome(&outcome_schema, &UnitOutcome { unit: task.index, result })
    };
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream::once(outcome.instrument(span)))))
}

fn fault_of(error: Error, unit: &RollupUnit) -> UnitFault {
    match error {
        Error::Input(fault) => UnitFault::Input(fault),
        Error::Storage { action, source } => UnitFault::Storage {
            file: unit.files.iter().find(|file| action.ends_with(&file.path)).map(|file| file.path.clone()),
            reason: format!("{action}: {source}"),
        },
        other => UnitFault::Failed(other.to_string()),
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a word")
}

/// Runs a unit; where its rollups together need more memory than there is, one after the other, reading anew for each.
async fn run_within_memory(
    job: &RollupJob,
    unit: &RollupUnit,
    context: &Arc<TaskContext>,
) -> crate::Result<Vec<Manifest>> {
    match run_unit(job, unit, context).await {
        Err(Error::Engine(error)) if is_exhausted(&error) && unit.rollups.len() > 1 => {
            tracing::debug!(date = %unit.date, "short of memory: one rollup at a time");
            let mut manifests = Vec::new();
            for rollup in &unit.rollups {
                let alone = RollupUnit { rollups: vec![rollup.clone()], ..unit.clone() };
                manifests.extend(run_unit(job, &alone, context).await?);
            }
            Ok(manifests)
        }
        result => result,
    }
}

async fn run_unit(
    job: &RollupJob,
    unit: &RollupUnit,
    context: &Arc<TaskContext>,
) -> crate::Result<Vec<Manifest>> {
    let table_ref = &job.tables[unit.table];
    let table = open_table(table_ref, context)?;
    let state = StateStore::new(open_location(&job.state_url, context)?);
    let rollups = unit
        .rollups
        .iter()
        .map(|id| Rollup::by_id(id).ok_or_else(|| Error::Internal(format!("there is no rollup {id}"))))
        .collect::<crate::Result<Vec<_>>>()?;
    let keys = rollups
        .iter()
        .map(|rollup| unit_key(rollup, &job.config, table_ref, unit.date, &unit.files))
        .collect::<crate::Result<Vec<_>>>()?;
    // An engine may run a task again whose first attempt ended well but was not heard of.
    let finds = keys.iter().map(|key| state.find(key, &job.window));
    // State that can't be looked up is as good as absent.
    let found: Vec<Manifest> = join_all(finds).await.into_iter().flatten().flatten().collect();
    if found.len() == rollups.len() {
        return Ok(found);
    }
    let columns = columns_read(table.spec, &rollups);
    let schema = canonical_schema(table.spec, &columns);

    let session = task_session(context.runtime_env());
    let mut feeds = Vec::new();
    let mut encoders = Vec::new();
    for rollup in &rollups {
        let (feed, batches) = mpsc::channel(WAITING_BATCHES);
        feeds.push(feed);
        encoders.push(spawn_rollup(rollup, job, &session, &schema, batches).await?);
    }

    let mut reader = UnitReader::new(&table, unit, &job.window, &columns);
    let read = reader.read_all(context, &feeds).await;
    drop(feeds);
    // A rollup that failed closed its feed, so its own error comes before the reader's.
    let mut states: Vec<EncodedState> = Vec::new();
    for encoder in encoders {
        match encoder.join().await {
            Ok(encoded) if read.is_ok() => states.push(encoded?),
            Ok(encoded) => {
                if let (Err(error), Err(Error::Internal(_))) = (encoded, &read) {
                    return Err(error.into());
                }
            }
            Err(error) => return Err(Error::Internal(format!("a rollup task stopped: {error}"))),
        }
    }
    read?;
    let stats = reader.finish();
    tracing::debug!(table = table_ref.name, date = %unit.date, rows = stats.rows, "unit read");

    let mut manifests = Vec::new();
    for ((rollup, key), encoded) in rollups.iter().zip(&keys).zip(states) {
        manifests.push(state.commit(key, rollup, &stats, unit, &job.window, encoded).await?);
    }
    Ok(manifests)
}

fn open_table(table: &TableRef, context: &TaskContext) -> crate::Result<LakeTable> {
    let spec = TableSpec::by_name(&table.name)
        .ok_or_else(|| Error::Internal(format!("there is no table {}", table.name)))?;
    let location = open_location(&table.url, context)?;
    Ok(LakeTable { spec, location, mapping: table.mapping.clone(), dates: Default::default() })
}

fn columns_read(spec: &'static TableSpec, rollups: &[&Rollup]) -> Vec<&'static str> {
    let is_read = |name: &str| name == spec.time_column || rollups.iter().any(|r| r.columns.contains(&name));
    spec.columns.iter().map(|column| column.name).filter(|name| is_read(name)).collect()
}

async fn spawn_rollup(
    rollup: &'static Rollup,
    job: &RollupJob,
    session: &SessionContext,
    schema: &SchemaRef,
    batches: mpsc::Receiver<RecordBatch>,
) -> Result<SpawnedTask<Result<EncodedState>>> {
    let feed = Feed { schema: Arc::clone(schema), batches: Mutex::new(Some(batches)) };
    let table = StreamingTable::try_new(Arc::clone(schema), vec![Arc::new(feed)])?;
    let state = rollup
        .build(session.read_table(Arc::new(table))?, &job.config)?
        .sort(vec![ident(BUCKET_COLUMN).sort(true, false)])?;
    let rows = state.execute_stream().await?;
    Ok(SpawnedTask::spawn(encode_state(rows)))
}

/// The reader's end of a rollup's input.
#[derive(Debug)]
struct Feed {
    schema: SchemaRef,
    batches: Mutex<Option<mpsc::Receiver<RecordBatch>>>,
}

impl PartitionStream for Feed {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let receiver = self.batches.lock().ok().and_then(|mut slot| slot.take());
        let batches = stream::unfold(receiver, |receiver| async {
            let mut receiver = receiver?;
            let batch = receiver.recv().await?;
            Some((Ok(batch), Some(receiver)))
        });
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), batches))
    }
}

/// Reads a unit's files in turn, cuts them to the window, and counts.
struct UnitReader<'a> {
    table: &'a LakeTable,
    unit: &'a RollupUnit,
    window: &'a Window,
    columns: &'a [&'static str],
    unreadable: UnreadableCounts,
    stats: UnitStats,
}

impl<'a> UnitReader<'a> {
    fn new(
        table: &'a LakeTable,
        unit: &'a RollupUnit,
        window: &'a Window,
        columns: &'a [&'static str],
    ) -> Self {
        let unreadable = UnreadableCounts::of(table.spec);
        Self { table, unit, window, columns, unreadable, stats: UnitStats::default() }
    }

    async fn read_all(
        &mut self,
        context: &Arc<TaskContext>,
        feeds: &[mpsc::Sender<RecordBatch>],
    ) -> crate::Result<()> {
        for file in &self.unit.files {
            if let Err(error) = self.read_file(file, context, feeds).await {
                return Err(match error {
                    Error::Engine(error) => self.explain(file, error).await,
                    other => other,
                });
            }
        }
        Ok(())
    }

    async fn read_file(
        &mut self,
        file: &LakeFile,
        context: &Arc<TaskContext>,
        feeds: &[mpsc::Sender<RecordBatch>],
    ) -> crate::Result<()> {
        let clip = self.unit.is_clipped.then_some(self.window);
        let scan = file_scan(self.table, self.columns, file, clip, &self.unreadable).await?;
        let mut batches = scan.execute(0, Arc::clone(context))?;
        while let Some(batch) = batches.next().await.transpose()? {
            let Some(taken) = self.take(batch)? else { continue };
            for feed in feeds {
                // The receiver is gone only where its rollup failed: its own error says why.
                let sent = feed.send(taken.clone()).await;
                sent.map_err(|_| Error::Internal("a rollup stopped before its input ended".into()))?;
            }
        }
        Ok(())
    }

    /// The rows of the batch that lie in the window; `None` where none do.
    fn take(&mut self, batch: RecordBatch) -> crate::Result<Option<RecordBatch>> {
        let Some(column) = batch.column_by_name(self.table.spec.time_column) else {
            return Err(Error::Internal(format!(
                "a scan lacks its time column {}",
                self.table.spec.time_column
            )));
        };
        let times = column.as_primitive::<TimestampMicrosecondType>();
        let (first, last) = (min(times), max(times));
        let all_inside = times.null_count() == 0
            && first.is_some_and(|first| first >= self.window.from_us)
            && last.is_some_and(|last| last < self.window.to_us);
        if all_inside {
            self.count_taken(batch.num_rows(), first, last);
            return Ok(Some(batch));
        }
        let inside: BooleanArray = times
            .iter()
            .map(|time| {
                Some(time.is_some_and(|time| time >= self.window.from_us && time < self.window.to_us))
            })
            .collect();
        self.stats.rows_without_time += times.null_count() as u64;
        self.stats.rows_outside += (batch.num_rows() - times.null_count() - inside.true_count()) as u64;
        if inside.true_count() == 0 {
            return Ok(None);
        }
        let taken = filter_record_batch(&batch, &inside).map_err(DataFusionError::from)?;
        let bounds =
            times.iter().flatten().filter(|time| *time >= self.window.from_us && *time < self.window.to_us);
        self.count_taken(taken.num_rows(), bounds.clone().min(), bounds.max());
        Ok(Some(taken))
    }

    fn count_taken(&mut self, rows: usize, first: Option<i64>, last: Option<i64>) {
        self.stats.rows += rows as u64;
        self.stats.min_us = [self.stats.min_us, first].into_iter().flatten().min();
        self.stats.max_us = self.stats.max_us.max(last);
    }

    fn finish(self) -> UnitStats {
        UnitStats { unreadable: self.unreadable.counts(), ..self.stats }
    }

    /// The error of reading `file`, as an input fault with its place where the file is to blame.
    async fn explain(&self, file: &LakeFile, error: DataFusionError) -> Error {
        if is_exhausted(&error) {
            return Error::Engine(error);
        }
        let mut source: Option<&(dyn std::error::Error + 'static)> = Some(&error);
        while let Some(cause) = source {
            if let Some(Error::Input(fault)) = cause.downcast_ref::<Error>() {
                return Error::Input(InputFault { file: file.path.clone(), ..fault.clone() });
            }
            source = cause.source();
        }
        if let Some(failure) = store_failure(&file.path, &error) {
            return failure;
        }
        let fault = locate_fault(self.table, file, self.columns).await;
        Error::Input(fault.unwrap_or_else(|| InputFault {
            file: file.path.clone(),
            row_group: None,
            column: None,
            reason: error.to_string(),
        }))
    }
}
