//! How far a job is, told to those who watch it and to metrics.

use std::sync::LazyLock;

use hindcast_common::engine::UnitFault;
use hindcast_common::observability::register;
use hindcast_proto::v1::{Job, Progress as Told};
use prometheus::IntCounter;
use tokio::sync::watch;

use crate::cluster::METRICS;
use crate::scan::Progress;

fn counter(name: &str, help: &str) -> IntCounter {
    register(IntCounter::new(name, help))
}

static DONE: LazyLock<IntCounter> =
    LazyLock::new(|| counter("hindcast_units_done_total", "Units whose state was computed"));
static CACHED: LazyLock<IntCounter> =
    LazyLock::new(|| counter("hindcast_units_cached_total", "Units whose state was there from earlier"));
static FAILED: LazyLock<IntCounter> =
    LazyLock::new(|| counter("hindcast_units_failed_total", "Attempts at units that failed"));
static BYTES: LazyLock<IntCounter> =
    LazyLock::new(|| counter("hindcast_unit_bytes_read_total", "Bytes of the files of units computed"));

/// Makes all metrics known before anything has happened.
pub(crate) fn register_metrics() {
    for counter in [&DONE, &CACHED, &FAILED, &BYTES] {
        LazyLock::force(counter);
    }
    LazyLock::force(&METRICS);
}

pub(super) struct JobProgress(pub(super) watch::Sender<Job>);

impl JobProgress {
    fn change(&self, change: impl FnOnce(&mut Told)) {
        self.0.send_modify(|job| change(job.progress.get_or_insert_default()));
    }
}

impl Progress for JobProgress {
    fn planned(&self, units: u64, bytes: u64) {
        self.change(|told| (told.units, told.bytes) = (units, bytes));
    }

    fn cached(&self, units: u64) {
        CACHED.inc_by(units);
        self.change(|told| told.units_cached += units);
    }

    fn unit_done(&self, bytes: u64) {
        DONE.inc();
        BYTES.inc_by(bytes);
        self.change(|told| {
            told.units_done += 1;
            told.bytes_done += bytes;
        });
    }

    fn unit_failed(&self, fault: &UnitFault) {
        FAILED.inc();
        if matches!(fault, UnitFault::Storage { .. } | UnitFault::State(_)) {
            METRICS.retries.with_label_values(&["storage"]).inc();
        }
        tracing::warn!(?fault, "a unit failed");
        self.change(|told| told.failures += 1);
    }

    fn merging(&self) {
        self.change(|told| told.merging = true);
    }
}
