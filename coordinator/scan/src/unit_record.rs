//! The record of a unit: its state and its faults.

use std::collections::BTreeMap;
use std::sync::Arc;

use hindcast_base::error::InputFault;
use hindcast_engine::{KnownState, Manifest, RollupUnit, SameRows, StateFault, StateFolders, UnitStats};
use hindcast_lake::LakeFile;

use super::plan::ScanPlan;
use super::units::is_past;

/// A unit with its state and its faults.
#[derive(Debug)]
pub(super) struct UnitRecord {
    /// The unit, without files that could not be read.
    pub(super) unit: RollupUnit,
    /// State of its rollups: one of each, or several if the state is that of several earlier units with the same rows.
    pub(super) states: Vec<KnownState>,
    /// State of its rows and those of other units together, for rollups that it has no other state of.
    pub(super) shared: BTreeMap<String, SameRows>,
    /// Files that could not be read.
    pub(super) faults: Vec<InputFault>,
    /// Whether any of its state had to be computed.
    pub(super) was_computed: bool,
    /// Stored state that was damaged and had to be computed again.
    pub(super) replaced: Vec<StateFault>,
    /// How often the store failed for this unit.
    pub(super) store_failures: u32,
    /// Files to be tried one by one, because the unit failed for a reason that may lie in any of them.
    pub(super) suspects: Vec<LakeFile>,
    /// Whether they have been tried.
    pub(super) was_probed: bool,
}

impl UnitRecord {
    /// A unit without state.
    pub(super) fn new(unit: RollupUnit) -> Self {
        Self {
            unit,
            states: Vec::new(),
            shared: BTreeMap::new(),
            faults: Vec::new(),
            was_computed: false,
            replaced: Vec::new(),
            store_failures: 0,
            suspects: Vec::new(),
            was_probed: false,
        }
    }

    /// Adds state. Statistics that it has in common with other state of the unit are held once: a scan holds those of all units.
    pub(super) fn add(&mut self, manifests: impl IntoIterator<Item = Manifest>, folders: &StateFolders) {
        for mut manifest in manifests {
            if let Some(same) = self.states.iter().find(|other| other.stats == manifest.stats) {
                manifest.stats = Arc::clone(&same.stats);
            }
            self.states.push(KnownState::of(manifest, folders));
        }
        self.states.shrink_to_fit();
    }

    /// Whether it has the state of all its rollups.
    pub(super) fn is_complete(&self) -> bool {
        self.unit.rollups.iter().all(|id| self.has_state_of(id))
    }

    /// Whether it has the state of a rollup.
    pub(super) fn has_state_of(&self, rollup: &str) -> bool {
        self.states.iter().any(|state| state.rollup() == rollup)
    }

    /// Statistics of its rows, if it has state. All state of a unit comes from the same rows: that of one rollup describes them.
    pub(super) fn stats(&self) -> Option<UnitStats> {
        let rollup = self.states.first()?.rollup();
        let of_rollup = self.states.iter().filter(|state| state.rollup() == rollup);
        of_rollup.map(|state| UnitStats::clone(&state.stats)).reduce(|mut all, more| {
            all.add(&more);
            all
        })
    }
}

/// The records of a plan's units.
#[derive(Debug)]
pub(super) struct PlanRecords {
    /// Units of the window.
    pub(super) of_window: Vec<UnitRecord>,
    /// Units of the time before the window.
    pub(super) past: Vec<UnitRecord>,
}

impl PlanRecords {
    /// Separates the window's records from those of the time before it.
    pub(super) fn of(plan: &ScanPlan, records: Vec<UnitRecord>) -> Self {
        let (past, of_window) = records.into_iter().partition(|record| is_past(&record.unit, plan));
        Self { of_window, past }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_takes_little_memory() {
        // A scan of 180 days of a terabyte has 335,000 of them.
        assert!(size_of::<UnitRecord>() <= 256, "{}", size_of::<UnitRecord>());
    }
}
