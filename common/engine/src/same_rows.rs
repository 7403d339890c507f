//! State of files that only hold the rows of earlier files in another way: a record that names the manifests of those.

use object_store::path::Path;
use serde::{Deserialize, Serialize};

use super::manifest::{Manifest, sealed, unsealed};
use super::state::{Committed, StateStore};
use super::state_key::clipped_key;
use hindcast_base::Result;
use hindcast_base::time::Window;

/// Ending of a record's name, after the key.
const ENDING: &str = ".same-rows.json";

/// State of earlier files that have, together, the rows of a unit, or of several units.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SameRows {
    /// Keys of the other units, if the rows are those of several.
    pub others: Vec<String>,
    /// The manifests of the earlier files. They are of use only together.
    pub manifests: Vec<Manifest>,
}

impl StateStore {
    /// Records that `state` is that of the unit with `key`, of its rows in `window`, and of the other units that it names. Later scans
    /// find it, also when the table's log no longer says which files were rewritten.
    ///
    /// # Errors
    /// [`hindcast_base::Error::Storage`] if the store fails.
    pub async fn commit_same_rows(
        &self,
        key: &str,
        window: &Window,
        is_clipped: bool,
        state: &SameRows,
    ) -> Result<()> {
        let ending = clipped_key("", window);
        let is_of_window =
            is_clipped || state.manifests.iter().any(|manifest| manifest.key.ends_with(&ending));
        let key = if is_of_window { clipped_key(key, window) } else { key.to_owned() };
        let json = sealed(&(&key, state))?;
        self.location().put_if_absent(&self.same_rows_path(&key), json).await?;
        Ok(())
    }

    /// The record under `key` for `window`, if one of the `committed` objects is such a record. A damaged one counts as absent.
    ///
    /// # Errors
    /// [`hindcast_base::Error::Storage`] if the store fails.
    pub(super) async fn find_same_rows(
        &self,
        committed: &Committed,
        key: &str,
        window: &Window,
    ) -> Result<Option<SameRows>> {
        for candidate in [key.to_owned(), clipped_key(key, window)] {
            if !committed.has(&self.same_rows_path(&candidate)) {
                continue;
            }
            let file = format!("{candidate}{ENDING}");
            let Some(bytes) = self.location().read(&file).await? else { continue };
            match decode(&bytes, &candidate) {
                Ok(state) if state.manifests.iter().all(|manifest| manifest.is_within(window)) => {
                    return Ok(Some(state));
                }
                Ok(_) => {}
                Err(reason) => {
                    tracing::warn!(file, reason, "a record of state has changed since it was written")
                }
            }
        }
        Ok(None)
    }

    fn same_rows_path(&self, key: &str) -> Path {
        self.location().child(&format!("{key}{ENDING}"))
    }
}

/// The record that was read under `key`.
fn decode(bytes: &[u8], key: &str) -> Result<SameRows, String> {
    let (own, state): (String, SameRows) = unsealed(bytes)?;
    if own != key {
        return Err(format!("it belongs to {own}"));
    }
    let rollup = key.split('/').nth_back(1);
    match state.manifests.iter().find(|manifest| Some(manifest.rollup.as_str()) != rollup) {
        Some(manifest) => Err(format!("it names state of the rollup {}", manifest.rollup)),
        None => Ok(state),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::manifest::UnitStats;
    use super::*;
    use hindcast_lake::Location;
    use object_store::memory::InMemory;

    const KEY: &str = "T/date=2026-03-01/event_bins/0123";

    fn manifest(key: &str, min_us: i64, max_us: i64) -> Manifest {
        let stats = UnitStats { rows: 1, min_us: Some(min_us), max_us: Some(max_us), ..UnitStats::default() };
        let key = format!("T/date=2026-03-01/event_bins/{key}");
        Manifest { key, rollup: "event_bins".into(), stats: stats.into(), data: None, state_rows: 0 }
    }

    fn store() -> StateStore {
        StateStore::new(Location::parse_with("s3://memory/state", |_| Ok(Arc::new(InMemory::new()))).unwrap())
    }

    fn same_rows(manifests: &[Manifest]) -> SameRows {
        SameRows { others: vec!["T/date=2026-03-01/event_bins/4567".into()], manifests: manifests.to_vec() }
    }

    async fn found(state: &StateStore, from_us: i64, to_us: i64) -> Option<SameRows> {
        let committed = state.committed("T", "2026-03-01".parse().unwrap()).await.unwrap();
        let lookup = state.find_in(&committed, KEY, &Window { from_us, to_us }).await.unwrap();
        assert!(lookup.manifest.is_none() && lookup.damaged.is_empty());
        lookup.same_rows
    }

    #[tokio::test]
    async fn a_record_serves_windows_that_hold_all_rows() {
        let state = store();
        let own = same_rows(&[manifest("a", 10, 20), manifest("b", 30, 40)]);
        let window = Window { from_us: 0, to_us: 100 };
        state.commit_same_rows(KEY, &window, false, &own).await.unwrap();
        assert_eq!(found(&state, 10, 41).await, Some(own));
        assert_eq!(found(&state, 10, 40).await, None);
    }

    #[tokio::test]
    async fn a_record_of_a_window_serves_only_that_window() {
        for (is_clipped, key) in [(true, "a"), (false, "a-0-100")] {
            let state = store();
            let window = Window { from_us: 0, to_us: 100 };
            let own = same_rows(&[manifest(key, 10, 20)]);
            state.commit_same_rows(KEY, &window, is_clipped, &own).await.unwrap();
            assert_eq!(found(&state, 0, 100).await, Some(own));
            assert_eq!(found(&state, 0, 101).await, None);
        }
    }

    #[tokio::test]
    async fn a_damaged_record_counts_as_absent() {
        let state = store();
        let window = Window { from_us: 0, to_us: 100 };
        state.commit_same_rows(KEY, &window, false, &same_rows(&[manifest("a", 1, 2)])).await.unwrap();
        let path = state.same_rows_path(KEY);
        let bytes = state.location().read(&format!("{KEY}{ENDING}")).await.unwrap().unwrap();
        let damaged = String::from_utf8(bytes.to_vec()).unwrap().replace("\"rows\":1", "\"rows\":2");
        state.location().put(&path, damaged.into_bytes()).await.unwrap();
        assert_eq!(found(&state, 0, 100).await, None);
        let sealed_with = |manifest| sealed(&(KEY, same_rows(&[manifest]))).unwrap();
        assert!(decode(&sealed_with(manifest("a", 1, 2)), "T/other/x/y").is_err());
        let foreign = Manifest { rollup: "other".into(), ..manifest("a", 1, 2) };
        assert!(decode(&sealed_with(foreign), KEY).unwrap_err().contains("other"));
    }
}
