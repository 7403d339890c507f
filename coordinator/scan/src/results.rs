//! Results of merges by content: which stored rows a merge reads or writes, and which rows of an earlier merge it can use.
//!
//! A merge with the same analyses, parameters and state reads its rows again. One whose window moved by a few dates computes only the
//! keys that have rows in a date that it does not share with the earlier one. Rows are stored for groups of analyses in which each row
//! depends on the state of one key alone (`per_key` in `detection.toml`).

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use futures::{StreamExt, stream};
use hindcast_base::Result;
use hindcast_detections::analyses::{Locations, Query};
use hindcast_engine::{EarlierResult, StateStore, StoredResult, hash_of, sealed, state_version, unsealed};
use hindcast_functions::FUNCTIONS_VERSION;
use hindcast_lake::StateFile;
use object_store::{ObjectMeta, ObjectStoreExt};
use serde::{Deserialize, Serialize};

use super::analysis_group::AnalysisGroup;
use super::plan::ScanPlan;
use super::run::RunOptions;
use super::window_state::{DateHashes, WindowState};

/// The folder of stored rows below that of state.
const RESULTS: &str = "results";
/// Version of their format.
const RESULT_FORMAT: u32 = 1;
/// Dates from which on the rows of a window are stored: a shorter one has little in common with the next.
const LEAST_DATES: usize = 4;
/// Results of the same analyses and parameters that stay; older ones are removed.
const KEPT_RESULTS: usize = 4;
/// An earlier result is of use if at most this share of the dates differs.
const MOST_CHANGED: usize = 3;
/// Objects that are removed at once.
const CONCURRENT: usize = 32;
/// Lists of state files that a group writes at once. Each may have thousands.
const CONCURRENT_LISTS: usize = 8;

/// Hashes of the lists of state files, by rollup and date.
type Hashes = BTreeMap<String, DateHashes>;

/// What is known of a stored result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    /// Its key.
    key: String,
    /// The shards in which it was merged.
    shards: Vec<(u16, u16)>,
    /// What it was made of.
    sources: Hashes,
}

/// The result of a group, as it is stored or will be.
pub(super) struct GroupResult<'w> {
    /// What tasks need to know.
    pub(super) stored: StoredResult,
    /// The shards of the stored rows, if there are any: others can't use them.
    pub(super) shards: Option<Vec<(u16, u16)>>,
    identity: String,
    /// Whether its manifest is stored.
    is_stored: bool,
    window: &'w WindowState<'w>,
    hashes: Hashes,
    /// Hashes of the lists that an earlier result stored.
    known: BTreeSet<String>,
}

impl<'w> GroupResult<'w> {
    /// The result of a group over the state of a window; `None` if its rows are not stored.
    pub(super) async fn of(
        group: &AnalysisGroup,
        plan: &ScanPlan,
        options: &RunOptions<'_>,
        window: &'w WindowState<'w>,
    ) -> Result<Option<Self>> {
        let read: Vec<_> = window.dates().filter(|(rollup, _)| group.reads(rollup)).collect();
        let dates: BTreeSet<&NaiveDate> = read.iter().flat_map(|(_, dates)| *dates).collect();
        if plan.investigated.is_some() || !options.use_cache || dates.len() < LEAST_DATES {
            return Ok(None);
        }
        let rollups: Vec<&str> = read.iter().map(|(rollup, _)| *rollup).collect();
        let Some((identity, per_key)) = identity(group, &rollups, options)? else { return Ok(None) };
        let of_rollup = |rollup: &&str| Ok(((*rollup).to_owned(), window.hashes(rollup)?.as_ref().clone()));
        let hashes: Hashes = rollups.iter().map(of_rollup).collect::<Result<_>>()?;
        let inputs = hash_of(&hashes)?;
        let stored = StoredResult { key: format!("{RESULTS}/{identity}/{inputs}"), per_key, earlier: None };
        let known = BTreeSet::new();
        let mut result = Self { stored, shards: None, identity, is_stored: false, window, hashes, known };
        match result.manifest(options.state, &inputs).await? {
            Some(own) => (result.shards, result.is_stored) = (Some(own.shards), true),
            None => result.find_earlier(options.state).await?,
        }
        Ok(Some(result))
    }

