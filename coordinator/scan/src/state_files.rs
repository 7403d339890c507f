//! The state files of a plan's units, by rollup.

use std::collections::{BTreeMap, BTreeSet};

use hindcast_detections::rollups::Rollup;
use hindcast_engine::{KnownState, LevelFile, StateRead, state_version};
use hindcast_lake::StateFile;
use serde::{Deserialize, Serialize};

use super::analysis_group::AnalysisGroup;
use super::levels::Applicable;
use super::plan::ScanPlan;
use super::unit_record::UnitRecord;
use super::units::is_past;

/// Bytes of stored state in which a task looks for names.
const READ_BYTES: u64 = 16 << 20;

/// State files by rollup.
pub(super) type FilesByRollup = BTreeMap<String, Vec<StateFile>>;

/// The state files of all units.
pub(super) struct StateFiles {
    pub(super) of_window: FilesByRollup,
    /// Combined state of the window, instead of files that are not in `of_window`.
    pub(super) levels: BTreeMap<String, Vec<LevelFile>>,
    /// State of the time before the window, of the rollups that analyses look back at.
    pub(super) past: FilesByRollup,
}

impl StateFiles {
    /// The files in `records`, or levels instead of those that they combine. A rollup without any has an empty list.
    pub(super) fn of(plan: &ScanPlan, records: &[UnitRecord], levels: &Applicable<'_>) -> Self {
        let none_of = |rollup: &&Rollup| (rollup.id.to_owned(), Vec::new());
        let of_window = plan.tables.iter().flat_map(|planned| &planned.rollups);
        let past = plan.tables.iter().flat_map(|planned| &planned.past).flat_map(|past| &past.rollups);
        let mut state = Self {
            of_window: of_window.map(none_of).collect(),
            levels: BTreeMap::new(),
            past: past.map(none_of).collect(),
        };
        for record in records {
            let is_past = is_past(&record.unit, plan);
            let table = plan.tables.get(record.unit.table).map_or("", |planned| planned.table.spec.name);
            let files = if is_past { &mut state.past } else { &mut state.of_window };
            for known in &record.states {
                let is_combined = || !is_past && levels.have(table, known.rollup(), record.unit.date);
                if let Some(files) = files.get_mut(known.rollup()).filter(|_| !is_combined()) {
                    files.extend(known.file());
                }
            }
        }
        let with_levels = |rollup: &String| Some((rollup.clone(), levels.files(rollup)?));
        state.levels = state.of_window.keys().filter_map(with_levels).collect();
        state
    }

    /// Bytes that the analyses of a group read.
    pub(super) fn bytes(&self, group: &AnalysisGroup) -> u64 {
        let files = self.of_window.iter().chain(&self.past).filter(|(id, _)| group.reads(id));
        let levels = self.levels.iter().filter(|(id, _)| group.reads(id));
        let of_levels: u64 = levels.flat_map(|(_, parts)| parts).map(|part| part.file.bytes).sum();
        of_levels + files.flat_map(|(_, files)| files).map(|file| file.bytes).sum::<u64>()
    }

    /// The files of the window that every task of a group reads, and the parts of levels of which each task reads its own.
    pub(super) fn inputs(&self, group: &AnalysisGroup) -> (FilesByRollup, BTreeMap<String, Vec<LevelFile>>) {
        let mut files = read_by(group, &self.of_window);
        let mut levels = BTreeMap::new();
        for (rollup, parts) in self.levels.iter().filter(|(id, _)| group.reads(id)) {
            if group.may_read_whole(rollup) {
                let whole = parts.iter().map(|part| part.file.clone());
                files.entry(rollup.clone()).or_default().extend(whole);
            } else {
                levels.insert(rollup.clone(), parts.clone());
            }
        }
        (files, levels)
    }
}

/// The files that a group reads.
pub(super) fn read_by(group: &AnalysisGroup, files: &FilesByRollup) -> FilesByRollup {
    let read = files.iter().filter(|(id, _)| group.reads(id));
    read.map(|(id, files)| (id.clone(), files.clone())).collect()
}

/// The state files of some rollups, of the window and of the time before it, divided into tasks.
pub(super) fn reads_of(records: &[UnitRecord], rollups: &BTreeSet<&str>) -> Vec<StateRead> {
    let mut reads: Vec<StateRead> = Vec::new();
    for rollup in rollups {
        let mut open_bytes = READ_BYTES;
        let states = records.iter().flat_map(|record| &record.states);
        let own = states.filter(|state| state.rollup() == *rollup);
        for file in own.filter_map(KnownState::file) {
            if open_bytes >= READ_BYTES {
                reads.push(StateRead { rollup: (*rollup).to_owned(), files: Vec::new() });
                open_bytes = 0;
            }
            open_bytes += file.bytes;
            if let Some(read) = reads.last_mut() {
                read.files.push(file);
            }
        }
    }
    reads
}

/// The state files of a rollup from which a scan was computed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RollupFiles {
    /// The rollup.
    pub rollup: String,
    /// The definition and versions behind it, see [`state_version`].
    pub made_by: String,
    /// Its files.
    pub files: Vec<StateFile>,
}

/// The state of a rollup from which a scan was computed, without the list of its files.
#[derive(Debug)]
pub struct UsedRollup {
    rollup: String,
    made_by: String,
    states: Vec<KnownState>,
}

impl UsedRollup {
    /// Its files.
    pub fn files(&self) -> RollupFiles {
        let files = self.states.iter().filter_map(KnownState::file).collect();
        RollupFiles { rollup: self.rollup.clone(), made_by: self.made_by.clone(), files }
    }
}

/// The state of the window, by rollup.
pub(super) fn used_rollups(plan: &ScanPlan, records: Vec<UnitRecord>) -> Vec<UsedRollup> {
    let planned = plan.tables.iter().flat_map(|planned| &planned.rollups);
    let mut by_rollup: BTreeMap<String, Vec<KnownState>> =
        planned.map(|rollup| (rollup.id.to_owned(), Vec::new())).collect();
    for state in records.into_iter().flat_map(|record| record.states) {
        if let Some(states) = by_rollup.get_mut(state.rollup()) {
            states.push(state);
        }
    }
    let of_rollup = |(rollup, states): (String, Vec<KnownState>)| {
        let made_by = state_version(plan.detections.rollup(&rollup)?);
        Some(UsedRollup { rollup, made_by, states })
    };
    by_rollup.into_iter().filter_map(of_rollup).collect()
}
