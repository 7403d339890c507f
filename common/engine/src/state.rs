//! The state of rollups in an object store: keyed by all its inputs, and committed once.

use std::collections::HashSet;
use std::fmt::Display;

use arrow::array::RecordBatch;
use chrono::NaiveDate;
use futures::TryStreamExt;
use futures::future::ready;
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload};

use super::manifest::{Manifest, StateData, UnitStats, sealed};
use super::same_rows::SameRows;
use super::stage::{RollupUnit, StateFault};
use super::state_key::clipped_key;
use super::write_state::{EncodedState, encode_batch};
use hindcast_base::storage_fault::{StorageFault, StorageOperation};
use hindcast_base::time::Window;
use hindcast_base::{Error, Result};
use hindcast_detections::analyses::SideTable;
use hindcast_detections::rollups::Rollup;
use hindcast_lake::{Location, StateFile};

/// Ending of a manifest's name, after its key.
pub(super) const MANIFEST_ENDING: &str = ".json";

/// The manifests in the state folder of a table's date.
#[derive(Debug)]
pub struct Committed {
    manifests: HashSet<Path>,
}

/// The store of state.
#[derive(Debug, Clone)]
pub struct StateStore {
    location: Location,
}

/// The state that is stored for a unit and rollup.
#[derive(Debug, Default)]
pub struct Lookup {
    /// The state, if it is committed.
    pub manifest: Option<Manifest>,
    /// The state of earlier files with the same rows, if only that is committed.
    pub same_rows: Option<SameRows>,
    /// Manifests that have changed since they were written, if no other manifest can be used.
    pub damaged: Vec<StateFault>,
}

impl Committed {
    /// Whether there is an object at `path`.
    pub(super) fn has(&self, path: &Path) -> bool {
        self.manifests.contains(path)
    }
}

impl StateStore {
    /// State below `location`.
    pub fn new(location: Location) -> Self {
        Self { location }
    }

    /// The folder of the state.
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// The error that state can't be read or written, with the reason that the store gives.
    pub fn failure(&self, operation: StorageOperation, reason: impl Display) -> Error {
        let place = match self.location.local_path() {
            Some(path) => path.display().to_string(),
            None => self.location.url().to_owned(),
        };
        let reason = format!("nothing can be computed without it: {reason}");
        Error::Storage(StorageFault::temporary(operation, format!("the state at {place}"), reason))
    }

    /// Lists the committed state of a table's date.
    ///
    /// # Errors
    /// [`Error::Storage`] if the listing fails.
    pub async fn committed(&self, table: &str, date: NaiveDate) -> Result<Committed> {
        let folder = self.location.child(&format!("{table}/date={date}"));
        let objects = self.location.store().list(Some(&folder)).map_ok(|object| object.location);
        let manifests = objects.try_filter(|path| ready(path.as_ref().ends_with(MANIFEST_ENDING)));
        let manifests = manifests.try_collect().await;
        Ok(Committed { manifests: manifests.map_err(Error::listing(self.location.name_of(&folder)))? })
    }

    /// Looks up the state of a unit and rollup for `window`. A manifest that has changed since it was written counts as absent.
    ///
    /// # Errors
    /// [`Error::Storage`] if the store fails.
    pub async fn find(&self, key: &str, window: &Window) -> Result<Lookup> {
        let mut lookup = Lookup::default();
        // State of all rows of the files can be used for every window that contains them.
        for candidate in [key.to_owned(), clipped_key(key, window)] {
            match self.read_manifest(&candidate).await? {
                Some(Ok(manifest)) if manifest.is_within(window) => {
                    return Ok(Lookup { manifest: Some(manifest), ..Lookup::default() });
                }
                Some(Err(fault)) => lookup.damaged.push(fault),
                _ => {}
            }
        }
        Ok(lookup)
    }

