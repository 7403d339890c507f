//! The state of rollups in object storage: keyed by what went into it, committed once.

use std::collections::HashSet;

use arrow::array::RecordBatch;
use chrono::NaiveDate;
use futures::TryStreamExt;
use futures::future::ready;
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutMode, PutOptions, PutPayload};

use super::manifest::{Manifest, StateData, UnitStats, sealed};
use super::stage::{RollupUnit, StateFault};
use super::state_key::clipped_key;
use super::write_state::{EncodedState, encode_batch};
use crate::analyses::SideTable;
use crate::catalog::{Location, StateFile};
use crate::rollups::Rollup;
use crate::time::Window;
use crate::{Error, Result};

/// What the name of a manifest ends in, after its key.
const MANIFEST_ENDING: &str = ".json";

/// The manifests in a table's date folder.
#[derive(Debug)]
pub struct Committed {
    manifests: HashSet<Path>,
}

/// Where state is kept.
#[derive(Debug, Clone)]
pub struct StateStore {
    location: Location,
}

/// What is there of a unit and rollup.
#[derive(Debug, Default)]
pub struct Lookup {
    /// The state, where it has been committed.
    pub manifest: Option<Manifest>,
    /// Manifests that are not as they were written, where nothing else serves.
    pub damaged: Vec<StateFault>,
}

impl StateStore {
    /// State below `location`.
    pub fn new(location: Location) -> Self {
        Self { location }
    }

    /// Where it is.
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// The error that state can't be `done`, such as written, for a `reason` of the store's.
    pub fn failure(&self, done: &str, reason: String) -> Error {
        let place = match self.location.local_path() {
            Some(path) => path.display().to_string(),
            None => self.location.url().to_owned(),
        };
        let action = format!("state can't be {done} at {place}, and nothing can be computed without it");
        Error::storage(action)(object_store::Error::Generic { store: "state", source: reason.into() })
    }

    /// What has been committed of a table's date, as a listing tells it.
    ///
    /// # Errors
    /// [`Error::Storage`] where the listing fails.
    pub async fn committed(&self, table: &str, date: NaiveDate) -> Result<Committed> {
        let folder = self.location.child(&format!("{table}/date={date}"));
        let objects = self.location.store().list(Some(&folder)).map_ok(|object| object.location);
        let manifests = objects.try_filter(|path| ready(path.as_ref().ends_with(MANIFEST_ENDING)));
        let manifests = manifests.try_collect().await;
        let action = format!("listing {}", self.location.name_of(&folder));
        Ok(Committed { manifests: manifests.map_err(Error::storage(action))? })
    }

    /// The state of a unit and rollup for `window`, where it has been committed.
    ///
    /// # Errors
    /// [`Error::Storage`] where the store fails; a manifest that is not as it was written counts as absent.
    pub async fn find(&self, key: &str, window: &Window) -> Result<Lookup> {
        let mut lookup = Lookup::default();
        // State of all the files' rows serves every window that holds them.
        for asked in [key.to_owned(), clipped_key(key, window)] {
            match self.read_manifest(&asked).await? {
                Some(Ok(manifest)) if manifest.is_within(window) => {
                    return Ok(Lookup { manifest: Some(manifest), damaged: Vec::new() });
                }
                Some(Err(fault)) => lookup.damaged.push(fault),
                _ => {}
            }
        }
        Ok(lookup)
    }

    /// As [`StateStore::find`], asking for nothing that is not in `committed`.
    ///
    /// # Errors
    /// As those of [`StateStore::find`].
    pub async fn find_in(&self, committed: &Committed, key: &str, window: &Window) -> Result<Lookup> {
        let is_there = |key: &str| committed.manifests.contains(&self.manifest_path(key));
        if is_there(key) || is_there(&clipped_key(key, window)) {
            self.find(key, window).await
        } else {
            Ok(Lookup::default())
        }
    }

    fn manifest_path(&self, key: &str) -> Path {
        self.location.child(&format!("{key}{MANIFEST_ENDING}"))
    }

    /// The manifest under `key`, or what is wrong with it; nothing where there is none.
    async fn read_manifest(&self, key: &str) -> Result<Option<Result<Manifest, StateFault>>> {
        let file = format!("{key}{MANIFEST_ENDING}");
        let Some(bytes) = self.location.read(&file).await? else { return Ok(None) };
        let decoded = Manifest::decode(&bytes, key).map_err(|reason| {
            tracing::warn!(file, reason, "a manifest is not as it was written: taken to be absent");
            StateFault { file, reason: format!("the manifest is not as it was written: {reason}") }
        });
        Ok(Some(decoded))
    }

    /// Commits the state of one rollup: data first, under its content's hash, then the manifest, which only the
    /// first of several attempts can put. One that is not as it was written, or can't be read, is replaced.
    ///
    /// # Errors
    /// [`Error::Storage`] where the store fails.
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
        let (rollup, stats) = (rollup.id.to_owned(), stats.clone());
        let manifest = Manifest { key, rollup, stats, data, state_rows };
        let json = sealed(&manifest)?;
        let path = self.manifest_path(&manifest.key);
        let create = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.location.store().put_opts(&path, PutPayload::from(json.clone()), create).await {
            Ok(_) => return Ok(manifest),
            Err(object_store::Error::AlreadyExists { .. }) => {}
            Err(error) => {
                return Err(Error::storage(format!("writing {}", self.location.name_of(&path)))(error));
            }
        }
        // Another attempt was first: what it committed is as good, being of the same inputs.
        match self.read_manifest(&manifest.key).await {
            Ok(Some(Ok(committed))) => return Ok(committed),
            Ok(_) => {}
            Err(error) => tracing::warn!(key = manifest.key, %error, "a manifest can't be read: replaced"),
        }
        self.location.put(&path, json).await?;
        Ok(manifest)
    }

    /// Puts a side table's rows beside the state, under their content's hash.
    ///
    /// # Errors
    /// [`Error::Storage`] where the store fails.
    pub async fn put_side_table(&self, table: &SideTable, rows: &RecordBatch) -> Result<StateFile> {
        Ok(self.put_data(&format!("side/{}", table.name), encode_batch(rows)?).await?.0)
    }

    /// Forgets the state whose manifest is under `key`, so that it is not found again.
    ///
    /// # Errors
    /// [`Error::Storage`] where the store fails.
    pub async fn forget(&self, key: &str) -> Result<()> {
        let path = self.manifest_path(key);
        match self.location.store().delete(&path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(Error::storage(format!("deleting {}", self.location.name_of(&path)))(error)),
        }
    }

    async fn put_data(&self, key: &str, state: EncodedState) -> Result<(StateFile, StateData)> {
        let data = state.data();
        let file = data.file(key);
        let path = self.location.child(&file.path);
        self.location
            .store()
            .put(&path, PutPayload::from(state.bytes))
            .await
            .map_err(Error::storage(format!("writing {}", self.location.name_of(&path))))?;
        Ok((file, data))
    }
}
