//! What has been computed of a scan: finds committed state, runs what is missing, keeps what failed.

use futures::{StreamExt, TryStreamExt, stream};
use hindcast_common::config::Config;
use hindcast_common::engine::{
    Engine, Job, Manifest, RollupJob, RollupUnit, StateStore, TableRef, decode_outcomes, job_plan, unit_key,
};
use hindcast_common::error::InputFault;
use hindcast_common::rollups::Rollup;
use hindcast_common::time::Window;
use hindcast_common::{Error, Result};

use super::run::Progress;
use super::units::unit_bytes;

/// State look-ups under way at once.
const CONCURRENT_LOOKUPS: usize = 32;

/// A unit with all its state, or with what is wrong.
#[derive(Debug)]
pub(super) struct UnitRecord {
    /// The unit; files that could not be read are taken out.
    pub(super) unit: RollupUnit,
    /// State by rollup.
    pub(super) manifests: Vec<Manifest>,
    /// Files that could not be read.
    pub(super) faults: Vec<InputFault>,
    /// Whether any of the state had to be computed.
    pub(super) was_computed: bool,
}

/// What a scan's rollups are computed with.
pub(super) struct RollupRun<'a> {
    pub(super) engine: &'a dyn Engine,
    pub(super) state: &'a StateStore,
    pub(super) config: &'a Config,
    pub(super) window: Window,
    pub(super) tables: Vec<TableRef>,
    /// Whether state may be there from earlier.
    pub(super) use_cache: bool,
}

impl RollupRun<'_> {
    /// Brings every unit to its state, computing only what is not there yet.
    pub(super) async fn complete(
        &self,
        units: Vec<RollupUnit>,
        progress: &dyn Progress,
    ) -> Result<Vec<UnitRecord>> {
        let mut records: Vec<UnitRecord> = if self.use_cache {
            stream::iter(units)
                .map(|unit| self.look_up(unit))
                .buffered(CONCURRENT_LOOKUPS)
                .try_collect()
                .await?
        } else {
            let fresh = |unit| UnitRecord { unit, manifests: vec![], faults: vec![], was_computed: false };
            units.into_iter().map(fresh).collect()
        };
        loop {
            let pending = self.pending(&records);
            if pending.is_empty() {
                return Ok(records);
            }
            self.run(&pending, &mut records, progress).await?;
        }
    }

    async fn look_up(&self, unit: RollupUnit) -> Result<UnitRecord> {
        let mut manifests = Vec::new();
        for id in &unit.rollups {
            let key = unit_key(rollup(id)?, self.config, &self.tables[unit.table], unit.date, &unit.files)?;
            manifests.extend(self.state.find(&key, &self.window).await?);
        }
        Ok(UnitRecord { unit, manifests, faults: vec![], was_computed: false })
    }

    /// Units with rollups still to compute, largest first, each with its index in `records`.
    fn pending(&self, records: &[UnitRecord]) -> Vec<(usize, RollupUnit)> {
        let mut pending: Vec<(usize, RollupUnit)> = Vec::new();
        for (index, record) in records.iter().enumerate() {
            let is_missing = |id: &&String| !record.manifests.iter().any(|manifest| manifest.rollup == **id);
            let rollups: Vec<String> = record.unit.rollups.iter().filter(is_missing).cloned().collect();
            if !rollups.is_empty() && !record.unit.files.is_empty() {
                pending.push((index, RollupUnit { rollups, ..record.unit.clone() }));
            }
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
        let job = RollupJob {
            config: self.config.clone(),
            tables: self.tables.clone(),
            state_url: self.state.location().url().to_owned(),
            window: self.window,
            units: pending.iter().map(|(_, unit)| unit.clone()).collect(),
        };
        let mut outcomes = self.engine.run(job_plan(Job::Rollup(job))?).await?;
        while let Some(batch) = outcomes.next().await.transpose()? {
            for outcome in decode_outcomes(&batch)? {
                let (index, unit) = &pending[outcome.unit];
                let record = &mut records[*index];
                record.was_computed = true;
                match outcome.result {
                    Ok(manifests) => {
                        progress.unit_done(unit_bytes(unit));
                        record.manifests.extend(manifests);
                    }
                    Err(fault) => set_aside(record, fault)?,
                }
            }
        }
        Ok(())
    }
}

/// Takes the faulty file out of the unit, so that the rest is read without it.
fn set_aside(record: &mut UnitRecord, fault: InputFault) -> Result<()> {
    let files_before = record.unit.files.len();
    record.unit.files.retain(|file| file.path != fault.file);
    if record.unit.files.len() == files_before {
        return Err(Error::Internal(format!("a unit failed for a file it does not have: {fault}")));
    }
    // State of the unit as it was is under another key than that of the rest.
    record.manifests.clear();
    record.faults.push(fault);
    Ok(())
}

fn rollup(id: &str) -> Result<&'static Rollup> {
    Rollup::by_id(id).ok_or_else(|| Error::Internal(format!("there is no rollup {id}")))
}