    /// Like [`StateStore::find`], but without a request for a manifest that is not in `committed`. It also finds the state of earlier
    /// files with the same rows.
    ///
    /// # Errors
    /// As for [`StateStore::find`].
    pub async fn find_in(&self, committed: &Committed, key: &str, window: &Window) -> Result<Lookup> {
        let is_there = |key: &str| committed.has(&self.manifest_path(key));
        let mut lookup = Lookup::default();
        if is_there(key) || is_there(&clipped_key(key, window)) {
            lookup = self.find(key, window).await?;
        }
        if lookup.manifest.is_none() {
            lookup.same_rows = self.find_same_rows(committed, key, window).await?;
        }
        Ok(lookup)
    }

    fn manifest_path(&self, key: &str) -> Path {
        self.location.child(&format!("{key}{MANIFEST_ENDING}"))
    }

    /// The manifest under `key`, or its fault; `None` if there is none.
    async fn read_manifest(&self, key: &str) -> Result<Option<Result<Manifest, StateFault>>> {
        let file = format!("{key}{MANIFEST_ENDING}");
        let Some(bytes) = self.location.read(&file).await? else { return Ok(None) };
        let decoded = Manifest::decode(&bytes, key).map_err(|reason| {
            tracing::warn!(file, reason, "a manifest has changed since it was written: it counts as absent");
            StateFault { file, reason: format!("the manifest has changed since it was written: {reason}") }
        });
        Ok(Some(decoded))
    }

    /// Commits the state of one rollup: first the data, under the hash of its content, then the manifest, which only the first of
    /// several attempts can put. A manifest that is damaged or can't be read is replaced.
    ///
    /// # Errors
    /// [`Error::Storage`] if the store fails.
    pub async fn commit(
        &self,
        key: &str,
        rollup: &Rollup,
        stats: &UnitStats,
        unit: &RollupUnit,
        window: &Window,
        state: EncodedState,
    ) -> Result<Manifest> {
        let holds_all_rows = !unit.is_clipped && stats.rows_outside == 0;
        let key = if holds_all_rows { key.to_owned() } else { clipped_key(key, window) };
        let state_rows = state.rows;
        let data = if state_rows == 0 { None } else { Some(self.put_data(&key, state).await?.1) };
        let (rollup, stats) = (rollup.id.to_owned(), stats.clone().into());
        let manifest = Manifest { key, rollup, stats, data, state_rows };
        let json = sealed(&manifest)?;
        let path = self.manifest_path(&manifest.key);
        if self.location.put_if_absent(&path, json.clone()).await? {
            return Ok(manifest);
        }
        // Another attempt was first. Its state is equal, because it has the same inputs.
        match self.read_manifest(&manifest.key).await {
            Ok(Some(Ok(committed))) => return Ok(committed),
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(key = manifest.key, %error, "a manifest can't be read: it is replaced")
            }
        }
        self.location.put(&path, json).await?;
        Ok(manifest)
    }

    /// Puts a side table's rows next to the state, under the hash of their content.
    ///
    /// # Errors
    /// [`Error::Storage`] if the store fails.
    pub async fn put_side_table(&self, table: &SideTable, rows: &RecordBatch) -> Result<StateFile> {
        Ok(self.put_data(&format!("side/{}", table.name), encode_batch(rows)?).await?.0)
    }

    /// Deletes the manifest under `key`, so that its state is not found again.
    ///
    /// # Errors
    /// [`Error::Storage`] if the store fails.
    pub async fn forget(&self, key: &str) -> Result<()> {
        let path = self.manifest_path(key);
        match self.location.store().delete(&path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(Error::deleting(self.location.name_of(&path))(error)),
        }
    }

    /// Puts data under the hash of its content.
    pub(super) async fn put_data(&self, key: &str, state: EncodedState) -> Result<(StateFile, StateData)> {
        let data = state.data();
        let file = data.file(key);
        let path = self.location.child(&file.path);
        self.location
            .store()
            .put(&path, PutPayload::from(state.bytes))
            .await
            .map_err(Error::writing(self.location.name_of(&path)))?;
        Ok((file, data))
    }
}
