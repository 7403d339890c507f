//! Metrics of tasks, in Prometheus's registry of the process.

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
    kind: &'static str,
    outcome: &'static str,
    started: Instant,
}

impl TaskGuard {
    /// A task of that kind, `rollup` or `merge`, has started. Until it says otherwise it counts as cancelled.
    pub fn start(kind: &'static str) -> Self {
        RUNNING.inc();
        Self { kind, outcome: "cancelled", started: Instant::now() }
    }

    /// It ended well, or not.
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
