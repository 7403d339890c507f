//! The terminal output of a backfill: before, during and after.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::Path;
use std::time::Duration;

use hindcast_base::format::{counted, format_bytes, format_elapsed};
use hindcast_base::time::format_micros;
use hindcast_engine::UnitFault;
use hindcast_scan::Progress;
use indicatif::{ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use super::files::BackfillSummary;
use super::row::WindowRow;
use super::windows::{WindowSeries, format_length};
use super::{PlannedWindow, WindowOutcome};

/// Windows shown, those of the highest risk; all are in backfill.jsonl.
const SHOWN_WINDOWS: usize = 10;
/// Incomplete windows shown.
const SHOWN_GAPS: usize = 5;

/// Prints the number and span of the windows.
pub fn print_windows(series: &WindowSeries) {
    let windows = series.windows();
    println!(
        "windows   {} of {}, every {}, in {} to {}",
        windows.len(),
        format_length(series.length_us),
        format_length(series.step_us),
        format_micros(series.span.from_us),
        format_micros(series.span.to_us)
    );
    let left_over_us = series.left_over_us();
    if left_over_us > 0 {
        println!("          the last {} do not fill a window", format_length(left_over_us));
    }
}

/// What a dry run shows of a window.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct WindowPreview {
    /// First instant.
    pub from: String,
    /// First instant after it.
    pub to: String,
    /// Files that lie in it.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// `no file`, `cached` or `to compute`.
    pub status: &'static str,
}

impl From<&PlannedWindow> for WindowPreview {
    fn from(planned: &PlannedWindow) -> Self {
        let PlannedWindow { window, plan, is_cached } = planned;
        let sizes = plan.iter().flat_map(|plan| &plan.tables).map(|planned| planned.size());
        let (files, bytes) = sizes.fold((0, 0), |(files, bytes), more| (files + more.0, bytes + more.1));
        let status = match (plan, is_cached) {
            (None, _) => "no file",
            (Some(_), true) => "cached",
            (Some(_), false) => "to compute",
        };
        Self { from: format_micros(window.from_us), to: format_micros(window.to_us), files, bytes, status }
    }
}

/// Prints what would be computed.
pub fn print_dry_run(series: &WindowSeries, windows: &[PlannedWindow]) {
    print_windows(series);
    for WindowPreview { from, to, files, bytes, status } in windows.iter().map(WindowPreview::from) {
        println!("  {from} to {to}  {files:>5} files, {:>10}: {status}", format_bytes(bytes));
    }
}

/// Prints the results of the windows and where the files are.
pub fn print_result(outcomes: &[WindowOutcome], summary: &BackfillSummary, out: &Path, elapsed: Duration) {
    let rows: Vec<&WindowRow> = outcomes.iter().map(|outcome| &outcome.row).collect();
    let mut by_risk: Vec<(u64, &WindowRow)> =
        rows.iter().filter_map(|row| Some((row.assessed()?.0, *row))).collect();
    by_risk.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
    println!();
    for (score, row) in by_risk.iter().take(SHOWN_WINDOWS) {
        let suites: Vec<String> =
            row.suites.iter().map(|(suite, scored)| format!("{suite} {}", scored.score)).collect();
        println!(
            "{}  risk {score:>3}  {:<6}  {}; {}, {}",
            row.from,
            row.level_name(),
            suites.join(", "),
            counted(row.all_findings(), "finding"),
            counted(row.incidents, "incident")
        );
    }
    if by_risk.len() > SHOWN_WINDOWS {
        println!("and {} more with a lower risk, in backfill.jsonl", by_risk.len() - SHOWN_WINDOWS);
    }
    let levels: Vec<String> =
        summary.levels.iter().map(|(level, count)| format!("{count} {level}")).collect();
    summary.versions.iter().for_each(|version| println!("version       {version}"));
    println!("levels        {}", if levels.is_empty() { "none".to_owned() } else { levels.join(", ") });
    if summary.windows_without_data > 0 {
        println!("without data  {}", counted(summary.windows_without_data as u64, "window"));
    }
    let (complete, gaps): (Vec<&WindowRow>, Vec<&WindowRow>) = rows.iter().partition(|row| row.complete);
    print_reasons("INCOMPLETE   ", "", &gaps);
    let is_lacking = |row: &&WindowRow| row.risk.is_some() && row.reason.is_some();
    let lacking: Vec<&WindowRow> = complete.into_iter().filter(is_lacking).collect();
    let (lacking, quiet): (Vec<_>, Vec<_>) = lacking.into_iter().partition(|row| row.assessed().is_some());
    print_reasons("missing files", " without a file of a table that the lake has", &lacking);
    print_reasons("not assessed ", " without data to look at", &quiet);
    let disabled: BTreeMap<&String, &String> = rows.iter().flat_map(|row| &row.disabled).collect();
    for (analysis, reason) in disabled {
        println!("disabled      {analysis}: {reason}");
    }
    let computed = outcomes.iter().filter(|outcome| outcome.was_computed).count();
    println!(
        "{computed} of {} windows computed in {}, {} cached",
        outcomes.len(),
        format_elapsed(elapsed),
        outcomes.len() - computed - summary.windows_without_data
    );
    println!("results in {}", out.display());
}

/// Prints the number of rows, and the reasons of the first ones; nothing if there are none.
fn print_reasons(title: &str, what: &str, rows: &[&WindowRow]) {
    if !rows.is_empty() {
        println!("{title} {}{what}", counted(rows.len() as u64, "window"));
    }
    for row in rows.iter().take(SHOWN_GAPS) {
        println!("  {}  {}", row.from, row.reason.as_deref().unwrap_or_default());
    }
}

/// A progress bar that counts windows; hidden if standard error is no terminal.
pub struct WindowsBar {
    bar: indicatif::ProgressBar,
}

impl WindowsBar {
    /// A bar for `windows` windows; visible only if `is_wanted` and standard error is a terminal.
    pub fn new(windows: usize, is_wanted: bool) -> Self {
        let target = match is_wanted && std::io::stderr().is_terminal() {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        };
        let bar = indicatif::ProgressBar::with_draw_target(Some(windows as u64), target);
        if let Ok(style) = ProgressStyle::with_template("{bar:32} {pos} of {len} windows, {eta} left") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Self { bar }
    }

    /// A window is done.
    pub fn done(&self) {
        self.bar.inc(1);
    }

    /// Removes the bar.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// Only faults of a window's scan are logged.
impl Progress for WindowsBar {
    fn planned(&self, _: u64, _: u64) {}

    fn cached(&self, _: u64) {}

    fn unit_done(&self, _: u64) {}

    fn unit_failed(&self, fault: &UnitFault) {
        tracing::debug!(?fault, "unit failed");
    }

    fn merging(&self) {}
}

#[cfg(test)]
mod tests {
    use hindcast_base::time::Window;

    use super::*;

    #[test]
    fn a_window_without_files_has_a_preview() {
        let window = Window::new(0, 86_400_000_000).unwrap();
        let preview = WindowPreview::from(&PlannedWindow { window, plan: None, is_cached: false });
        let (from, to) = ("1970-01-01T00:00:00Z".to_owned(), "1970-01-02T00:00:00Z".to_owned());
        assert_eq!(preview, WindowPreview { from, to, files: 0, bytes: 0, status: "no file" });
    }
}
