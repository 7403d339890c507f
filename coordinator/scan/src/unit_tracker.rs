//! Tracks the units of a scan: finds their committed state, computes what is missing, and decides how to proceed after failures.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::try_join_all;
use futures::{StreamExt, TryStreamExt, stream};
use hindcast_base::error::InputFault;
use hindcast_base::retry::{UNITS, with_retries};
use hindcast_base::storage_fault::StorageOperation;
use hindcast_base::{Error, Result};
use hindcast_detections::config::Config;
use hindcast_engine::{
    Committed, Engine, Lookup, RollupStage, RollupUnit, StateFault, StateFolders, StateStore, TableRef,
    UnitFault, decode_outcomes, unit_key,
};
use hindcast_lake::{LakeFile, LakeTable};
use hindcast_observability::Origin;
use tokio::sync::Semaphore;

use super::plan::ScanPlan;
use super::run::{Progress, RunOptions};
use super::unit_record::UnitRecord;
use super::units::unit_bytes;

/// Folders of state that are listed at once.
const CONCURRENT_FOLDERS: usize = 16;
/// State look-ups that run at once.
const CONCURRENT_LOOKUPS: usize = 128;
/// Look-ups that may fail in a scan; their state counts as absent. If more fail, the store is not reachable.
const MAX_FAILED_LOOKUPS: u32 = 32;
/// Attempts at a unit if the store fails.
const STORE_ATTEMPTS: u32 = match UNITS.attempts() {
    Some(attempts) => attempts,
    None => u32::MAX,
};

/// What the rollups of a scan are computed with.
pub(super) struct RollupRun<'a> {
    pub(super) engine: &'a dyn Engine,
    pub(super) state: &'a StateStore,
    pub(super) config: &'a Config,
    /// Id of the coordinator's job.
    pub(super) job: &'a str,
    pub(super) tables: Vec<TableRef>,
    /// The same tables with their files.
    pub(super) lake_tables: Vec<LakeTable>,
    /// Whether stored state is used.
    pub(super) use_cache: bool,
    /// The folders of the state that records hold.
    pub(super) folders: StateFolders,
    /// Users' own rollups that can't be computed, by id, each with the reason.
    pub(super) failed_rollups: Mutex<BTreeMap<String, String>>,
}

impl<'a> RollupRun<'a> {
    /// A run of the rollups of `plan`.
    pub(super) fn new(plan: &ScanPlan, options: &'a RunOptions<'a>) -> Self {
        Self {
            engine: options.engine,
            state: options.state,
            config: options.config,
            job: options.job,
            tables: plan.tables.iter().map(|planned| TableRef::of(&planned.table)).collect(),
            lake_tables: plan.tables.iter().map(|planned| planned.table.clone()).collect(),
            use_cache: options.use_cache,
            folders: StateFolders::default(),
            failed_rollups: Mutex::default(),
        }
    }

    /// Completes the state of every unit; computes only what is missing.
    pub(super) async fn complete(
        &self,
        units: Vec<RollupUnit>,
        progress: &dyn Progress,
    ) -> Result<Vec<UnitRecord>> {
        tracing::debug!(units = units.len(), "planned");
        let planned = units.len();
        let mut records: Vec<UnitRecord> = if self.use_cache {
            self.use_earlier_state(self.look_up_all(units).await?).await?
        } else {
            units.into_iter().map(UnitRecord::new).collect()
        };
        // A unit that was joined with another counts as done.
        let joined = planned - records.len();
        let cached = joined + records.iter().filter(|record| record.is_complete()).count();
        tracing::debug!(cached, "state looked up");
        progress.cached(cached as u64);
        self.run_to_end(&mut records, progress).await?;
        Ok(records)
    }

