//! One task of a rollup stage: reads a unit's files once, feeds all rollups in that pass, and commits their state.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::runtime::SpawnedTask;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::prelude::SessionContext;
use futures::future::{join_all, try_join_all};
use futures::stream;
use tokio::sync::mpsc;
use tracing::Instrument;

use super::by_bucket::by_bucket;
use super::manifest::{Manifest, UnitStats};
use super::row_pass::{HeldState, RowPass, SheetRows};
use super::stage::{RollupStage, RollupUnit, TableRef, Task, UnitFault, UnitOutcome, encode_outcome};
use super::state::StateStore;
use super::state_key::unit_key;
use super::stream_table::stream_table;
use super::unit_reader::UnitReader;
use super::write_state::{EncodedState, encode_state};
use hindcast_base::catch_panic::catch_panic;
use hindcast_base::error::{Error, is_exhausted};
use hindcast_base::file_fault::FileFault;
use hindcast_base::storage_fault::{StorageFault, StorageOperation, is_of_store};
use hindcast_detections::Detections;
use hindcast_detections::analyses::state_schema;
use hindcast_detections::config::Config;
use hindcast_detections::rollups::Rollup;
use hindcast_lake::selection::Selection;
use hindcast_lake::{LakeTable, TableSpec, Tables, canonical_schema};
use hindcast_lake::{is_memory_short, open_location, task_session};
use hindcast_observability::TaskGuard;

/// Most batches that wait for a rollup that is slower than the reader.
const WAITING_BATCHES: usize = 2;

/// Starts the task of one unit of a rollup stage. It returns one outcome, even if the unit fails.
pub(super) fn start(
    stage: Arc<RollupStage>,
    schema: SchemaRef,
    task: Task<RollupUnit>,
    context: Arc<TaskContext>,
) -> Result<SendableRecordBatchStream> {
    let outcome_schema = Arc::clone(&schema);
    let origin = &stage.origin;
    let span = tracing::info_span!("unit", job = origin.job, index = task.index, date = %task.work.date);
    origin.adopt(&span);
    let outcome = async move {
        let guard = TaskGuard::start("rollup");
        // A panic on unusual values must not affect other units.
        let result = match catch_panic(run_within_memory(&stage, &task.work, &context)).await {
            Ok(result) => result.map_err(|failure| failure.fault()),
            Err(panic) => Err(UnitFault::Failed(format!("its task panicked: {panic}"))),
        };
        guard.end(result.is_ok());
        encode_outcome(&outcome_schema, &UnitOutcome { unit: task.index, result })
    };
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream::once(outcome.instrument(span)))))
}

/// The failure of a unit.
enum Failure {
    /// Reading its files or computing its rollups failed.
    Unit(Error),
    /// Writing its state failed.
    State(Error),
    /// Computing a user's rollup failed: its id, and the error.
    Rollup(String, String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Unit(error)
    }
}

impl From<DataFusionError> for Failure {
    fn from(error: DataFusionError) -> Self {
        Failure::Unit(error.into())
    }
}

impl Failure {
    fn fault(self) -> UnitFault {
        match self {
            Failure::State(Error::Storage(fault)) => UnitFault::State(fault),
            Failure::Rollup(rollup, reason) => UnitFault::Rollup { rollup, reason },
            Failure::Unit(Error::Input(fault)) => UnitFault::Input(fault),
            Failure::Unit(Error::Storage(fault)) => UnitFault::Storage(fault),
            Failure::Unit(other) => UnitFault::Failed(other.to_string()),
            Failure::State(other) => {
                UnitFault::State(StorageFault::temporary(StorageOperation::Writing, "the state", other))
            }
        }
    }
}

/// How the rollups of a unit keep their state while its rows are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keeping {
    /// In memory.
    Held,
    /// In DataFusion's plans, which spill.
    Spilled,
}

/// Runs a unit. If its rollups need more memory than there is, they run again in plans that spill; if that is too much for all
/// together, they run one by one, and each reads the files again.
async fn run_within_memory(
    stage: &RollupStage,
    unit: &RollupUnit,
    context: &Arc<TaskContext>,
) -> Result<Vec<Manifest>, Failure> {
    let exhausted = |result: &Result<_, Failure>| matches!(result, Err(Failure::Unit(Error::Engine(error))) if is_exhausted(error));
    if !is_memory_short(&context.runtime_env()) {
        let held = run_unit(stage, unit, Keeping::Held, context).await;
        if !exhausted(&held) {
            return held;
        }
        tracing::debug!(date = %unit.date, "not enough memory: rollups spill");
    }
    let spilled = run_unit(stage, unit, Keeping::Spilled, context).await;
    if !exhausted(&spilled) || unit.rollups.len() == 1 {
        return spilled;
    }
    tracing::debug!(date = %unit.date, "not enough memory: rollups run one by one");
    let mut manifests = Vec::new();
    for rollup in unit.rollups.iter() {
        let alone = RollupUnit { rollups: vec![rollup.clone()].into(), ..unit.clone() };
        manifests.extend(run_unit(stage, &alone, Keeping::Spilled, context).await?);
    }
    Ok(manifests)
}

