//! What a scan reads of the time before its window, for analyses that look back.

use hindcast_base::Result;
use hindcast_base::time::{Window, date_of_us, date_start_us};
use hindcast_detections::analyses::Analysis;
use hindcast_detections::config::Config;
use hindcast_detections::rollups::Rollup;
use hindcast_lake::{DateFolder, LakeTable};

use super::plan::PlannedTable;

/// What a scan reads of a table of the time before the window.
#[derive(Debug, Clone)]
pub struct PlannedPast {
    /// That time, which ends where the window starts.
    pub window: Window,
    /// The table's folders of that time.
    pub folders: Vec<DateFolder>,
    /// The rollups that their files feed.
    pub rollups: Vec<&'static Rollup>,
}

/// What `analyses` look back at in `table` for a scan of `window`; none if they do not look back.
///
/// # Errors
/// [`hindcast_base::Error::Storage`] if a listing fails.
pub(super) async fn past_of(
    table: &LakeTable,
    rollups: &[&'static Rollup],
    analyses: &[&'static Analysis],
    config: &Config,
    window: &Window,
) -> Result<Option<PlannedPast>> {
    let mut start_us = window.from_us;
    let mut looked_at: Vec<&'static Rollup> = Vec::new();
    for analysis in analyses {
        let Some(look_back) = &analysis.look_back else { continue };
        let own = rollups.iter().filter(|rollup| look_back.rollups.contains(&rollup.id));
        let own: Vec<_> = own.filter(|own| !looked_at.iter().any(|known| known.id == own.id)).collect();
        let own_start_us = analysis.looks_back_to(config, window.from_us)?;
        if let Some(own_start_us) = own_start_us.filter(|_| !own.is_empty()) {
            start_us = start_us.min(own_start_us);
            looked_at.extend(own);
        }
    }
    if start_us >= window.from_us {
        return Ok(None);
    }
    // It starts at midnight: state of whole dates serves other windows too.
    let past = Window::new(date_start_us(date_of_us(start_us)), window.from_us)?;
    Ok(Some(PlannedPast { window: past, folders: table.folders(&past).await?, rollups: looked_at }))
}

impl PlannedPast {
    /// The rows that are read from a folder: those before the window. If the window itself does not read the folder, rows of the
    /// window count too, as in a longer scan.
    pub(super) fn rows_of(&self, folder: &DateFolder, planned: &PlannedTable, window: &Window) -> Window {
        let is_read = planned.folders.iter().any(|own| own.date == folder.date);
        if is_read { self.window } else { Window { to_us: window.to_us, ..self.window } }
    }
}
