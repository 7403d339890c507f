//! What is stored as state: objects and bytes by kind, and which levels later ones have replaced.

use std::collections::BTreeMap;

use super::level::LEVELS;
use super::state::StateStore;
use hindcast_base::{Error, Result};
use hindcast_lake::Location;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt};
use serde::Serialize;

/// Levels of the same rollup and dates that stay: of these, only the newest has the present state files, unless scans with different
/// parameters alternate.
const KEPT_LEVELS: usize = 2;
/// Folders below that of state that do not hold the rollups of a table, and what they hold.
const FOLDERS: [(&str, &str); 6] = [
    (LEVELS, "levels"),
    ("results", "rows of merges"),
    ("backfill", "backfills"),
    ("jobs", "jobs"),
    ("configs", "jobs"),
    ("side", "side tables"),
];
/// All other folders are named after tables.
const ROLLUPS: &str = "rollups of units";

/// Objects of one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct StatePart {
    /// Their number.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When the first of them was written, in microseconds since 1970.
    pub oldest_us: Option<i64>,
    /// When the last of them was written.
    pub newest_us: Option<i64>,
    /// Bytes of those that later ones have replaced.
    pub replaced_bytes: u64,
}

/// What a folder of state holds.
#[derive(Debug, Default)]
pub struct StateInventory {
    /// The parts, by kind.
    pub parts: BTreeMap<&'static str, StatePart>,
    /// Objects that later ones have replaced: manifests first.
    replaced: Vec<Path>,
}

impl StateInventory {
    /// Lists `state`.
    ///
    /// # Errors
    /// [`Error::Storage`] if the listing fails.
    pub async fn of(state: &StateStore) -> Result<Self> {
        let location = state.location();
        let mut inventory = Self::default();
        let mut levels: BTreeMap<String, Vec<Level>> = BTreeMap::new();
        for object in location.list(location.prefix()).await? {
            let Some(relative) = relative_to(location, &object.location) else { continue };
            let folder = relative.split('/').next().unwrap_or_default();
            let kind = FOLDERS.iter().find(|(name, _)| *name == folder).map_or(ROLLUPS, |(_, kind)| *kind);
            inventory.parts.entry(kind).or_default().add(&object);
            if kind == LEVELS {
                add_to_level(&mut levels, &relative, object);
            }
        }
        for mut of_dates in levels.into_values() {
            of_dates.sort_by_key(|level| std::cmp::Reverse(level.newest_us()));
            let replaced: Vec<ObjectMeta> =
                of_dates.into_iter().skip(KEPT_LEVELS).flat_map(|level| level.objects).collect();
            let bytes: u64 = replaced.iter().map(|object| object.size).sum();
            inventory.parts.entry(LEVELS).or_default().replaced_bytes += bytes;
            inventory.replaced.extend(replaced.into_iter().map(|object| object.location));
        }
        // Without its manifest, a level is not found.
        inventory.replaced.sort_by_key(|path| !path.as_ref().ends_with(".json"));
        Ok(inventory)
    }

    /// Objects that later ones have replaced.
    pub fn replaced(&self) -> usize {
        self.replaced.len()
    }

    /// Removes what later objects have replaced. A scan that still reads it merges the state of units instead.
    ///
    /// # Errors
    /// [`Error::Storage`] if the store fails.
    pub async fn remove_replaced(&self, state: &StateStore) -> Result<()> {
        let location = state.location();
        for path in &self.replaced {
            match location.store().delete(path).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(Error::deleting(location.name_of(path))(error)),
            }
        }
        Ok(())
    }
}

impl StatePart {
    fn add(&mut self, object: &ObjectMeta) {
        let written = object.last_modified.timestamp_micros();
        self.objects += 1;
        self.bytes += object.size;
        self.oldest_us = Some(self.oldest_us.map_or(written, |oldest| oldest.min(written)));
        self.newest_us = Some(self.newest_us.map_or(written, |newest| newest.max(written)));
    }
}

/// The objects of one level.
#[derive(Debug)]
struct Level {
    name: String,
    objects: Vec<ObjectMeta>,
}

impl Level {
    fn newest_us(&self) -> i64 {
        self.objects.iter().map(|object| object.last_modified.timestamp_micros()).max().unwrap_or_default()
    }
}

/// The path of an object below a location.
fn relative_to(location: &Location, path: &Path) -> Option<String> {
    let parts = path.prefix_match(location.prefix())?;
    Some(parts.map(|part| part.as_ref().to_owned()).collect::<Vec<_>>().join("/"))
}

/// Adds an object to its level: `levels/<table>/<rollup>/<dates>/<key>.…`
fn add_to_level(levels: &mut BTreeMap<String, Vec<Level>>, relative: &str, object: ObjectMeta) {
    let Some((dates, file)) = relative.rsplit_once('/') else { return };
    let name = file.split('.').next().unwrap_or_default();
    let of_dates = levels.entry(dates.to_owned()).or_default();
    match of_dates.iter_mut().find(|level| level.name == name) {
        Some(level) => level.objects.push(object),
        None => of_dates.push(Level { name: name.to_owned(), objects: vec![object] }),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use object_store::memory::InMemory;

    use super::*;

    async fn put(state: &StateStore, path: &str) {
        let path = state.location().child(path);
        state.location().put(&path, vec![7; 10]).await.unwrap();
        // Times of objects differ.
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }

    #[tokio::test]
    async fn levels_of_the_same_dates_are_replaced_by_the_newest_two() {
        let location = Location::parse_with("s3://memory/state", |_| Ok(Arc::new(InMemory::new()))).unwrap();
        let state = StateStore::new(location);
        for path in
            ["T/date=2026-01-05/event_bins/0.json", "jobs/1/status.pb", "configs/1", "results/0/made/1.json"]
        {
            put(&state, path).await;
        }
        for key in ["a", "b", "c"] {
            put(&state, &format!("levels/T/event_bins/2026-01-05-7d/{key}.0-4096.00ff.parquet")).await;
            put(&state, &format!("levels/T/event_bins/2026-01-05-7d/{key}.json")).await;
        }
        put(&state, "levels/T/event_bins/2026-01-12-7d/a.json").await;
        let inventory = StateInventory::of(&state).await.unwrap();
        let parts: Vec<(&str, u64, u64)> =
            inventory.parts.iter().map(|(kind, part)| (*kind, part.objects, part.replaced_bytes)).collect();
        assert_eq!(
            parts,
            [("jobs", 2, 0), ("levels", 7, 20), ("rollups of units", 1, 0), ("rows of merges", 1, 0)]
        );
        assert_eq!(inventory.replaced(), 2);
        inventory.remove_replaced(&state).await.unwrap();
        let left = StateInventory::of(&state).await.unwrap();
        assert_eq!((left.replaced(), left.parts["levels"].objects), (0, 5));
        assert!(state.location().read("levels/T/event_bins/2026-01-05-7d/a.json").await.unwrap().is_none());
        assert!(state.location().read("levels/T/event_bins/2026-01-05-7d/c.json").await.unwrap().is_some());
    }
}
