//! A worker that can run no task any more, for want of threads or disk, fails each at once and so is given ever more. It
//! notices, and leaves.

use std::fmt::{self, Display};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use ballista_core::JobId;
use ballista_core::serde::protobuf::ShuffleWritePartition;
use ballista_executor::execution_engine::{DefaultExecutionEngine, ExecutionEngine, QueryStageExecutor};
use datafusion::common::Result;
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::MetricsSet;
use datafusion::prelude::SessionConfig;
use futures::FutureExt;
use hindcast_common::error::{is_exhausted, store_failure};
use tokio::sync::Notify;

/// Tasks that fail in a row before the worker is taken to be at fault. Units report their own trouble as results, so a
/// task that fails is rare.
const FAILURES_IN_A_ROW: u32 = 3;

/// Counts failures, and tells when there are too many.
#[derive(Debug, Clone, Default)]
pub(crate) struct FailureDetector {
    failures: Arc<AtomicU32>,
    is_sick: Arc<Notify>,
}

impl FailureDetector {
    /// Returns once the worker is sick.
    pub(crate) async fn noticed(&self) {
        self.is_sick.notified().await;
    }

    fn note<T>(&self, result: &Result<T>) {
        match result {
            Ok(_) => self.failures.store(0, Ordering::Relaxed),
            // The store and the memory budget are not this worker's alone.
            Err(error) if store_failure("", error).is_some() || is_exhausted(error) => {}
            Err(error) => {
                tracing::error!(%error, "a task failed");
                if self.failures.fetch_add(1, Ordering::Relaxed) + 1 >= FAILURES_IN_A_ROW {
                    self.is_sick.notify_one();
                }
            }
        }
    }
}

/// Ballista's engine, with the ends of its tasks noted.
pub(crate) struct MonitoredEngine {
    engine: DefaultExecutionEngine,
    failures: FailureDetector,
}

impl MonitoredEngine {
    pub(crate) fn new(failures: FailureDetector) -> Self {
        Self { engine: DefaultExecutionEngine::new(), failures }
    }
}

impl ExecutionEngine for MonitoredEngine {
    fn create_query_stage_exec(
        &self,
        job: JobId,
        stage: usize,
        task: usize,
        partitions: Vec<usize>,
        plan: Arc<dyn ExecutionPlan>,
        folder: &str,
        config: &SessionConfig,
    ) -> Result<Arc<dyn QueryStageExecutor>> {
        let stage =
            self.engine.create_query_stage_exec(job, stage, task, partitions, plan, folder, config)?;
        Ok(Arc::new(MonitoredStage { stage, failures: self.failures.clone() }))
    }
}

#[derive(Debug)]
struct MonitoredStage {
    stage: Arc<dyn QueryStageExecutor>,
    failures: FailureDetector,
}

impl Display for MonitoredStage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.stage.fmt(formatter)
    }
}

#[async_trait]
impl QueryStageExecutor for MonitoredStage {
    async fn execute_query_stage(
        &self,
        task: usize,
        context: Arc<TaskContext>,
    ) -> Result<Vec<ShuffleWritePartition>> {
        let run = AssertUnwindSafe(self.stage.execute_query_stage(task, context)).catch_unwind().await;
        let result = run.unwrap_or_else(|_| Err(DataFusionError::Execution("the task panicked".to_owned())));
        self.failures.note(&result);
        // Ballista tries a task elsewhere only where it takes the failure for one of input or output.
        result.map_err(|error| DataFusionError::IoError(std::io::Error::other(error.to_string())))
    }

    fn collect_plan_metrics(&self) -> Vec<MetricsSet> {
        self.stage.collect_plan_metrics()
    }
}
