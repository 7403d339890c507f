//! Runs the SQL of users' own detections: within a time limit, and with panics as errors of the detection.

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

use hindcast_base::catch_panic::catch_panic;
use hindcast_detections::analyses::Analysis;
use hindcast_detections::config::Config;

/// The result of `work`, which runs SQL of `analysis`. For a user's own detection the configuration limits its time.
///
/// # Errors
/// The errors of `work`, and one if it takes too long.
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

/// The rows of a frame of `analysis`. A user's own detection yields after each batch, so that it can be stopped.
///
/// # Errors
/// If it can't be planned.
pub(super) async fn stream_rows(analysis: &Analysis, frame: DataFrame) -> Result<SendableRecordBatchStream> {
    if !analysis.about.is_own {
        return frame.execute_stream().await;
    }
    let context = Arc::new(frame.task_ctx());
    execute_stream(with_yield_points(frame.create_physical_plan().await?)?, context)
}

/// All rows of a frame of `analysis`: of `finish.sql` or of a companion table.
///
/// # Errors
/// If it fails; for a user's own detection also if it panics, or takes longer than the configuration allows.
pub async fn collect(analysis: &Analysis, config: &Config, frame: DataFrame) -> Result<Vec<RecordBatch>> {
    if !analysis.about.is_own {
        return frame.collect().await;
    }
    // Collected rows count against the budget: a join may return any number of rows.
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

/// The plan with a yield point after each step. DataFusion has them only at tables, and a join may return any number of rows for
/// each row of a table.
fn with_yield_points(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let with_stop = |step: Arc<dyn ExecutionPlan>| {
        Ok(Transformed::yes(Arc::new(CooperativeExec::new(step)) as Arc<dyn ExecutionPlan>))
    };
    Ok(plan.transform_up(with_stop)?.data)
}
