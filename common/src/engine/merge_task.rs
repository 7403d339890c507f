//! One task of a merge job: reads a shard's state, merges it and runs the analysis on it.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::{Result, internal_datafusion_err};
use datafusion::datasource::empty::EmptyTable;
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::logical_expr::{ident, lit};
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::prelude::{DataFrame, SessionContext};
use futures::{TryStreamExt, stream};

use super::job::{Job, MergeJob};
use super::session::{open_location, task_session};
use super::state_table::{StateTable, state_schema};
use crate::analyses::{Analysis, Inputs, Scope};
use crate::rollups::{BUCKET_COLUMN, Rollup};

/// Starts task `shard` of a merge job; it gives the analysis's rows.
pub(super) fn start(
    job: Arc<Job>,
    schema: SchemaRef,
    shard: usize,
    context: Arc<TaskContext>,
) -> Result<SendableRecordBatchStream> {
    let rows = async move {
        let Job::Merge(job) = &*job else {
            return Err(DataFusionError::Internal("a merge task was given another job".into()));
        };
        let session = task_session(context.runtime_env());
        let open = |id: &str, scope| open_state(job, job.shards[shard], &session, &context, id, scope);
        analysis(job)?.cut(result(job, &open)?, &job.config)?.execute_stream().await
    };
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream::once(rows).try_flatten())))
}

/// Columns of the analysis's rows: those its own plan has over state without rows.
pub(super) fn result_schema(job: &MergeJob) -> Result<SchemaRef> {
    let session = SessionContext::new();
    let open = |id: &str, _| {
        if !job.inputs.contains_key(id) {
            return Ok(None);
        }
        let rollup = rollup(id)?;
        let table = EmptyTable::new(state_schema(rollup, &job.config, &session)?);
        rollup.merge(session.read_table(Arc::new(table))?).map(Some)
    };
    Ok(Arc::clone(result(job, &open)?.schema().inner()))
}

fn result(job: &MergeJob, open: &dyn Fn(&str, Scope) -> Result<Option<DataFrame>>) -> Result<DataFrame> {
    (analysis(job)?.run)(&Inputs { config: &job.config, columns: &job.columns, open })
}

fn open_state(
    job: &MergeJob,
    (from, to): (u8, u8),
    session: &SessionContext,
    context: &TaskContext,
    id: &str,
    scope: Scope,
) -> Result<Option<DataFrame>> {
    let Some(files) = job.inputs.get(id) else {
        return Ok(None);
    };
    let rollup = rollup(id)?;
    let store = open_location(&job.state_url, context)?.store_url()?;
    let table = StateTable::new(rollup, &job.config, session, store, files.clone())?;
    let states = session.read_table(Arc::new(table))?;
    let states = match scope {
        Scope::Whole => states,
        Scope::Shard => {
            states.filter(ident(BUCKET_COLUMN).gt_eq(lit(from)).and(ident(BUCKET_COLUMN).lt(lit(to))))?
        }
    };
    rollup.merge(states).map(Some)
}

fn analysis(job: &MergeJob) -> Result<&'static Analysis> {
    Analysis::by_id(&job.analysis).ok_or_else(|| internal_datafusion_err!("there is no analysis {}", job.analysis))
}

fn rollup(id: &str) -> Result<&'static Rollup> {
    Rollup::by_id(id).ok_or_else(|| internal_datafusion_err!("there is no rollup {id}"))
}
