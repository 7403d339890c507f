//! One task of a combine stage: reads some buckets of the state files of a level, and stores them as one file.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::{Result, internal_datafusion_err};
use datafusion::execution::TaskContext;
use datafusion::logical_expr::{ident, lit};
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{StreamExt, stream};
use tracing::Instrument;

use super::by_bucket::by_bucket;
use super::combine_stage::{CombineStage, CombinedPart, PartOutcome};
use super::level::LevelPart;
use super::stage::{Task, encode_outcome};
use super::state::StateStore;
use super::state_table::StateTable;
use super::write_state::encode_state;
use hindcast_base::catch_panic::catch_panic;
use hindcast_base::retry::with_retries;
use hindcast_detections::analyses::{rollup, state_schema};
use hindcast_detections::rollups::BUCKET_COLUMN;
use hindcast_lake::{StateFile, open_location, task_session};
use hindcast_observability::TaskGuard;

/// Starts the task of one part of a level. It returns one outcome, even if it fails.
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
) -> hindcast_base::Result<LevelPart> {
    let level = stage.levels.get(part.level);
    let level = level.ok_or_else(|| internal_datafusion_err!("there is no level {}", part.level))?;
    let location = open_location(&stage.state_url, context)?;
    let session = task_session(context.runtime_env());
    let rollup = rollup(&stage.config, &level.rollup)?;
    let schema = state_schema(rollup, &stage.config, &session)?;
    let (from, to) = part.buckets;
    let files = level.files.iter().filter(|file| file.buckets.0 < to && from < file.buckets.1);
    let files: Vec<StateFile> = files.map(|file| file.file.clone()).collect();
    let table = StateTable::new(Arc::clone(&schema), location.clone(), files);
    let states = session.read_table(Arc::new(table))?;
    let states =
        states.filter(ident(BUCKET_COLUMN).gt_eq(lit(from)).and(ident(BUCKET_COLUMN).lt(lit(to))))?;
    let rows = rollup.combine(states)?.execute_stream().await?;
    let sorted = by_bucket(with_schema(rows, &schema), &session).await?;
    let encoded = encode_state(sorted).await?;
    StateStore::new(location).put_part(&level.key, part.buckets, encoded).await
}

/// The rows with the columns of state, some of which are never null.
fn with_schema(rows: SendableRecordBatchStream, schema: &SchemaRef) -> SendableRecordBatchStream {
    let of_state = Arc::clone(schema);
    let rows =
        rows.map(move |rows| Ok(RecordBatch::try_new(Arc::clone(&of_state), rows?.columns().to_vec())?));
    Box::pin(RecordBatchStreamAdapter::new(Arc::clone(schema), rows))
}