    /// Forgets state that can't be read, and computes it again.
    ///
    /// # Errors
    /// If no unit has such state, or computing it fails.
    pub(super) async fn compute_again(
        &self,
        records: &mut [UnitRecord],
        unreadable: &[StateFault],
        progress: &dyn Progress,
    ) -> Result<()> {
        for fault in unreadable {
            let StateFault { file, reason } = fault;
            tracing::warn!(file, reason, "state can't be read: computing it again");
            let mut is_found = false;
            for record in records.iter_mut() {
                let Some(faulty) = record.states.iter().find(|state| state.is_at(file)).cloned() else {
                    continue;
                };
                let key = faulty.key();
                with_retries(|| self.state.forget(&key)).await?;
                // State of several earlier units is of use only together.
                record.states.retain(|other| other.rollup() != faulty.rollup());
                record.replaced.push(fault.clone());
                is_found = true;
            }
            if !is_found {
                return Err(Error::Internal(format!(
                    "unreadable state belongs to no unit: {file}: {reason}"
                )));
            }
        }
        self.run_to_end(records, progress).await
    }

    async fn run_to_end(&self, records: &mut [UnitRecord], progress: &dyn Progress) -> Result<()> {
        let mut pending = self.pending(records);
        while !pending.is_empty() {
            let failures = |records: &[UnitRecord]| -> Vec<u32> {
                pending.iter().map(|(index, _)| records[*index].store_failures).collect()
            };
            let failures_before = failures(records);
            if let Some(failures @ 1..) = failures_before.iter().max().copied() {
                tokio::time::sleep(UNITS.wait_after(failures)).await;
            }
            self.run(&pending, records, progress).await?;
            let still_pending = self.pending(records);
            if still_pending == pending && failures(records) == failures_before {
                let table = &self.tables[pending[0].1.table].name;
                let date = pending[0].1.date;
                return Err(Error::Internal(format!(
                    "computing {table} of {date} gave no state and no reason"
                )));
            }
            pending = still_pending;
        }
        Ok(())
    }

    /// Records of all units, in their order, with the state that is stored.
    pub(super) async fn look_up_all(&self, units: Vec<RollupUnit>) -> Result<Vec<UnitRecord>> {
        let lookups = Lookups { failures: AtomicU32::new(0), permits: Semaphore::new(CONCURRENT_LOOKUPS) };
        let mut folders: Vec<Vec<RollupUnit>> = Vec::new();
        for unit in units {
            match folders.last_mut() {
                Some(folder) if (folder[0].table, folder[0].date) == (unit.table, unit.date) => {
                    folder.push(unit)
                }
                _ => folders.push(vec![unit]),
            }
        }
        let folders: Vec<_> = folders.into_iter().map(|units| self.look_up_folder(units, &lookups)).collect();
        let records: Vec<Vec<UnitRecord>> =
            stream::iter(folders).buffered(CONCURRENT_FOLDERS).try_collect().await?;
        Ok(records.into_iter().flatten().collect())
    }

    /// Units of one table and date. A listing shows what is absent, with one request per thousand objects.
    async fn look_up_folder(&self, units: Vec<RollupUnit>, lookups: &Lookups) -> Result<Vec<UnitRecord>> {
        let (table, date) = (&self.tables[units[0].table].name, units[0].date);
        let committed = self.state.committed(table, date).await;
        // If the listing fails, each state is looked up by itself.
        let committed = committed.inspect_err(|error| tracing::warn!(%error, "state can't be listed")).ok();
        try_join_all(units.into_iter().map(|unit| self.look_up(unit, committed.as_ref(), lookups))).await
    }

    async fn look_up(
        &self,
        unit: RollupUnit,
        committed: Option<&Committed>,
        lookups: &Lookups,
    ) -> Result<UnitRecord> {
        let finds = unit.rollups.iter().map(|id| self.look_up_state(&unit, id, committed, lookups));
        let found = try_join_all(finds).await?;
        let mut record = UnitRecord::new(unit);
        let rollups = Arc::clone(&record.unit.rollups);
        for (rollup, Lookup { manifest, same_rows, damaged }) in rollups.iter().zip(found) {
            record.add(manifest, &self.folders);
            record.replaced.extend(damaged);
            match same_rows {
                Some(same_rows) if same_rows.others.is_empty() => {
                    record.add(same_rows.manifests, &self.folders)
                }
                Some(same_rows) => drop(record.shared.insert(rollup.clone(), same_rows)),
                None => {}
            }
        }
        Ok(record)
    }

