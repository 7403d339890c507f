//! The engine in this process: DataFusion with a memory budget that spills to disk. No server, no ports.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::physical_plan::{ExecutionPlanProperties, SendableRecordBatchStream};
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::StreamExt;

use super::Engine;
use super::plan::JobPlanner;
use super::session::batch_rows;
use crate::Result;
use crate::catalog::Location;

/// Tasks under way for each thread: a task waits for its slowest rollup, and the other task then has the thread.
const TASKS_PER_THREAD: usize = 2;
/// Memory a task should have to itself: with less, fewer tasks run at once, since each holds a dozen groupings and sorts.
const TASK_MEMORY_BYTES: usize = 64 << 20;

/// What the embedded engine may use.
#[derive(Debug, Clone)]
pub struct LocalOptions {
    /// Threads to keep busy.
    pub threads: usize,
    /// Bytes that grouping, sorting and joining may hold together; beyond them they spill to disk.
    pub memory_bytes: usize,
}

/// DataFusion in this process.
pub struct Local {
    session: SessionContext,
    tasks: usize,
}

impl Local {
    /// An engine that reaches the stores of `locations`.
    ///
    /// # Errors
    /// [`crate::Error::Engine`] where the runtime can't be built, [`crate::Error::Config`] for a location without root.
    pub fn new(options: &LocalOptions, locations: &[&Location]) -> Result<Self> {
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(FairSpillPool::new(options.memory_bytes)))
            .build_arc()?;
        let state = SessionStateBuilder::new()
            .with_config(
                SessionConfig::new()
                    .with_target_partitions(options.threads)
                    .with_batch_size(batch_rows(&runtime)),
            )
            .with_runtime_env(runtime)
            .with_default_features()
            .with_query_planner(Arc::new(JobPlanner))
            .build();
        let tasks = (options.threads * TASKS_PER_THREAD).min(options.memory_bytes / TASK_MEMORY_BYTES).max(1);
        let engine = Self { session: SessionContext::new_with_state(state), tasks };
        for location in locations {
            engine.reach(location)?;
        }
        Ok(engine)
    }

    /// Makes the store of `location` reachable for tasks.
    ///
    /// # Errors
    /// [`crate::Error::Config`] for a location without root.
    pub fn reach(&self, location: &Location) -> Result<()> {
        let root = location.store_url()?;
        self.runtime().register_object_store(root.as_ref(), Arc::clone(location.store()));
        Ok(())
    }

    /// The memory pool, disk manager and object stores.
    pub fn runtime(&self) -> Arc<RuntimeEnv> {
        self.session.runtime_env()
    }
}

#[async_trait]
impl Engine for Local {
    async fn run(&self, plan: LogicalPlan) -> Result<SendableRecordBatchStream> {
        let plan = self.session.state().create_physical_plan(&plan).await?;
        let tasks = plan.output_partitioning().partition_count();
        let mut outcome = RecordBatchReceiverStreamBuilder::new(plan.schema(), self.tasks);
        let next_task = Arc::new(AtomicUsize::new(0));
        for _ in 0..self.tasks.min(tasks) {
            let (plan, next_task, sender) = (Arc::clone(&plan), Arc::clone(&next_task), outcome.tx());
            let context = self.session.task_ctx();
            outcome.spawn(async move {
                loop {
                    let task = next_task.fetch_add(1, Ordering::Relaxed);
                    if task >= tasks {
                        return Ok(());
                    }
                    let mut batches = plan.execute(task, Arc::clone(&context))?;
                    while let Some(batch) = batches.next().await {
                        if sender.send(batch).await.is_err() {
                            return Ok(());
                        }
                    }
                }
            });
        }
        Ok(outcome.build())
    }
}