/// The failure of a rollup. A user's rollup fails alone, unless the cause is a store, or the memory that all rollups share.
fn failure_of(rollup: &Rollup, is_last: bool, error: DataFusionError) -> Failure {
    let is_others = is_of_store(&error) || (is_exhausted(&error) && !is_last);
    let is_own = Detections::built_in().rollup(rollup.id).is_none();
    match is_own && !is_others {
        true => {
            let reason = match FileFault::of(&error) {
                Some(fault) => fault.to_string(),
                None => format!("{}: {}", rollup.file, error.strip_backtrace()),
            };
            Failure::Rollup(rollup.id.to_owned(), reason)
        }
        false => error.into(),
    }
}

async fn run_unit(
    stage: &RollupStage,
    unit: &RollupUnit,
    keeping: Keeping,
    context: &Arc<TaskContext>,
) -> Result<Vec<Manifest>, Failure> {
    let table_ref = &stage.tables[unit.table];
    let table = open_table(table_ref, stage.config.detections.tables(), context)?;
    let state = &StateStore::new(open_location(&stage.state_url, context)?);
    let rollups = rollups_of(stage, unit)?;
    let keys = rollups
        .iter()
        .map(|rollup| unit_key(rollup, &stage.config, table_ref, unit))
        .collect::<hindcast_base::Result<Vec<_>>>()?;
    // An engine may repeat a task whose first attempt succeeded but whose result was lost.
    let finds = keys.iter().map(|key| state.find(key, &unit.window));
    // State that can't be looked up counts as absent.
    let found: Vec<Manifest> =
        join_all(finds).await.into_iter().flatten().filter_map(|found| found.manifest).collect();
    if found.len() == rollups.len() {
        return Ok(found);
    }
    let columns = columns_read(table.spec, &rollups, &stage.config, unit.selection.as_deref());
    let schema = canonical_schema(table.spec, &columns);

    // A rollup that runs alone and spills has all the memory there is.
    let is_last = rollups.len() == 1 && keeping == Keeping::Spilled;
    let failed = |rollup: &Rollup, error| failure_of(rollup, is_last, error);
    let session = task_session(context.runtime_env());
    let Started { pass, feeds, encoders } = start_rollups(&rollups, stage, &schema, keeping, &session)
        .await
        .map_err(|(rollup, error)| failed(rollup, error))?;

    let mut reader = UnitReader::new(&table, unit, &columns);
    let read = reader.read_all(context, &pass, &feeds).await;
    drop(feeds);
    let states = encoded_states(&rollups, encoders, read.as_ref(), failed).await?;
    read?;
    let stats = reader.finish();
    tracing::debug!(table = table_ref.name, date = %unit.date, rows = stats.rows, "unit read");

    let committed = rollups.iter().zip(&keys).zip(states).map(|((rollup, key), encoded)| {
        let own = own_stats(table.spec, rollup, &stage.config, unit, &stats);
        async move { state.commit(key, rollup, &own, unit, &unit.window, encoded).await }
    });
    try_join_all(committed).await.map_err(Failure::State)
}

/// The rollups of a unit.
fn rollups_of(stage: &RollupStage, unit: &RollupUnit) -> hindcast_base::Result<Vec<&'static Rollup>> {
    let known = |id: &String| {
        let known = stage.config.detections.rollup(id);
        known.ok_or_else(|| Error::Internal(format!("there is no rollup {id}")))
    };
    unit.rollups.iter().map(known).collect()
}

/// The state of a rollup, once all rows were read.
type Encoder = SpawnedTask<Result<EncodedState>>;

/// The running rollups of a unit.
struct Started {
    pass: RowPass,
    /// One for each rollup that reads rows.
    feeds: Vec<mpsc::Sender<Arc<SheetRows>>>,
    /// One for each rollup.
    encoders: Vec<Encoder>,
}

