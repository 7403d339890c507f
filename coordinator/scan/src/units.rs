//! Divides a plan's files into units, the tasks of a rollup stage.

use hindcast_base::time::Window;
use hindcast_detections::rollups::Rollup;
use hindcast_engine::{RollupUnit, TableRef};
use hindcast_lake::{DateFolder, FileSource, LakeFile};

use serde::Serialize;

use super::listed_units::units_of_date;
use super::plan::{PlannedTable, ScanPlan};

/// Bytes of files that a unit reads: few enough to spread and retry units, enough that the keys of a date, which each of its units
/// groups and stores, are not stored many times. Units are part of the identity of cached state, so they do not depend on threads
/// or workers.
pub(super) const UNIT_BYTES: u64 = 512 << 20;

/// The tables of a plan as tasks open them, and units for all their files, of the window and of the time before it.
pub(super) fn cut(plan: &ScanPlan) -> (Vec<TableRef>, Vec<RollupUnit>) {
    let mut units = Vec::new();
    let mut tables = Vec::new();
    for (index, planned) in plan.tables.iter().enumerate() {
        tables.push(TableRef::of(&planned.table));
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
    (tables, units)
}

/// Files of a unit, and whether the window cuts their rows.
pub(super) type UnitFiles = (Vec<LakeFile>, bool);

/// Units for a folder's files, of the rows in `window`.
fn units_of_folder(
    table: usize,
    planned: &PlannedTable,
    folder: &DateFolder,
    rollups: &[&'static Rollup],
    window: Window,
) -> impl Iterator<Item = RollupUnit> {
    let rollups: Vec<String> = rollups.iter().map(|rollup| rollup.id.to_owned()).collect();
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
        rollups: rollups.clone(),
        selection: None,
    })
}

/// Whether a unit of `plan` is read for the time before the window.
pub(super) fn is_past(unit: &RollupUnit, plan: &ScanPlan) -> bool {
    unit.window.from_us < plan.window.from_us
}

/// The units of a plan as `--dry-run` shows them.
pub fn units_of(plan: &ScanPlan) -> Vec<UnitOutline> {
    let (tables, units) = cut(plan);
    let outline = |unit: &RollupUnit| UnitOutline {
        table: tables[unit.table].name.clone(),
        root: plan.tables[unit.table].table.root.as_deref().map(str::to_owned),
        date: unit.date.to_string(),
        files: unit.files.len(),
        bytes: unit_bytes(unit),
        is_clipped: unit.is_clipped,
        is_past: is_past(unit, plan),
        rollups: unit.rollups.clone(),
    };
    units.iter().map(outline).collect()
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

/// Files in groups of about `most_bytes`, in order; a larger file is divided into ranges.
pub(super) fn groups<'a>(
    files: impl IntoIterator<Item = &'a LakeFile>,
    most_bytes: u64,
) -> Vec<Vec<LakeFile>> {
    let mut groups: Vec<Vec<LakeFile>> = Vec::new();
    let mut open_bytes = most_bytes;
    for part in files.into_iter().flat_map(|file| ranges(file, most_bytes)) {
        let part_bytes = part.range.map_or(part.bytes, |(start, end)| end - start);
        if open_bytes + part_bytes > most_bytes || groups.is_empty() {
            groups.push(Vec::new());
            open_bytes = 0;
        }
        open_bytes += part_bytes;
        if let Some(group) = groups.last_mut() {
            group.push(part);
        }
    }
    groups
}

fn ranges(file: &LakeFile, most_bytes: u64) -> Vec<LakeFile> {
    let parts = file.bytes.div_ceil(most_bytes).max(1);
    if parts == 1 {
        return vec![file.clone()];
    }
    let bound = |part: u64| file.bytes * part / parts;
    (0..parts).map(|part| LakeFile { range: Some((bound(part), bound(part + 1))), ..file.clone() }).collect()
}

/// Bytes a unit reads.
pub(super) fn unit_bytes(unit: &RollupUnit) -> u64 {
    unit.files.iter().map(|file| file.range.map_or(file.bytes, |(start, end)| end - start)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, bytes: u64) -> LakeFile {
        LakeFile::new(path.into(), bytes, None)
    }

    #[test]
    fn small_files_share_a_unit_and_large_ones_are_cut() {
        let files = [file("a", 40 << 20), file("b", 20 << 20), file("c", 10 << 20), file("d", 150 << 20)];
        let cut = groups(&files, 64 << 20);
        let paths: Vec<Vec<&str>> =
            cut.iter().map(|group| group.iter().map(|f| f.path.as_str()).collect()).collect();
        assert_eq!(paths, [vec!["a", "b"], vec!["c", "d"], vec!["d"], vec!["d"]]);
        let covered: Vec<_> = cut.iter().flatten().filter_map(|f| f.range).collect();
        assert_eq!(covered.first().map(|r| r.0), Some(0));
        assert_eq!(covered.last().map(|r| r.1), Some(150 << 20));
        assert!(covered.windows(2).all(|pair| pair[0].1 == pair[1].0));
        assert!(groups(&[], 64 << 20).is_empty());
    }
}
