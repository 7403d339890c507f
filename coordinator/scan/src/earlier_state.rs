//! Uses the state of earlier files for files that only hold the same rows in another way: after OPTIMIZE of a table, nothing is read
//! again.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use chrono::NaiveDate;
use futures::StreamExt;
use hindcast_base::Result;
use hindcast_engine::{KnownState, RollupUnit, SameRows};
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
            for own in by_window.values() {
                self.use_shared_state(own, &mut places)?;
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
        let equal = incomplete_units(rewrites, listed, of_window, places);
        let wanted = equal.iter().flat_map(|one| &one.earlier).cloned().collect();
        let mut found = self.look_up_all(wanted).await?.into_iter();
        for EqualUnits { current, earlier } in equal {
            let mut before: Places = found.by_ref().take(earlier.len()).map(Some).collect();
            self.use_shared_state(&(0..before.len()).collect::<Vec<_>>(), &mut before)?;
            let earlier: Vec<UnitRecord> = before.into_iter().flatten().collect();
            let parts: Vec<UnitRecord> = current.iter().filter_map(|place| places[*place].take()).collect();
            let of_earlier = |rollup: &str| {
                let has_all = earlier.iter().all(|record| record.has_state_of(rollup));
                has_all.then(|| states_of(&earlier, rollup))
            };
            match joined(&parts, of_earlier) {
                Some(record) => {
                    self.record_same_rows(&parts, &record).await;
                    places[current[0]] = Some(record);
                }
                None => {
                    current.into_iter().zip(parts).for_each(|(place, record)| places[place] = Some(record))
                }
            }
        }
        Ok(())
    }

    /// Joins records at these places whose state was recorded for all of them together.
    fn use_shared_state(&self, own: &[usize], places: &mut Places) -> Result<()> {
        for place in own {
            let Some(first) = places[*place].as_ref().filter(|record| !record.is_complete()) else {
                continue;
            };
            let Some((rollup, shared)) = first.shared.iter().next() else { continue };
            let mut group = vec![*place];
            for other in own.iter().filter(|other| *other != place) {
                let Some(record) = places[*other].as_ref() else { continue };
                if record.unit.date == first.unit.date
                    && record.unit.rollups == first.unit.rollups
                    && shared.others.contains(&self.key_of(&record.unit, rollup)?)
                {
                    group.push(*other);
                }
            }
            if group.len() != shared.others.len() + 1 {
                continue;
            }
            let parts: Vec<UnitRecord> = group.iter().filter_map(|place| places[*place].take()).collect();
            let of_group = |rollup: &str| {
                let shared = parts[0].shared.get(rollup)?;
                let is_named = |part: &UnitRecord| {
                    self.key_of(&part.unit, rollup).is_ok_and(|key| shared.others.contains(&key))
                };
                let is_same = shared.others.len() == parts.len() - 1 && parts[1..].iter().all(is_named);
                let known = |manifest| KnownState::of(manifest, &self.folders);
                is_same.then(|| shared.manifests.iter().cloned().map(known).collect())
            };
            match joined(&parts, of_group) {
                Some(record) => places[*place] = Some(record),
                None => group.into_iter().zip(parts).for_each(|(place, record)| places[place] = Some(record)),
            }
        }
        Ok(())
    }

    /// Stores which state `completed` has that `parts`, whose files it has, lacked. It is found again without the log.
    async fn record_same_rows(&self, parts: &[UnitRecord], completed: &UnitRecord) {
        let unit = &completed.unit;
        let lacks = |part: &UnitRecord, id: &String| !part.has_state_of(id) && completed.has_state_of(id);
        let lacking = unit.rollups.iter().filter(|id| parts.iter().any(|part| lacks(part, id)));
        let record = |id: &String| {
            let states = states_of(std::slice::from_ref(completed), id);
            let manifests = states.iter().map(KnownState::manifest).collect();
            let id = id.clone();
            async move {
                let keys: Result<Vec<String>> =
                    parts.iter().map(|part| self.key_of(&part.unit, &id)).collect();
                let mut others = keys?;
                let key = others.remove(0);
                let state = SameRows { others, manifests };
                self.state.commit_same_rows(&key, &unit.window, unit.is_clipped, &state).await
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

/// The units of records at these places that lack state, and whose files had others before `rewrites`.
fn incomplete_units(
    rewrites: &[Arc<Rewrite>],
    listed: &ListedFiles,
    of_window: &[usize],
    places: &Places,
) -> Vec<EqualUnits> {
    let dates = incomplete_dates(places, of_window);
    let units: Vec<(usize, &RollupUnit)> =
        of_window.iter().filter_map(|place| Some((*place, &places[*place].as_ref()?.unit))).collect();
    let of_dates = units.iter().filter(|(_, unit)| dates.contains(&unit.date));
    let paths: HashSet<&str> =
        of_dates.flat_map(|(_, unit)| &unit.files).map(|file| file.path.as_str()).collect();
    let mut rewritten = rewrites.iter().flat_map(|rewrite| rewrite.after());
    if !rewritten.any(|path| paths.contains(path.as_str())) {
        return Vec::new();
    }
    let is_incomplete = |place: &usize| places[*place].as_ref().is_some_and(|record| !record.is_complete());
    let mut equal = equal_units(&units, &dates, listed, rewrites);
    equal.retain(|one| one.current.iter().any(is_incomplete));
    equal
}

/// The state of a rollup.
fn states_of(records: &[UnitRecord], rollup: &str) -> Vec<KnownState> {
    let states = records.iter().flat_map(|record| &record.states);
    states.filter(|state| state.rollup() == rollup).cloned().collect()
}

/// One record of all files of `parts`. The state of a rollup is that of the parts if all of them have it, otherwise what `elsewhere`
/// gives. None if that gives nothing that the parts lack, or if several parts would have to be read as one.
fn joined(parts: &[UnitRecord], elsewhere: impl Fn(&str) -> Option<Vec<KnownState>>) -> Option<UnitRecord> {
    let first = &parts.first()?.unit;
    let files = parts.iter().flat_map(|part| part.unit.files.iter().cloned()).collect();
    let is_clipped = parts.iter().any(|part| part.unit.is_clipped);
    let mut record = UnitRecord::new(RollupUnit { files, is_clipped, ..first.clone() });
    let mut is_better = false;
    for rollup in first.rollups.iter() {
        if parts.iter().all(|part| part.has_state_of(rollup)) {
            record.states.extend(states_of(parts, rollup));
        } else if let Some(states) = elsewhere(rollup) {
            record.states.extend(states);
            is_better = true;
        }
    }
    record.replaced = parts.iter().flat_map(|part| &part.replaced).cloned().collect();
    (is_better && (parts.len() == 1 || record.is_complete())).then_some(record)
}

#[cfg(test)]
#[path = "earlier_state_tests.rs"]
mod tests;
