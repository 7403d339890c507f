//! Metrics of tasks, in the process's Prometheus registry.

use std::sync::LazyLock;
use std::time::Instant;

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGauge, Opts, default_registry};

static RUNNING: LazyLock<IntGauge> =
    LazyLock::new(|| gauge("hindcast_tasks_running", "Tasks under way in this process"));
static ENDED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counters("hindcast_tasks_total", "Tasks that ended in this process, by outcome", &["outcome"])
});
static SECONDS: LazyLock<HistogramVec> = LazyLock::new(|| {
    let options = HistogramOpts::new("hindcast_task_seconds", "Time of tasks that ended well, by kind");
    let bounds = prometheus::exponential_buckets(0.03, 3.0, 9);
    register(bounds.and_then(|bounds| HistogramVec::new(options.buckets(bounds), &["kind"])))
});

/// A registered gauge.
pub fn gauge(name: &str, help: &str) -> IntGauge {
    register(IntGauge::new(name, help))
}

/// A registered family of counters.
pub fn counters(name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    register(IntCounterVec::new(Opts::new(name, help), labels))
}

/// Registers a metric. Names are literals and each is registered once, so a failure is a mistake in the source.
#[allow(clippy::expect_used)]
pub fn register<M: prometheus::core::Collector + Clone + 'static>(made: prometheus::Result<M>) -> M {
    let metric = made.expect("a metric's name is valid");
    default_registry().register(Box::new(metric.clone())).expect("a metric is registered once");
    metric
}

/// Counts a task from its start to its end, however it ends.
#[derive(Debug)]
pub struct TaskGuard {
    kind: &'static str,
    outcome: &'static str,
    started: Instant,
}

impl TaskGuard {
    /// Starts a task of that kind, `rollup` or `merge`. Without a call of [`TaskGuard::end`] it counts as cancelled.
    pub fn start(kind: &'static str) -> Self {
        RUNNING.inc();
        Self { kind, outcome: "cancelled", started: Instant::now() }
    }

    /// Ends the task, as done or as failed.
    pub fn end(mut self, is_done: bool) {
        self.outcome = if is_done { "done" } else { "failed" };
        let elapsed = self.started.elapsed();
        if is_done {
            SECONDS.with_label_values(&[self.kind]).observe(elapsed.as_secs_f64());
        }
        tracing::debug!(kind = self.kind, is_done, elapsed_ms = elapsed.as_millis() as u64, "task ended");
    }
}

impl Drop for TaskGuard {
    fn drop(&mut self) {
        RUNNING.dec();
        ENDED.with_label_values(&[self.outcome]).inc();
    }
}
