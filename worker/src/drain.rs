//! Stops a worker without losing work: it takes no more tasks, finishes the running ones and waits until their results are fetched.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ballista_executor::executor::{Executor, TasksDrainedFuture};
use tokio::sync::Semaphore;

/// Time after the last task ends in which its result is reported and fetched: a worker without a free slot reports
/// every 5 s, and the coordinator fetches a reported result at once.
const LAST_FETCH: Duration = Duration::from_secs(8);

/// Whether a worker is draining.
#[derive(Debug, Clone, Default)]
pub(crate) struct DrainFlag(Arc<AtomicBool>);

impl DrainFlag {
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Drains a worker: waits for its running tasks and their results.
pub(crate) struct Drain {
    slots: Arc<Semaphore>,
    slot_count: usize,
    executor: Arc<Executor>,
    flag: DrainFlag,
}

impl Drain {
    pub fn new(slots: Arc<Semaphore>, slot_count: usize, executor: Arc<Executor>) -> Self {
        Self { slots, slot_count, executor, flag: DrainFlag::default() }
    }

    pub fn flag(&self) -> DrainFlag {
        self.flag.clone()
    }

    /// Returns once all tasks have ended and their results had time to be fetched, or after `timeout`.
    pub async fn run(&self, timeout: Duration) {
        self.flag.0.store(true, Ordering::Relaxed);
        let had_tasks = self.executor.active_task_count() > 0;
        let ended = async {
            // The worker does not offer slots that are taken here. The last slot is free once the last task has ended.
            let _slots = self.slots.acquire_many(self.slot_count as u32).await;
            TasksDrainedFuture(Arc::clone(&self.executor)).await;
            if had_tasks {
                tokio::time::sleep(LAST_FETCH).await;
            }
        };
        if tokio::time::timeout(timeout, ended).await.is_err() {
            let left = self.executor.active_task_count();
            tracing::warn!(tasks = left, "stopped before all tasks ended: other workers run them again");
        }
    }
}
