//! Progress bars of scans, on standard error.

use std::cell::Cell;
use std::io::IsTerminal;
use std::time::Duration;

use hindcast_engine::UnitFault;
use hindcast_proto::v1::Job;
use hindcast_scan::{PlanOutline, Progress};
use hindcast_server::jobs::format_progress;
use indicatif::{ProgressDrawTarget, ProgressStyle};

use super::print_plan;

/// A bar of the bytes read. It is hidden if standard error is not a terminal.
pub struct ProgressBar {
    bar: indicatif::ProgressBar,
}

impl ProgressBar {
    /// A bar that is drawn if `is_shown` and standard error is a terminal.
    pub fn new(is_shown: bool) -> Self {
        let target = if is_shown && std::io::stderr().is_terminal() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = indicatif::ProgressBar::with_draw_target(None, target);
        let template = "{bar:32} {binary_bytes} of {binary_total_bytes}, {msg}, {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self { bar }
    }

    /// Shows how many bytes are done.
    pub fn set_bytes(&self, done: u64, total: u64) {
        self.bar.set_length(total);
        self.bar.set_position(done);
    }

    /// Removes the bar.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Progress for ProgressBar {
    fn planned(&self, units: u64, bytes: u64) {
        self.bar.set_length(bytes);
        self.bar.set_message(format!("{units} units"));
        self.bar.enable_steady_tick(Duration::from_millis(200));
    }

    fn cached(&self, _: u64) {}

    fn unit_failed(&self, fault: &UnitFault) {
        tracing::debug!(?fault, "unit failed");
    }

    fn unit_done(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    fn merging(&self) {
        self.bar.set_message("merging");
    }
}

/// The bar of a job on a coordinator.
pub struct JobBar {
    bar: indicatif::ProgressBar,
    is_planned: Cell<bool>,
    is_shown: bool,
}

impl JobBar {
    /// A bar that is drawn if `is_shown` and standard error is a terminal.
    pub fn new(is_shown: bool) -> Self {
        Self { bar: ProgressBar::new(is_shown).bar, is_planned: Cell::new(false), is_shown }
    }

    /// Draws the progress of a job. Prints its plan once, as soon as the job has one.
    pub fn show(&self, job: &Job) {
        if self.is_shown
            && let Some(plan) = &job.plan
            && !self.is_planned.replace(true)
        {
            print_plan(&PlanOutline::of_message(plan));
            self.bar.enable_steady_tick(Duration::from_millis(200));
        }
        let progress = job.progress.unwrap_or_default();
        self.bar.set_length(progress.bytes);
        self.bar.set_position(progress.bytes_done);
        self.bar.set_message(format_progress(job));
    }

    /// Removes the bar.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
