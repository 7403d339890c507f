//! Divides a plan's files into units, the tasks of a rollup stage.

use std::sync::Arc;

use hindcast_base::time::Window;
use hindcast_detections::rollups::Rollup;
use hindcast_engine::{RollupUnit, UNIT_BYTES, UnitFiles, groups, units_of_date};
use hindcast_lake::{DateFolder, FileSource};

use serde::Serialize;

use super::plan::{PlannedTable, ScanPlan};

/// Units for all files of a plan, of the window and of the time before it.
pub(super) fn cut(plan: &ScanPlan) -> Vec<RollupUnit> {
    let mut units = Vec::new();
    for (index, planned) in plan.tables.iter().enumerate() {
        if let Some(past) = &planned.past {
            for folder in &past.folders {
                let rows = past.rows_of(folder, planned, &plan.window);
                units.extend(units_of_folder(index, planned, folder, &past.rollups, rows));
            }
        }
        for folder in &planned.folders {
            units.extend(units_of_folder(index, planned, folder, &planned.rollups, plan.window));
        }
    }
    units
}

/// Units for a folder's files, of the rows in `window`.
fn units_of_folder(
    table: usize,
    planned: &PlannedTable,
    folder: &DateFolder,
    rollups: &[&'static Rollup],
    window: Window,
) -> impl Iterator<Item = RollupUnit> {
    let rollups: Arc<Vec<String>> = Arc::new(rollups.iter().map(|rollup| rollup.id.to_owned()).collect());
    let date = folder.date;
    let divided: Vec<UnitFiles> = match &planned.table.source {
        FileSource::Folders(_) => {
            let is_clipped = !window.covers_date(date);
            groups(&folder.files, UNIT_BYTES).into_iter().map(|files| (files, is_clipped)).collect()
        }
        // Which files share a unit does not depend on the window.
        FileSource::Listed(listed) => {
            units_of_date(date, listed.by_date.get(&date).unwrap_or(&folder.files), &window)
        }
    };
    divided.into_iter().map(move |(files, is_clipped)| RollupUnit {
        table,
        date,
        files,
        window,
        is_clipped,
        rollups: Arc::clone(&rollups),
        selection: None,
    })
}

/// Whether a unit of `plan` is read for the time before the window.
pub(super) fn is_past(unit: &RollupUnit, plan: &ScanPlan) -> bool {
    unit.window.from_us < plan.window.from_us
}

/// The units of a plan as `--dry-run` shows them.
pub fn units_of(plan: &ScanPlan) -> Vec<UnitOutline> {
    let outline = |unit: &RollupUnit| UnitOutline {
        table: plan.tables[unit.table].table.spec.name.to_owned(),
        root: plan.tables[unit.table].table.root.as_deref().map(str::to_owned),
        date: unit.date.to_string(),
        files: unit.files.len(),
        bytes: unit_bytes(unit),
        is_clipped: unit.is_clipped,
        is_past: is_past(unit, plan),
        rollups: unit.rollups.to_vec(),
    };
    cut(plan).iter().map(outline).collect()
}

/// A unit: files of one table and date that a task reads once for all rollups of the table.
#[derive(Debug, Serialize)]
pub struct UnitOutline {
    /// The table.
    pub table: String,
    /// Its root, if the lake has several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
    /// The date of its folder.
    pub date: String,
    /// Files, or parts of one.
    pub files: usize,
    /// Bytes of them.
    pub bytes: u64,
    /// Whether the window cuts the date, so that the state serves only this window.
    pub is_clipped: bool,
    /// Whether it is read for the time before the window, at which some analyses look back.
    pub is_past: bool,
    /// The rollups that are computed.
    pub rollups: Vec<String>,
}

/// Bytes a unit reads.
pub(super) fn unit_bytes(unit: &RollupUnit) -> u64 {
    unit.files.iter().map(|file| file.range.map_or(file.bytes, |(start, end)| end - start)).sum()
}