    async fn look_up_state(
        &self,
        unit: &RollupUnit,
        id: &str,
        committed: Option<&Committed>,
        lookups: &Lookups,
    ) -> Result<Lookup> {
        let key = self.key_of(unit, id)?;
        // The semaphore is never closed.
        let _permit = lookups.permits.acquire().await;
        let found = match committed {
            Some(committed) => self.state.find_in(committed, &key, &unit.window).await,
            None => self.state.find(&key, &unit.window).await,
        };
        match found {
            Err(error) if lookups.failures.fetch_add(1, Ordering::Relaxed) < MAX_FAILED_LOOKUPS => {
                tracing::warn!(%error, key, "state can't be looked up: it counts as absent");
                Ok(Lookup::default())
            }
            found => found.map_err(|error| self.state.failure(StorageOperation::Reading, error)),
        }
    }

    /// The key of the state of a rollup, by its id, for a unit.
    pub(super) fn key_of(&self, unit: &RollupUnit, id: &str) -> Result<String> {
        let rollup = self.config.detections.rollup(id);
        let rollup = rollup.ok_or_else(|| Error::Internal(format!("there is no rollup {id}")))?;
        unit_key(rollup, self.config, &self.tables[unit.table], unit)
    }

    /// Units with rollups still to compute, largest first, each with its index in `records`.
    fn pending(&self, records: &[UnitRecord]) -> Vec<(usize, RollupUnit)> {
        let mut pending: Vec<(usize, RollupUnit)> = Vec::new();
        for (index, record) in records.iter().enumerate() {
            if !record.suspects.is_empty() {
                let alone = |file: &LakeFile| RollupUnit { files: vec![file.clone()], ..record.unit.clone() };
                pending.extend(record.suspects.iter().map(|file| (index, alone(file))));
                continue;
            }
            let is_missing = |id: &&String| !record.has_state_of(id);
            let missing: Vec<String> = record.unit.rollups.iter().filter(is_missing).cloned().collect();
            if missing.is_empty() || record.unit.files.is_empty() {
                continue;
            }
            // Units without any state share the list of their rollups.
            let is_new = missing.len() == record.unit.rollups.len();
            let rollups = if is_new { Arc::clone(&record.unit.rollups) } else { missing.into() };
            pending.push((index, RollupUnit { rollups, ..record.unit.clone() }));
        }
        pending.sort_by_key(|(index, unit)| (std::cmp::Reverse(unit_bytes(unit)), *index));
        pending
    }

    async fn run(
        &self,
        pending: &[(usize, RollupUnit)],
        records: &mut [UnitRecord],
        progress: &dyn Progress,
    ) -> Result<()> {
        let stage = RollupStage {
            config: self.config.for_tasks(),
            tables: self.tables.clone(),
            state_url: self.state.location().url().to_owned(),
            origin: Origin::here(self.job),
            units: pending.iter().map(|(_, unit)| unit.clone()).collect(),
        };
        let mut failed_rollups = BTreeMap::new();
        let mut outcomes = self.engine.run(stage.into()).await?;
        while let Some(batch) = outcomes.next().await.transpose()? {
            for outcome in decode_outcomes(&batch)? {
                let no_unit = || Error::Internal(format!("there is no unit {}", outcome.unit));
                let (index, unit) = pending.get(outcome.unit).ok_or_else(no_unit)?;
                let record = &mut records[*index];
                record.was_computed = true;
                match outcome.result {
                    Ok(manifests) if record.suspects.is_empty() => {
                        progress.unit_done(unit_bytes(unit));
                        record.add(manifests, &self.folders);
                    }
                    Ok(_) => record.suspects.retain(|suspect| suspect != &unit.files[0]),
                    Err(UnitFault::Rollup { rollup, reason }) => {
                        keep_smallest(&mut failed_rollups, rollup, reason)
                    }
                    Err(UnitFault::State(fault)) if record.store_failures + 1 == STORE_ATTEMPTS => {
                        return Err(self.state.failure(StorageOperation::Writing, fault));
                    }
                    Err(fault) => handle(record, unit, fault, progress)?,
                }
            }
        }
        self.drop_rollups(failed_rollups, records);
        Ok(())
    }

