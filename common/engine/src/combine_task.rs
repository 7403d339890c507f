//! One task of a combine stage: reads some buckets of the state files of a level, and stores them as one file or several.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::{Result, internal_datafusion_err};
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::logical_expr::{ident, lit};
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::ObjectStoreExt;
use object_store::memory::InMemory;
use tracing::Instrument;

use super::by_bucket::by_bucket;
use super::combine_stage::{CombineStage, CombinedFiles, CombinedPart, PartOutcome};
use super::level::LevelPart;
use super::stage::{Task, encode_outcome};
use super::state::StateStore;
use super::state_table::StateTable;
use super::write_state::{EncodedState, encode_state};
use hindcast_base::Error;
use hindcast_base::catch_panic::catch_panic;
use hindcast_base::retry::with_retries;
use hindcast_detections::analyses::{rollup, state_schema};
use hindcast_detections::rollups::BUCKET_COLUMN;
use hindcast_lake::{Location, StateFile, open_location, task_session};
use hindcast_observability::TaskGuard;

/// Files that are copied at once.
const CONCURRENT_COPIES: usize = 8;

/// Starts the task of some files of a level. It returns one outcome, even if it fails.
pub(super) fn start(
    stage: Arc<CombineStage>,
    schema: SchemaRef,
    task: Task<CombinedPart>,
    context: Arc<TaskContext>,
) -> Result<SendableRecordBatchStream> {
    let outcome_schema = Arc::clone(&schema);
    let origin = &stage.origin;
    let span = tracing::info_span!("combine", job = origin.job, index = task.index);
    origin.adopt(&span);
    let outcome = async move {
        let guard = TaskGuard::start("merge");
        // The store may fail temporarily.
        let combining = with_retries(|| async { combine(&stage, &task.work, &context).await });
        let result = match catch_panic(combining).await {
            Ok(result) => result.map_err(|error| error.to_string()),
            Err(panic) => Err(format!("combining state panicked: {panic}")),
        };
        guard.end(result.is_ok());
        encode_outcome(&outcome_schema, &PartOutcome { level: task.work.level, result })
    };
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream::once(outcome.instrument(span)))))
}

async fn combine(
    stage: &CombineStage,
    part: &CombinedPart,
    context: &TaskContext,
) -> hindcast_base::Result<Vec<LevelPart>> {
    let level = stage.levels.get(part.level);
    let level = level.ok_or_else(|| internal_datafusion_err!("there is no level {}", part.level))?;
    let location = open_location(&stage.state_url, context)?;
    let copies = if part.pieces > 1 { copies_of(level, part, &location, context).await? } else { None };
    let sources = copies.as_ref().map_or(&location, |copies| &copies.location);
    let mut parts = Vec::new();
    for buckets in pieces_of(part) {
        let encoded = combine_piece(stage, level, buckets, sources, context).await?;
        parts.push(StateStore::new(location.clone()).put_part(&level.key, buckets, encoded).await?);
    }
    Ok(parts)
}

/// The state of some buckets as one file.
async fn combine_piece(
    stage: &CombineStage,
    level: &CombinedFiles,
    (from, to): (u16, u16),
    sources: &Location,
    context: &TaskContext,
) -> hindcast_base::Result<EncodedState> {
    let session = task_session(context.runtime_env());
    let rollup = rollup(&stage.config, &level.rollup)?;
    let schema = state_schema(rollup, &stage.config, &session)?;
    let files = files_with(level, (from, to)).cloned().collect();
    let table = StateTable::new(Arc::clone(&schema), sources.clone(), files);
    let states = session.read_table(Arc::new(table))?;
    let states =
        states.filter(ident(BUCKET_COLUMN).gt_eq(lit(from)).and(ident(BUCKET_COLUMN).lt(lit(to))))?;
    let rows = rollup.combine(states)?.execute_stream().await?;
    let sorted = by_bucket(with_schema(rows, &schema), &session).await?;
    Ok(encode_state(sorted).await?)
}

/// The ranges of buckets of a part's files.
fn pieces_of(part: &CombinedPart) -> impl Iterator<Item = (u16, u16)> {
    let (from, to) = part.buckets;
    let pieces = u32::from(part.pieces.clamp(1, to.saturating_sub(from).max(1)));
    let bound = move |piece: u32| from + (u32::from(to - from) * piece / pieces) as u16;
    (0..pieces).map(move |piece| (bound(piece), bound(piece + 1)))
}

/// The files of a level with rows in some buckets.
fn files_with(level: &CombinedFiles, (from, to): (u16, u16)) -> impl Iterator<Item = &StateFile> {
    let files = level.files.iter().filter(move |file| file.buckets.0 < to && from < file.buckets.1);
    files.map(|file| &file.file)
}

/// Copies of the sources in memory.
struct Copies {
    location: Location,
    /// Lives as long as the copies.
    _held: MemoryReservation,
}

/// Copies of the sources of a part, each read with one request; `None` if there is not enough memory.
async fn copies_of(
    level: &CombinedFiles,
    part: &CombinedPart,
    location: &Location,
    context: &TaskContext,
) -> hindcast_base::Result<Option<Copies>> {
    let held = MemoryConsumer::new("combined state").register(context.memory_pool());
    let files: Vec<&StateFile> = files_with(level, part.buckets).collect();
    let bytes: u64 = files.iter().map(|file| file.bytes).sum();
    if held.try_grow(usize::try_from(bytes).unwrap_or(usize::MAX)).is_err() {
        return Ok(None);
    }
    let store = InMemory::new();
    let copy = |file: &StateFile| {
        let path = location.child(&file.path);
        let store = &store;
        async move {
            let failed = |error| Error::reading(location.name_of(&path))(error);
            let content = location.store().get(&path).await.map_err(failed)?.bytes().await.map_err(failed)?;
            store.put(&path, content.into()).await.map(|_| ()).map_err(failed)
        }
    };
    let copies: Vec<_> = files.into_iter().map(copy).collect();
    stream::iter(copies).buffer_unordered(CONCURRENT_COPIES).try_collect::<()>().await?;
    Ok(Some(Copies { location: location.clone().with_store(Arc::new(store)), _held: held }))
}

/// The rows with the columns of state, some of which are never null.
fn with_schema(rows: SendableRecordBatchStream, schema: &SchemaRef) -> SendableRecordBatchStream {
    let of_state = Arc::clone(schema);
    let rows =
        rows.map(move |rows| Ok(RecordBatch::try_new(Arc::clone(&of_state), rows?.columns().to_vec())?));
    Box::pin(RecordBatchStreamAdapter::new(Arc::clone(schema), rows))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hindcast_functions::BUCKETS;

    #[test]
    fn pieces_follow_each_other() {
        for (from, to, pieces) in [(0, BUCKETS, 1), (0, BUCKETS, 32), (5, 12, 3), (5, 7, 9), (8, 9, 0)] {
            let ranges: Vec<(u16, u16)> =
                pieces_of(&CombinedPart { level: 0, buckets: (from, to), pieces }).collect();
            assert_eq!((ranges[0].0, ranges[ranges.len() - 1].1), (from, to));
            assert!(ranges.windows(2).all(|pair| pair[0].1 == pair[1].0), "{ranges:?}");
            assert!(ranges.iter().all(|(from, to)| from < to), "{ranges:?}");
        }
    }
}
