//! Uses the state of earlier files for files that only hold the same rows in another way: after OPTIMIZE of a table, nothing is read
//! again.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use chrono::NaiveDate;
use futures::StreamExt;
use hindcast_base::Result;
use hindcast_engine::{Manifest, RollupUnit};
use hindcast_lake::{FileSource, ListedFiles, Rewrite};

use super::earlier_units::{EqualUnits, equal_units};
use super::unit_record::UnitRecord;
use super::unit_tracker::RollupRun;

/// Records that are stored at once.
const CONCURRENT_RECORDS: usize = 16;

/// Records by their place; none where a record was joined with another.
type Places = Vec<Option<UnitRecord>>;

impl RollupRun<'_> {
    /// Completes records with the state of the files that theirs have replaced. Records whose files were rewritten together become
    /// one.
    ///
    /// # Errors
    /// If the state can't be looked up.
    pub(super) async fn use_earlier_state(&self, records: Vec<UnitRecord>) -> Result<Vec<UnitRecord>> {
        let mut places: Places = records.into_iter().map(Some).collect();
        for (index, table) in self.lake_tables.iter().enumerate() {
            let FileSource::Listed(listed) = &table.source else { continue };
            // What was read of files to find an entity's rows is reported: for those, each file is read.
            let is_own = |record: &UnitRecord| record.unit.table == index && record.unit.selection.is_none();
            let mut by_window: BTreeMap<(i64, i64), Vec<usize>> = BTreeMap::new();
            for (place, record) in places.iter().enumerate() {
                if let Some(record) = record.as_ref().filter(|record| is_own(record)) {
                    let window = record.unit.window;
                    by_window.entry((window.from_us, window.to_us)).or_default().push(place);
                }
            }
            by_window.retain(|_, own| !incomplete_dates(&places, own).is_empty());
            if by_window.is_empty() {
                continue;
            }
            let rewrites = match table.rewrites().await {
                Ok(rewrites) => rewrites,
                Err(error) => {
                    let table = &self.tables[index].name;
                    tracing::warn!(table, %error, "rewritten files are not known: they are read again");
                    continue;
                }
            };
            for own in by_window.values() {
                for of_commit in &rewrites.by_commit {
                    self.use_state_before(of_commit, listed, own, &mut places).await?;
                }
            }
        }
        Ok(places.into_iter().flatten().collect())
    }

    /// Completes those of the records at these places whose files had others before `rewrites`.
    async fn use_state_before(
        &self,
        rewrites: &[Arc<Rewrite>],
        listed: &ListedFiles,
        of_window: &[usize],
        places: &mut Places,
    ) -> Result<()> {
        let dates = incomplete_dates(places, of_window);
        let units: Vec<(usize, &RollupUnit)> =
            of_window.iter().filter_map(|place| Some((*place, &places[*place].as_ref()?.unit))).collect();
        let of_dates = units.iter().filter(|(_, unit)| dates.contains(&unit.date));
        let paths: HashSet<&str> =
            of_dates.flat_map(|(_, unit)| &unit.files).map(|file| file.path.as_str()).collect();
        let mut rewritten = rewrites.iter().flat_map(|rewrite| rewrite.after());
        if !rewritten.any(|path| paths.contains(path.as_str())) {
            return Ok(());
        }
        let mut equal = equal_units(&units, &dates, listed, rewrites);
        let is_incomplete = |place: &usize| places[*place].as_ref().is_some_and(|record| !record.is_complete());
        equal.retain(|one| one.current.iter().any(is_incomplete));

        // The joined unit of each, and its earlier units. All are looked up at once.
        let joined: Vec<RollupUnit> = equal.iter().filter_map(|one| joined_unit(one, places)).collect();
        let wanted = joined.iter().zip(&equal).flat_map(|(unit, one)| [unit].into_iter().chain(&one.earlier));
        let mut found = self.look_up_all(wanted.cloned().collect()).await?.into_iter();
        for (unit, EqualUnits { current, earlier }) in joined.into_iter().zip(equal) {
            let own: Vec<UnitRecord> = found.by_ref().take(1).collect();
            let earlier: Vec<UnitRecord> = found.by_ref().take(earlier.len()).collect();
            let parts: Vec<UnitRecord> = current.iter().filter_map(|place| places[*place].take()).collect();
            match completed(unit, &parts, &[own, earlier]) {
                Some(record) => {
                    if let [part] = parts.as_slice() {
                        self.record_same_rows(part, &record).await;
                    }
                    places[current[0]] = Some(record);
                }
                None => current.into_iter().zip(parts).for_each(|(place, record)| places[place] = Some(record)),
            }
        }
        Ok(())
    }

    /// Stores which state `completed` has that `part`, the same unit, lacked. It is found again without the log.
    async fn record_same_rows(&self, part: &UnitRecord, completed: &UnitRecord) {
        let unit = &completed.unit;
        let lacking = unit.rollups.iter().filter(|id| !part.has_state_of(id) && completed.has_state_of(id));
        let record = |id: &String| {
            let of_rollup = completed.manifests.iter().filter(|manifest| manifest.rollup == *id);
            let (id, manifests): (_, Vec<Manifest>) = (id.clone(), of_rollup.cloned().collect());
            async move {
                let key = self.key_of(unit, &id)?;
                self.state.commit_same_rows(&key, &unit.window, unit.is_clipped, &manifests).await
            }
        };
        let records: Vec<_> = lacking.map(record).collect();
        let mut recorded = futures::stream::iter(records).buffer_unordered(CONCURRENT_RECORDS);
        while let Some(result) = recorded.next().await {
            if let Err(error) = result {
                tracing::warn!(%error, "state of rewritten files can't be recorded: it may be computed again later");
            }
        }
    }
}

