//! A backfill: scans of window after window over the same rollups, with one row of results per window.

mod chart;
mod files;
mod row;
mod row_cache;
mod terminal;
mod windows;

use hindcast_base::Result;
use hindcast_base::time::Window;
use hindcast_scan::{Progress, ReadVersion, RunOptions, ScanPlan, WindowPlanner, run_plan};
use serde::{Deserialize, Serialize};

pub use files::{BackfillSummary, write};
pub use row::{SEVERITIES, WindowRow};
pub use terminal::{WindowPreview, WindowsBar, print_dry_run, print_result, print_windows};
pub use windows::WindowSeries;

/// The row of a window, and whether it was computed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WindowOutcome {
    /// The row.
    pub row: WindowRow,
    /// Whether it was computed now; otherwise it is cached, or there was nothing to compute.
    pub was_computed: bool,
}

/// The plan for a window.
#[derive(Debug)]
pub struct PlannedWindow {
    /// The window.
    pub window: Window,
    /// Its scan; none if the lake has no file in it.
    pub plan: Option<ScanPlan>,
    /// Whether its row is cached.
    pub is_cached: bool,
}

/// The row of `window`: the cached one if nothing that it depends on has changed, else that of a new scan.
///
/// # Errors
/// As [`run_plan`].
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
    let versions = ReadVersion::all_of(plan);
    if let Some(row) = row_cache::find(options.state, &key).await {
        return Ok(WindowOutcome { row: WindowRow { versions, ..row }, was_computed: false });
    }
    let result = run_plan(plan, options, progress).await?;
    let row = WindowRow::of(&result);
    // What could not be read may be readable next time.
    if row.complete && result.report.summary.coverage.unread_past().next().is_none() {
        row_cache::store(options.state, &key, &row).await?;
    }
    Ok(WindowOutcome { row: WindowRow { versions, ..row }, was_computed: true })
}

/// What a backfill would do for `window`.
///
/// # Errors
/// If a listing fails.
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
