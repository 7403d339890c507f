//! The engine in this process: DataFusion with a memory budget, which spills to disk. It has no server and no ports.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use datafusion::common::exec_datafusion_err;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::StreamExt;
use tokio::sync::Semaphore;

use super::Engine;
use super::memory::Budget;
use super::stage::Stage;
use super::tasks::StageTasks;
use hindcast_base::Result;
use hindcast_lake::Stores;
use hindcast_lake::batch_rows;

/// Concurrent tasks per thread: while a task waits for its slowest rollup, the other task uses the thread.
pub const TASKS_PER_THREAD: usize = 2;
/// Memory per task: with less, fewer tasks run at once, because each holds a dozen groupings and sorts.
const TASK_MEMORY_BYTES: usize = 256 << 20;

/// Limits of the engine in this process.
#[derive(Debug, Clone)]
pub struct LocalOptions {
    /// Number of threads.
    pub threads: usize,
    /// Memory of all groupings, sorts and joins together; beyond it they spill to disk.
    pub memory_bytes: usize,
}

impl LocalOptions {
    /// Number of concurrent tasks.
    pub fn tasks(&self) -> usize {
        (self.threads * TASKS_PER_THREAD).min(self.memory_bytes / TASK_MEMORY_BYTES).max(1)
    }
}

/// A runtime whose tasks share `memory_bytes`, spill to `scratch` (by default the system's temporary folder) and reach any
/// store for which the environment has credentials.
///
/// # Errors
/// [`hindcast_base::Error::Engine`] if it can't be built.
pub fn runtime(memory_bytes: usize, scratch: Option<&Path>) -> Result<Arc<RuntimeEnv>> {
    let mut builder = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(Budget::new(memory_bytes)))
        .with_object_store_registry(Arc::new(Stores::default()));
    if let Some(scratch) = scratch {
        builder = builder.with_temp_file_path(scratch);
    }
    Ok(builder.build_arc()?)
}

/// DataFusion in this process.
pub struct Local {
    session: SessionContext,
    tasks: usize,
    /// One permit per running task, for all stages together: otherwise concurrent stages would need more memory.
    slots: Arc<Semaphore>,
}

impl Local {
    /// An engine that reaches any store for which the environment has credentials.
    ///
    /// # Errors
    /// [`hindcast_base::Error::Engine`] if the runtime can't be built.
    pub fn new(options: &LocalOptions) -> Result<Self> {
        let runtime = runtime(options.memory_bytes, None)?;
        let state = SessionStateBuilder::new()
            .with_config(
                SessionConfig::new()
                    .with_target_partitions(options.threads)
                    .with_batch_size(batch_rows(&runtime)),
            )
            .with_runtime_env(runtime)
            .with_default_features()
            .build();
        let tasks = options.tasks();
        let slots = Arc::new(Semaphore::new(tasks));
        Ok(Self { session: SessionContext::new_with_state(state), tasks, slots })
    }

    /// The memory pool, disk manager and object stores.
    pub fn runtime(&self) -> Arc<RuntimeEnv> {
        self.session.runtime_env()
    }
}

#[async_trait]
impl Engine for Local {
    async fn run(&self, stage: Stage) -> Result<SendableRecordBatchStream> {
        let of_stage = StageTasks::of(stage)?;
        let tasks = of_stage.count();
        let plan = of_stage.plan(&(0..tasks).collect::<Vec<_>>())?;
        let mut outcome = RecordBatchReceiverStreamBuilder::new(of_stage.schema(), self.tasks);
        let next_task = Arc::new(AtomicUsize::new(0));
        for _ in 0..self.tasks.min(tasks) {
            let (plan, next_task, sender) = (Arc::clone(&plan), Arc::clone(&next_task), outcome.tx());
            let (context, slots) = (self.session.task_ctx(), Arc::clone(&self.slots));
            outcome.spawn(async move {
                loop {
                    let task = next_task.fetch_add(1, Ordering::Relaxed);
                    if task >= tasks {
                        return Ok(());
                    }
                    let _slot = slots.acquire().await.map_err(|error| exec_datafusion_err!("{error}"))?;
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
