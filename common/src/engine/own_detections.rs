//! Runs the SQL of detections that users bring: within a limit of time, and so that a panic is an error of theirs.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Result, exec_datafusion_err};
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::{ExecutionPlan, SendableRecordBatchStream, execute_stream};
use datafusion::prelude::DataFrame;
use futures::TryStreamExt;
use tokio::time::timeout;

use crate::analyses::Analysis;
use crate::catch_panic::catch_panic;
use crate::config::Config;

/// What `work` comes to, which runs SQL of `analysis`; of a user's own no longer than the configuration allows.
///
/// # Errors
/// Those of `work`, and where it takes too long.
pub(super) async fn within_time_limit<T>(
    analysis: &Analysis,
    config: &Config,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let seconds = config.own_detections.max_seconds;
    if !analysis.about.is_own || seconds == 0 {
        return work.await;
    }
    timeout(Duration::from_secs(seconds), work).await.unwrap_or_else(|_| {
        Err(exec_datafusion_err!("it took longer than own_detections.max_seconds allows, {seconds} s"))
    })
}

/// The rows of a frame of `analysis`. A user's own gives way to others after each batch, so that it can be stopped.
///
/// # Errors
/// Where it can't be planned.
pub(super) async fn stream_rows(analysis: &Analysis, frame: DataFrame) -> Result<SendableRecordBatchStream> {
    if !analysis.about.is_own {
        return frame.execute_stream().await;
    }
    let context = Arc::new(frame.task_ctx());
    execute_stream(with_yield_points(frame.create_physical_plan().await?)?, context)
}

/// The rows of a frame of `analysis` that is computed whole: of `finish.sql` or of a companion table.
///
/// # Errors
/// Where it fails; a user's own also where it panics, or takes longer than the configuration allows.
pub async fn collect(analysis: &Analysis, config: &Config, frame: DataFrame) -> Result<Vec<RecordBatch>> {
    if !analysis.about.is_own {
        return frame.collect().await;
    }
    // What is collected counts: a join may give any number of rows.
    let runtime = frame.task_ctx().runtime_env();
    let held = MemoryConsumer::new("rows of an own detection").register(&runtime.memory_pool);
    let all = within_time_limit(analysis, config, async {
        let mut batches = stream_rows(analysis, frame).await?;
        let mut all = Vec::new();
        while let Some(batch) = batches.try_next().await? {
            held.try_grow(batch.get_array_memory_size())?;
            all.push(batch);
        }
        Ok(all)
    });
    catch_panic(all).await.unwrap_or_else(|panic| Err(exec_datafusion_err!("it panicked: {panic}")))
}

/// The plan with a stop after each step: DataFusion's own are at tables alone, and a join makes any number of rows of theirs.
fn with_yield_points(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let with_stop = |step: Arc<dyn ExecutionPlan>| {
        Ok(Transformed::yes(Arc::new(CooperativeExec::new(step)) as Arc<dyn ExecutionPlan>))
    };
    Ok(plan.transform_up(with_stop)?.data)
}
