//! Detects that this worker can no longer run tasks, for example because it has no threads or disk space left. Such a worker
//! fails each task at once and so receives even more of them; it stops instead.

use std::fmt::{self, Display};
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
use hindcast_base::catch_panic::catch_panic;
use hindcast_base::error::is_exhausted;
use hindcast_base::storage_fault::is_of_store;
use tokio::sync::Notify;

/// Consecutive failed tasks after which the worker itself is at fault. Units report their own faults as results, so a
/// task that fails is rare.
const FAILURES_IN_A_ROW: u32 = 3;

/// Counts consecutive failures and reports when there are too many.
#[derive(Debug, Clone, Default)]
pub(crate) struct FailureDetector {
    failures: Arc<AtomicU32>,
    limit_reached: Arc<Notify>,
}

impl FailureDetector {
    /// Returns once too many tasks have failed in a row.
    pub(crate) async fn limit_reached(&self) {
        self.limit_reached.notified().await;
    }

    fn record<T>(&self, result: &Result<T>) {
        match result {
            Ok(_) => self.failures.store(0, Ordering::Relaxed),
            // Other workers share the store and the memory budget of a task: these failures do not count.
            Err(error) if is_of_store(error) || is_exhausted(error) => {}
            Err(error) => {
                tracing::error!(%error, "a task failed");
                if self.failures.fetch_add(1, Ordering::Relaxed) + 1 >= FAILURES_IN_A_ROW {
                    self.limit_reached.notify_one();
                }
            }
        }
    }
}

/// Ballista's engine, with the results of its tasks recorded in a [`FailureDetector`].
pub(crate) struct MonitoredEngine {
    engine: DefaultExecutionEngine,
    failures: FailureDetector,
}

impl MonitoredEngine {
    pub fn new(failures: FailureDetector) -> Self {
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
        let run = catch_panic(self.stage.execute_query_stage(task, context)).await;
        let result = run
            .unwrap_or_else(|panic| Err(DataFusionError::Execution(format!("the task panicked: {panic}"))));
        self.failures.record(&result);
        // Ballista retries a task on another worker only if the error is an I/O error.
        result.map_err(|error| DataFusionError::IoError(std::io::Error::other(error.to_string())))
    }

    fn collect_plan_metrics(&self) -> Vec<MetricsSet> {
        self.stage.collect_plan_metrics()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hindcast_base::Error;
    use tokio::time::timeout;

    use super::*;

    /// A stage whose tasks end as `end` says.
    struct Ending(fn() -> Result<Vec<ShuffleWritePartition>>);

    impl fmt::Debug for Ending {
        fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("Ending")
        }
    }

    impl Display for Ending {
        fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("Ending")
        }
    }

    #[async_trait]
    impl QueryStageExecutor for Ending {
        async fn execute_query_stage(
            &self,
            _: usize,
            _: Arc<TaskContext>,
        ) -> Result<Vec<ShuffleWritePartition>> {
            (self.0)()
        }

        fn collect_plan_metrics(&self) -> Vec<MetricsSet> {
            Vec::new()
        }
    }

    fn failed() -> Result<Vec<ShuffleWritePartition>> {
        Err(DataFusionError::Execution("no threads".into()))
    }

    fn store_failed() -> Result<Vec<ShuffleWritePartition>> {
        let store = datafusion::object_store::Error::Generic { store: "S3", source: "gone away".into() };
        Err(Error::reading("a")(store).into())
    }

    fn exhausted() -> Result<Vec<ShuffleWritePartition>> {
        Err(DataFusionError::ResourcesExhausted("memory".into()))
    }

    fn succeeded() -> Result<Vec<ShuffleWritePartition>> {
        Ok(Vec::new())
    }

    fn panicked() -> Result<Vec<ShuffleWritePartition>> {
        panic!("no row")
    }

    async fn is_soon(event: impl Future<Output = ()>) -> bool {
        timeout(Duration::from_millis(20), event).await.is_ok()
    }

    async fn run(
        failures: &FailureDetector,
        ends: &[fn() -> Result<Vec<ShuffleWritePartition>>],
    ) -> Vec<String> {
        let mut errors = Vec::new();
        for end in ends {
            let stage = MonitoredStage { stage: Arc::new(Ending(*end)), failures: failures.clone() };
            let result = stage.execute_query_stage(0, Arc::new(TaskContext::default())).await;
            errors.extend(result.err().map(|error| match error {
                DataFusionError::IoError(error) => error.to_string(),
                other => panic!("Ballista would not retry {other}"),
            }));
        }
        errors
    }

    #[tokio::test]
    async fn three_failures_in_a_row_stop_the_worker() {
        let failures = FailureDetector::default();
        run(&failures, &[failed, failed]).await;
        assert!(!is_soon(failures.limit_reached()).await);
        let errors = run(&failures, &[panicked]).await;
        assert!(errors[0].contains("the task panicked"), "{errors:?}");
        assert!(is_soon(failures.limit_reached()).await);
    }

    #[tokio::test]
    async fn a_success_between_failures_keeps_the_worker() {
        let failures = FailureDetector::default();
        run(&failures, &[failed, failed, succeeded, failed, failed]).await;
        assert!(!is_soon(failures.limit_reached()).await);
    }

    #[tokio::test]
    async fn failures_of_a_store_and_of_memory_do_not_count() {
        let failures = FailureDetector::default();
        let errors = run(&failures, &[store_failed, exhausted, store_failed, exhausted]).await;
        assert_eq!(errors.len(), 4);
        assert!(!is_soon(failures.limit_reached()).await);
        // Nor do they start the count again.
        run(&failures, &[failed, store_failed, failed, exhausted, failed]).await;
        assert!(is_soon(failures.limit_reached()).await);
    }
}
