//! Reports the progress of a job to its watchers and to metrics.

use std::sync::LazyLock;

use hindcast_engine::UnitFault;
use hindcast_observability::register;
use hindcast_proto::v1::{Job, Progress as JobProgressMessage};
use prometheus::IntCounter;
use tokio::sync::watch;

use crate::cluster::METRICS;
use hindcast_scan::Progress;

fn counter(name: &str, help: &str) -> IntCounter {
    register(IntCounter::new(name, help))
}

static DONE: LazyLock<IntCounter> =
    LazyLock::new(|| counter("hindcast_units_done_total", "Units whose state was computed"));
static CACHED: LazyLock<IntCounter> =
    LazyLock::new(|| counter("hindcast_units_cached_total", "Units whose state was in the cache"));
static FAILED: LazyLock<IntCounter> =
    LazyLock::new(|| counter("hindcast_units_failed_total", "Failed attempts to compute a unit"));
static BYTES: LazyLock<IntCounter> =
    LazyLock::new(|| counter("hindcast_unit_bytes_read_total", "Bytes of the files of units computed"));

/// Registers all metrics, so that they are exported from the start.
pub(crate) fn register_metrics() {
    for counter in [&DONE, &CACHED, &FAILED, &BYTES] {
        LazyLock::force(counter);
    }
    LazyLock::force(&METRICS);
}

pub(super) struct JobProgress(pub(super) watch::Sender<Job>);

impl JobProgress {
    fn change(&self, change: impl FnOnce(&mut JobProgressMessage)) {
        self.0.send_modify(|job| change(job.progress.get_or_insert_default()));
    }
}

impl Progress for JobProgress {
    fn planned(&self, units: u64, bytes: u64) {
        self.change(|progress| (progress.units, progress.bytes) = (units, bytes));
    }

    fn cached(&self, units: u64) {
        CACHED.inc_by(units);
        self.change(|progress| progress.units_cached += units);
    }

    fn unit_done(&self, bytes: u64) {
        DONE.inc();
        BYTES.inc_by(bytes);
        self.change(|progress| {
            progress.units_done += 1;
            progress.bytes_done += bytes;
        });
    }

    fn unit_failed(&self, fault: &UnitFault) {
        FAILED.inc();
        if matches!(fault, UnitFault::Storage { .. } | UnitFault::State(_)) {
            METRICS.retries.with_label_values(&["storage"]).inc();
        }
        tracing::warn!(?fault, "a unit failed");
        self.change(|progress| progress.failures += 1);
    }

    fn merging(&self) {
        self.change(|progress| progress.merging = true);
    }
}