    /// The folder of the manifests of results of the same analyses and parameters.
    fn manifests(&self) -> String {
        format!("{RESULTS}/{}/made", self.identity)
    }

    /// The manifest of the result of these inputs; a damaged one counts as absent.
    async fn manifest(&self, state: &StateStore, inputs: &str) -> Result<Option<Manifest>> {
        let file = format!("{}/{inputs}.json", self.manifests());
        let Some(bytes) = state.location().read(&file).await? else { return Ok(None) };
        let found: std::result::Result<Manifest, String> = unsealed(&bytes);
        let is_own = |found: &Manifest| found.key == format!("{RESULTS}/{}/{inputs}", self.identity);
        let found =
            found.inspect_err(|reason| tracing::warn!(file, reason, "a stored result counts as absent"));
        Ok(found.ok().filter(is_own))
    }

    /// The manifests' objects, the newest first.
    async fn listed(&self, state: &StateStore) -> Result<Vec<ObjectMeta>> {
        let folder = state.location().child(&self.manifests());
        let mut listed = state.location().list(&folder).await?;
        listed.sort_by_key(|object| (std::cmp::Reverse(object.last_modified), object.location.clone()));
        Ok(listed)
    }

    /// Finds the earlier result with the fewest other dates.
    async fn find_earlier(&mut self, state: &StateStore) -> Result<()> {
        let mut best: Option<(usize, Manifest)> = None;
        for object in self.listed(state).await?.into_iter().take(KEPT_RESULTS) {
            let Some(inputs) = object.location.filename().and_then(|name| name.strip_suffix(".json")) else {
                continue;
            };
            let Some(found) = self.manifest(state, inputs).await? else { continue };
            self.known.extend(found.sources.values().flat_map(BTreeMap::values).cloned());
            let changed = self.changed(&found.sources).len();
            if best.as_ref().is_none_or(|(least, _)| changed < *least) {
                best = Some((changed, found));
            }
        }
        let dates: usize = self.hashes.values().map(BTreeMap::len).sum();
        let Some((_, found)) = best.filter(|(changed, _)| changed * MOST_CHANGED <= dates) else {
            return Ok(());
        };
        let mut changed: BTreeMap<String, Vec<StateFile>> = BTreeMap::new();
        for (rollup, date) in self.changed(&found.sources) {
            let files = changed.entry(rollup.clone()).or_default();
            files.extend(self.window.files(&rollup, date));
            let Some(hash) = found.sources.get(&rollup).and_then(|by_date| by_date.get(&date)) else {
                continue;
            };
            match list_of(state, hash).await? {
                Some(of_earlier) => files.extend(of_earlier),
                None => return Ok(()),
            }
        }
        self.shards = Some(found.shards);
        self.stored.earlier = Some(EarlierResult { key: found.key, changed });
        Ok(())
    }

    /// Rollups and dates of which only one of both has the state.
    fn changed(&self, others: &Hashes) -> Vec<(String, NaiveDate)> {
        let mut changed = Vec::new();
        let none = BTreeMap::new();
        for rollup in self.hashes.keys().chain(others.keys()).collect::<BTreeSet<_>>() {
            let (own, other) =
                (self.hashes.get(rollup).unwrap_or(&none), others.get(rollup).unwrap_or(&none));
            let dates: BTreeSet<&NaiveDate> = own.keys().chain(other.keys()).collect();
            let differing = dates.into_iter().filter(|date| own.get(*date) != other.get(*date));
            changed.extend(differing.map(|date| (rollup.clone(), *date)));
        }
        changed
    }

