//! Metrics of tasks, in Prometheus's registry of the process.

use std::sync::LazyLock;

use prometheus::{IntCounterVec, IntGauge, Opts, default_registry};

static RUNNING: LazyLock<IntGauge> =
    LazyLock::new(|| gauge("hindcast_tasks_running", "Tasks under way in this process"));
static ENDED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counters("hindcast_tasks_total", "Tasks that ended in this process, by outcome", &["outcome"])
});

/// A registered gauge.
pub fn gauge(name: &str, help: &str) -> IntGauge {
    register(IntGauge::new(name, help))
}

/// A registered family of counters.
pub fn counters(name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    register(IntCounterVec::new(Opts::new(name, help), labels))
}

/// Names are literals, each registered once: a failure here is a mistake in the source.
#[allow(clippy::expect_used)]
pub fn register<M: prometheus::core::Collector + Clone + 'static>(made: prometheus::Result<M>) -> M {
    let metric = made.expect("a metric's name is valid");
    default_registry().register(Box::new(metric.clone())).expect("a metric is registered once");
    metric
}

/// Counts a task from its start to its end, however it ends.
#[derive(Debug)]
pub struct TaskGuard {
    outcome: &'static str,
}

impl TaskGuard {
    /// A task has started. Until it says otherwise it counts as cancelled.
    pub fn start() -> Self {
        RUNNING.inc();
        Self { outcome: "cancelled" }
    }

    /// It ended well, or not.
    pub fn end(mut self, is_done: bool) {
        self.outcome = if is_done { "done" } else { "failed" };
    }
}

impl Drop for TaskGuard {
    fn drop(&mut self) {
        RUNNING.dec();
        ENDED.with_label_values(&[self.outcome]).inc();
    }
}
