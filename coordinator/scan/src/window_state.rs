//! The state of a window by rollup and date. Lists of state files are made when they are needed: all of them would take more memory
//! than what is known of the units.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::NaiveDate;
use hindcast_base::Result;
use hindcast_engine::{KnownState, hash_of};
use hindcast_lake::StateFile;

use super::plan::ScanPlan;
use super::unit_record::UnitRecord;
use super::units::is_past;

/// Hashes of the lists of state files of a rollup, by date.
pub(super) type DateHashes = BTreeMap<NaiveDate, String>;

/// The units of a window by date.
pub(super) struct WindowState<'r> {
    records: &'r [UnitRecord],
    /// Places of the units of each date.
    by_date: BTreeMap<NaiveDate, Vec<usize>>,
    /// The dates of the units that feed each rollup.
    dates: BTreeMap<&'r str, BTreeSet<NaiveDate>>,
    /// Hashes by rollup: several groups of analyses read the same rollup.
    hashes: Mutex<BTreeMap<String, Arc<DateHashes>>>,
}

impl<'r> WindowState<'r> {
    /// The state of the units of the window in `records`.
    pub(super) fn of(plan: &ScanPlan, records: &'r [UnitRecord]) -> Self {
        let mut state =
            Self { records, by_date: BTreeMap::new(), dates: BTreeMap::new(), hashes: Mutex::default() };
        let mut last = None;
        for (place, record) in records.iter().enumerate().filter(|(_, record)| !is_past(&record.unit, plan)) {
            let unit = &record.unit;
            state.by_date.entry(unit.date).or_default().push(place);
            // Nearly all units have the same rollups as the one before.
            if last.replace((Arc::as_ptr(&unit.rollups), unit.date))
                != Some((Arc::as_ptr(&unit.rollups), unit.date))
            {
                for rollup in unit.rollups.iter() {
                    state.dates.entry(rollup).or_default().insert(unit.date);
                }
            }
        }
        state
    }

    /// The rollups that units feed, each with their dates.
    pub(super) fn dates(&self) -> impl Iterator<Item = (&'r str, &BTreeSet<NaiveDate>)> {
        self.dates.iter().map(|(rollup, dates)| (*rollup, dates))
    }

    /// The state files of a rollup at a date, in an order that does not depend on that of units.
    pub(super) fn files(&self, rollup: &str, date: NaiveDate) -> Vec<StateFile> {
        let places = self.by_date.get(&date).into_iter().flatten();
        let records = places.filter_map(|place| self.records.get(*place));
        let of_rollup = |record: &UnitRecord| record.unit.rollups.iter().any(|id| id == rollup);
        let states = records.filter(|record| of_rollup(record)).flat_map(|record| &record.states);
        let own = states.filter(|state| state.rollup() == rollup);
        let mut files: Vec<StateFile> = own.filter_map(KnownState::file).collect();
        files.sort_by(|left, right| left.path.cmp(&right.path));
        files
    }

    /// The hash of the list of state files at each date of a rollup.
    ///
    /// # Errors
    /// If a list can't be written as JSON.
    pub(super) fn hashes(&self, rollup: &str) -> Result<Arc<DateHashes>> {
        let mut hashes = self.hashes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = hashes.get(rollup) {
            return Ok(Arc::clone(known));
        }
        let dates = self.dates.get(rollup).into_iter().flatten();
        let of_date = |date: &NaiveDate| Ok((*date, hash_of(&self.files(rollup, *date))?));
        let new: Arc<DateHashes> = Arc::new(dates.map(of_date).collect::<Result<_>>()?);
        hashes.insert(rollup.to_owned(), Arc::clone(&new));
        Ok(new)
    }
}