    /// Records that all shards have stored their rows, and removes old results.
    pub(super) async fn commit(&self, shards: &[(u16, u16)], state: &StateStore) -> Result<()> {
        if self.is_stored {
            return Ok(());
        }
        let mut lists = Vec::new();
        for (rollup, by_date) in &self.hashes {
            for (date, hash) in by_date.iter().filter(|(_, hash)| !self.known.contains(*hash)) {
                lists.push(async move { put_list(state, hash, &self.window.files(rollup, *date)).await });
            }
        }
        let mut put = stream::iter(lists).buffer_unordered(CONCURRENT_LISTS);
        while let Some(result) = put.next().await {
            result?;
        }
        drop(put);
        let sources = self.hashes.clone();
        let manifest = Manifest { key: self.stored.key.clone(), shards: shards.to_vec(), sources };
        let inputs = self.stored.key.rsplit('/').next().unwrap_or_default();
        let path = state.location().child(&format!("{}/{inputs}.json", self.manifests()));
        state.location().put(&path, sealed(&manifest)?).await?;
        self.remove_old(state).await
    }

    /// Removes all but the newest results of the same analyses and parameters.
    async fn remove_old(&self, state: &StateStore) -> Result<()> {
        for object in self.listed(state).await?.into_iter().skip(KEPT_RESULTS) {
            let Some(inputs) = object.location.filename().and_then(|name| name.strip_suffix(".json")) else {
                continue;
            };
            let folder = state.location().child(&format!("{RESULTS}/{}/{inputs}", self.identity));
            let rows = state.location().list(&folder).await?;
            let removed: Vec<_> =
                [object.location].into_iter().chain(rows.into_iter().map(|row| row.location)).collect();
            let removals: Vec<_> = removed.iter().map(|path| state.location().store().delete(path)).collect();
            let mut removals = stream::iter(removals).buffer_unordered(CONCURRENT);
            while let Some(result) = removals.next().await {
                // Another scan may remove the same.
                if let Err(error) = result {
                    tracing::debug!(%error, "an old result is not removed");
                }
            }
        }
        Ok(())
    }
}

/// What identifies the rows of a group apart from the state, and its key columns; `None` if its rows are not stored.
fn identity(
    group: &AnalysisGroup,
    rollups: &[&str],
    options: &RunOptions<'_>,
) -> Result<Option<(String, Vec<String>)>> {
    let Some(first) = group.analyses().first().filter(|first| !first.per_key.is_empty()) else {
        return Ok(None);
    };
    let mut parts = Vec::new();
    for analysis in group.analyses() {
        let Query::Sql(sql) = &analysis.query else { return Ok(None) };
        let is_plain = !analysis.about.is_own
            && analysis.look_back.is_none()
            && analysis.locations == Locations::Unused
            && analysis.per_key == first.per_key
            && !["$window", "$investigated"].iter().any(|name| sql.text.contains(name))
            && !analysis
                .rollups
                .iter()
                .chain(analysis.optional_rollups)
                .any(|rollup| analysis.may_read_whole(rollup));
        if !is_plain {
            return Ok(None);
        }
        let parameters = format!("{:?}", analysis.bindings(options.config)?);
        parts.push((analysis.id, analysis.version, sql.text, analysis.order, parameters));
    }
    let versions = rollups.iter().filter_map(|id| options.config.detections.rollup(id)).map(state_version);
    let versions: Vec<String> = versions.collect();
    let hash = hash_of(&(RESULT_FORMAT, FUNCTIONS_VERSION, parts, versions, first.per_key))?;
    Ok(Some((hash, first.per_key.iter().map(|column| (*column).to_owned()).collect())))
}

fn list_path(hash: &str) -> String {
    format!("{RESULTS}/sources/{hash}.json")
}

/// The state files with this hash; `None` if the list is not stored, or damaged.
async fn list_of(state: &StateStore, hash: &str) -> Result<Option<Vec<StateFile>>> {
    let Some(bytes) = state.location().read(&list_path(hash)).await? else { return Ok(None) };
    let list: std::result::Result<Vec<StateFile>, String> = unsealed(&bytes);
    match list {
        Ok(list) if hash_of(&list)? == hash => Ok(Some(list)),
        _ => Ok(None),
    }
}

async fn put_list(state: &StateStore, hash: &str, files: &[StateFile]) -> Result<()> {
    let path = state.location().child(&list_path(hash));
    state.location().put(&path, sealed(&files)?).await
}

#[cfg(test)]
#[path = "results_tests.rs"]
mod tests;