    /// The rollups that could not be computed, each with the reason.
    pub(super) fn failed_rollups(&self) -> BTreeMap<String, String> {
        self.failed_rollups.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Continues without the failed rollups: units no longer need their state.
    fn drop_rollups(&self, failed_rollups: BTreeMap<String, String>, records: &mut [UnitRecord]) {
        for record in records.iter_mut().filter(|_| !failed_rollups.is_empty()) {
            Arc::make_mut(&mut record.unit.rollups).retain(|id| !failed_rollups.contains_key(id));
            record.states.retain(|state| !failed_rollups.contains_key(state.rollup()));
        }
        self.failed_rollups.lock().unwrap_or_else(PoisonError::into_inner).extend(failed_rollups);
    }
}

/// Keeps the smallest reason of several units, so that it does not depend on which ended first.
fn keep_smallest(failed_rollups: &mut BTreeMap<String, String>, rollup: String, reason: String) {
    match failed_rollups.get_mut(&rollup) {
        Some(known) if *known <= reason => {}
        Some(known) => *known = reason,
        None => drop(failed_rollups.insert(rollup, reason)),
    }
}

/// Limits that all look-ups of a scan share.
struct Lookups {
    failures: AtomicU32,
    permits: Semaphore,
}

/// Decides how to proceed with a failed unit: retry it, try file by file, or read it without a file.
fn handle(
    record: &mut UnitRecord,
    unit: &RollupUnit,
    fault: UnitFault,
    progress: &dyn Progress,
) -> Result<()> {
    progress.unit_failed(&fault);
    match fault {
        UnitFault::Input(fault) => set_aside(record, fault),
        UnitFault::Storage(_) | UnitFault::State(_) if record.store_failures + 1 < STORE_ATTEMPTS => {
            record.store_failures += 1;
            Ok(())
        }
        // If a further file fails, the store has had its attempts.
        UnitFault::Storage(fault) if unit.files.iter().any(|file| file.path == fault.object) => {
            let reason = format!("not read after {STORE_ATTEMPTS} attempts: {fault}");
            set_aside(record, blame(&fault.object, reason))
        }
        UnitFault::Storage(fault) | UnitFault::State(fault) => set_all_aside(record, unit, fault.to_string()),
        UnitFault::Failed(reason) | UnitFault::Rollup { reason, .. } => set_all_aside(record, unit, reason),
    }
}

/// Tries the files of a unit one by one, because any of them may be the cause; those that fail alone are left out.
fn set_all_aside(record: &mut UnitRecord, unit: &RollupUnit, reason: String) -> Result<()> {
    if unit.files.len() > 1 && !record.was_probed {
        record.suspects = unit.files.clone();
        record.was_probed = true;
        return Ok(());
    }
    let mut paths: Vec<&str> = unit.files.iter().map(|file| file.path.as_str()).collect();
    paths.dedup();
    paths.into_iter().try_for_each(|path| set_aside(record, blame(path, reason.clone())))
}

fn blame(file: &str, reason: String) -> InputFault {
    InputFault { file: file.to_owned(), row_group: None, column: None, reason }
}

/// Removes the faulty file from the unit, so that the rest is read without it.
fn set_aside(record: &mut UnitRecord, fault: InputFault) -> Result<()> {
    let files_before = record.unit.files.len();
    record.unit.files.retain(|file| file.path != fault.file);
    record.suspects.retain(|file| file.path != fault.file);
    if record.unit.files.len() == files_before {
        return Err(Error::Internal(format!("a unit failed for a file it does not have: {fault}")));
    }
    // The state of the unit without the file has another key.
    record.states.clear();
    record.faults.push(fault);
    Ok(())
}

#[cfg(test)]
#[path = "unit_tracker_tests.rs"]
mod tests;