/// Starts the rollups. An error comes with the rollup that has it.
async fn start_rollups(
    rollups: &[&'static Rollup],
    stage: &RollupStage,
    schema: &SchemaRef,
    keeping: Keeping,
    session: &SessionContext,
) -> Result<Started, (&'static Rollup, DataFusionError)> {
    let (pass, held) = match keeping {
        Keeping::Held => RowPass::of(rollups, schema, &stage.config, session)?,
        Keeping::Spilled => (RowPass::empty(schema), rollups.iter().map(|_| None).collect()),
    };
    let (mut feeds, mut encoders) = (Vec::new(), Vec::new());
    for (rollup, held) in rollups.iter().zip(held) {
        let (feed, batches) = mpsc::channel(WAITING_BATCHES);
        let encoder = match held {
            Some(held) => state_schema(rollup, &stage.config, session)
                .map(|state_schema| spawn_held(held, state_schema, session, batches)),
            None => spawn_plan(rollup, stage, session, schema, batches).await,
        };
        encoders.push(encoder.map_err(|error| (*rollup, error))?);
        // A rollup whose filter is always false reads no rows.
        if !feed.is_closed() {
            feeds.push(feed);
        }
    }
    Ok(Started { pass, feeds, encoders })
}

/// The states of the rollups, whose rows were `read`.
async fn encoded_states(
    rollups: &[&'static Rollup],
    encoders: Vec<Encoder>,
    read: Result<&(), &Error>,
    failed: impl Fn(&Rollup, DataFusionError) -> Failure,
) -> Result<Vec<EncodedState>, Failure> {
    let mut states = Vec::new();
    for (rollup, encoder) in rollups.iter().zip(encoders) {
        match encoder.join().await {
            Ok(encoded) if read.is_ok() => states.push(encoded.map_err(|error| failed(rollup, error))?),
            // A rollup that fails closes its feed, so its error takes precedence over the reader's.
            Ok(encoded) => {
                if let (Err(error), Err(Error::Internal(_))) = (encoded, read) {
                    return Err(failed(rollup, error));
                }
            }
            Err(error) => return Err(Error::Internal(format!("a rollup task stopped: {error}")).into()),
        }
    }
    Ok(states)
}

/// The statistics with the counts of the columns that a rollup depends on. So its manifest does not depend on the other rollups of
/// the unit.
fn own_stats(
    spec: &'static TableSpec,
    rollup: &Rollup,
    config: &Config,
    unit: &RollupUnit,
    stats: &UnitStats,
) -> UnitStats {
    let own = columns_read(spec, &[rollup], config, unit.selection.as_deref());
    UnitStats { unreadable: stats.unreadable.of(&own), values: stats.values.of(&own), ..stats.clone() }
}

fn open_table(table: &TableRef, known: Tables, context: &TaskContext) -> hindcast_base::Result<LakeTable> {
    let spec = known
        .by_name(&table.name)
        .ok_or_else(|| Error::Internal(format!("there is no table {}", table.name)))?;
    let location = open_location(&table.url, context)?;
    let known = LakeTable::of_task(spec, location, table.mapping.clone());
    Ok(known.with_log(table.physical.clone(), table.snapshot.clone()))
}

fn columns_read(
    spec: &'static TableSpec,
    rollups: &[&Rollup],
    config: &Config,
    selection: Option<&Selection>,
) -> Vec<&'static str> {
    let named_by = selection.map(|selection| selection.columns(spec)).unwrap_or_default();
    let by_rollups: BTreeSet<&str> = rollups.iter().flat_map(|rollup| rollup.columns_read(config)).collect();
    let is_read =
        |name: &str| name == spec.time_column || named_by.contains(name) || by_rollups.contains(name);
    spec.columns.iter().map(|column| column.name).filter(|name| is_read(name)).collect()
}

/// A rollup whose state is held in memory.
fn spawn_held(
    mut held: HeldState,
    state_schema: SchemaRef,
    session: &SessionContext,
    mut batches: mpsc::Receiver<Arc<SheetRows>>,
) -> Encoder {
    let session = session.clone();
    if held.takes_nothing() {
        batches.close();
    }
    SpawnedTask::spawn(async move {
        let memory = MemoryConsumer::new("held state").register(&session.runtime_env().memory_pool);
        while let Some(rows) = batches.recv().await {
            held.fold(&rows)?;
            memory.try_resize(held.bytes())?;
        }
        let rows = held.finish()?;
        memory.free();
        let rows = RecordBatchStreamAdapter::new(state_schema, stream::iter(rows.into_iter().map(Ok)));
        encode_state(by_bucket(Box::pin(rows), &session).await?).await
    })
}

/// A rollup as DataFusion's plan.
async fn spawn_plan(
    rollup: &'static Rollup,
    stage: &RollupStage,
    session: &SessionContext,
    schema: &SchemaRef,
    batches: mpsc::Receiver<Arc<SheetRows>>,
) -> Result<Encoder> {
    let feed = stream::unfold(batches, |mut batches| async {
        let rows = batches.recv().await?;
        Some((Ok(rows.batch().clone()), batches))
    });
    let rows = stream_table(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(schema), feed)))?;
    let state = rollup.build(session.read_table(Arc::new(rows))?, &stage.config)?.execute_stream().await?;
    let session = session.clone();
    Ok(SpawnedTask::spawn(async move { encode_state(by_bucket(state, &session).await?).await }))
}
