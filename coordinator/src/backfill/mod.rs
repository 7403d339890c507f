//! A backfill: scans of window after window over the same rollups, of each of which one row is kept.

mod chart;
mod files;
mod row;
mod row_cache;
mod terminal;
mod windows;

use hindcast_common::Result;
use hindcast_common::time::Window;
use serde::{Deserialize, Serialize};

use crate::scan::{Progress, RunOptions, ScanPlan, WindowPlanner, run_scan};

pub use files::{BackfillSummary, write};
pub use row::{SEVERITIES, WindowRow};
pub use terminal::{WindowsBar, print_dry_run, print_result, print_windows};
pub use windows::WindowSeries;

/// The row of a window, and how it came about.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WindowOutcome {
    /// The row.
    pub row: WindowRow,
    /// Whether it was computed now; else it is from earlier, or there was nothing to compute.
    pub was_computed: bool,
}

/// What is to be done for a window.
#[derive(Debug)]
pub struct PlannedWindow {
    /// The window.
    pub window: Window,
    /// Its scan; none where the lake has no file in it.
    pub plan: Option<ScanPlan>,
    /// Whether its row is there from earlier.
    pub is_cached: bool,
}

/// The row of `window`: the one kept in the state where nothing that it depends on has changed, else that of a scan.
///
/// # Errors
/// As [`run_scan`].
pub async fn row_of_window(
    planner: &WindowPlanner,
    window: Window,
    options: &RunOptions<'_>,
    progress: &dyn Progress,
) -> Result<WindowOutcome> {
    match planner.plan(window).await? {
        Some(plan) => row_of_plan(&plan, options, progress).await,
        None => Ok(WindowOutcome { row: WindowRow::without_data(&window), was_computed: false }),
    }
}

async fn row_of_plan(
    plan: &ScanPlan,
    options: &RunOptions<'_>,
    progress: &dyn Progress,
) -> Result<WindowOutcome> {
    let key = row_cache::key(plan, options.config)?;
    if let Some(row) = row_cache::find(options.state, &key).await {
        return Ok(WindowOutcome { row, was_computed: false });
    }
    let result = run_scan(plan, options, progress).await?;
    let row = WindowRow::of(&result);
    // What could not be read may be readable next time.
    if row.complete && result.report.summary.coverage.unread_past().next().is_none() {
        row_cache::store(options.state, &key, &row).await?;
    }
    Ok(WindowOutcome { row, was_computed: true })
}

/// What would be done for `window`.
///
/// # Errors
/// Where a listing fails.
pub async fn preview_window(
    planner: &WindowPlanner,
    window: Window,
    options: &RunOptions<'_>,
) -> Result<PlannedWindow> {
    let plan = planner.plan(window).await?;
    let is_cached = match &plan {
        Some(plan) => row_cache::find(options.state, &row_cache::key(plan, options.config)?).await.is_some(),
        None => false,
    };
    Ok(PlannedWindow { window, plan, is_cached })
}