/// Dates of the records at these places that lack state.
fn incomplete_dates(places: &Places, own: &[usize]) -> BTreeSet<NaiveDate> {
    let records = own.iter().filter_map(|place| places[*place].as_ref());
    records.filter(|record| !record.is_complete()).map(|record| record.unit.date).collect()
}

/// The unit of all files of the current units.
fn joined_unit(equal: &EqualUnits, places: &Places) -> Option<RollupUnit> {
    let units: Vec<&RollupUnit> =
        equal.current.iter().filter_map(|place| Some(&places[*place].as_ref()?.unit)).collect();
    let files = units.iter().flat_map(|unit| unit.files.iter().cloned()).collect();
    let is_clipped = units.iter().any(|unit| unit.is_clipped);
    Some(RollupUnit { files, is_clipped, ..(*units.first()?).clone() })
}

/// The record of `unit`, with the state of each rollup from its `parts` if all of them have it, otherwise from the first of `others`
/// whose records all have it. None if no other record has state that the parts lack, or if several parts would have to be read as one.
fn completed(unit: RollupUnit, parts: &[UnitRecord], others: &[Vec<UnitRecord>]) -> Option<UnitRecord> {
    let mut record = UnitRecord::new(unit, Vec::new());
    let mut is_better = false;
    for rollup in &record.unit.rollups {
        let has_all = |records: &[UnitRecord]| records.iter().all(|record| record.has_state_of(rollup));
        let source = if has_all(parts) {
            Some(parts)
        } else {
            let other = others.iter().map(Vec::as_slice).find(|records| has_all(records));
            is_better |= other.is_some();
            other
        };
        let manifests = source.into_iter().flatten().flat_map(|record| &record.manifests);
        record.manifests.extend(manifests.filter(|manifest| manifest.rollup == *rollup).cloned());
    }
    record.replaced = parts.iter().flat_map(|part| &part.replaced).cloned().collect();
    (is_better && (parts.len() == 1 || record.is_complete())).then_some(record)
}

#[cfg(test)]
#[path = "earlier_state_tests.rs"]
mod tests;
