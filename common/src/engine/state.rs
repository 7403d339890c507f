//! The state of rollups in object storage: keyed by what went into it, committed once.

use std::collections::{BTreeMap, HashSet};

use arrow::array::RecordBatch;
use chrono::NaiveDate;
use futures::TryStreamExt;
use futures::future::ready;
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutMode, PutOptions, PutPayload};
use serde::{Deserialize, Serialize};

use super::job::{RollupUnit, TableRef};
use super::write_state::encode_batch;
use crate::analyses::SideTable;
use crate::catalog::{LakeFile, Location};
use crate::config::Config;
use crate::rollups::Rollup;
use crate::selection::{SELECTION_VERSION, SelectionStats};
use crate::time::Window;
use crate::{Error, Result};

/// What the name of a manifest ends in, after its key.
const MANIFEST_ENDING: &str = ".json";

/// What was read of a unit's files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitStats {
    /// Rows taken.
    pub rows: u64,
    /// Rows whose time lies outside the window.
    pub rows_outside: u64,
    /// Rows without a readable time: they belong to no window.
    pub rows_without_time: u64,
    /// First instant of the rows taken, in microseconds.
    pub min_us: Option<i64>,
    /// Last instant of the rows taken, in microseconds.
    pub max_us: Option<i64>,
    /// Values that could not be read as their column's type, by column.
    pub unreadable: BTreeMap<String, u64>,
    /// Where only an entity's rows are taken, and the other counts are of those: what was read to find them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selection: Option<SelectionStats>,
}

/// The committed state of one rollup over one unit's files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The rollup.
    pub rollup: String,
    /// What was read.
    pub stats: UnitStats,
    /// The state; absent where no row matched.
    pub data: Option<LakeFile>,
    /// Rows of the state.
    pub state_rows: u64,
}

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

/// Key of a rollup's state over a unit's files: everything the state depends on.
///
/// # Errors
/// [`Error::Internal`] where the parts can't be written as JSON.
pub fn unit_key(rollup: &Rollup, config: &Config, table: &TableRef, unit: &RollupUnit) -> Result<String> {
    // Files are told by their paths below the store's root, whatever they are called in messages.
    let stored = |file: &LakeFile| LakeFile { path: file.store_path().to_string(), ..file.clone() };
    let files: Vec<LakeFile> = unit.files.iter().map(stored).collect();
    let parts = (rollup.version, (rollup.parameters)(config), &table.url, &table.mapping.columns, files);
    let mut json = serde_json::to_vec(&parts).map_err(|error| Error::Internal(error.to_string()))?;
    if let Some(selection) = &unit.selection {
        let own = serde_json::to_vec(&(SELECTION_VERSION, selection));
        json.extend(own.map_err(|error| Error::Internal(error.to_string()))?);
    }
    let hash = blake3::hash(&json).to_hex();
    Ok(format!("{}/date={}/{}/{}", table.name, unit.date, rollup.id, &hash[..32]))
}

/// Key of state that holds only the rows of `window`, where the files have others too.
fn clipped_key(key: &str, window: &Window) -> String {
    format!("{key}-{}-{}", window.from_us, window.to_us)
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
    /// [`Error::Storage`] where the store fails; a manifest that can't be read counts as absent.
    pub async fn find(&self, key: &str, window: &Window) -> Result<Option<Manifest>> {
        // State of all the files' rows serves every window that holds them.
        if let Some(manifest) = self.read_manifest(key).await?
            && manifest.stats.min_us.is_none_or(|first| first >= window.from_us)
            && manifest.stats.max_us.is_none_or(|last| last < window.to_us)
        {
            return Ok(Some(manifest));
        }
        self.read_manifest(&clipped_key(key, window)).await
    }

    /// As [`StateStore::find`], asking for nothing that is not in `committed`.
    ///
    /// # Errors
    /// As those of [`StateStore::find`].
    pub async fn find_in(
        &self,
        committed: &Committed,
        key: &str,
        window: &Window,
    ) -> Result<Option<Manifest>> {
        let is_there = |key: &str| committed.manifests.contains(&self.manifest_path(key));
        if is_there(key) || is_there(&clipped_key(key, window)) {
            self.find(key, window).await
        } else {
            Ok(None)
        }
    }

    fn manifest_path(&self, key: &str) -> Path {
        self.location.child(&format!("{key}{MANIFEST_ENDING}"))
    }

    async fn read_manifest(&self, key: &str) -> Result<Option<Manifest>> {
        let bytes = self.location.read(&format!("{key}{MANIFEST_ENDING}")).await?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    /// Commits the state of one rollup: data first, under its content's hash, then the manifest, which only the
    /// first of several attempts can put.
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
        let data = if state.rows == 0 { None } else { Some(self.put_data(&key, state.bytes).await?) };
        let manifest =
            Manifest { rollup: rollup.id.to_owned(), stats: stats.clone(), data, state_rows: state.rows };
        let json = serde_json::to_vec(&manifest).map_err(|error| Error::Internal(error.to_string()))?;
        let path = self.manifest_path(&key);
        let create = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.location.store().put_opts(&path, PutPayload::from(json), create).await {
            // Another attempt was first: what it committed is as good, being of the same inputs.
            Ok(_) | Err(object_store::Error::AlreadyExists { .. }) => Ok(manifest),
            Err(error) => Err(Error::storage(format!("committing {}", self.location.name_of(&path)))(error)),
        }
    }

    /// Puts a side table's rows beside the state, under their content's hash.
    ///
    /// # Errors
    /// [`Error::Storage`] where the store fails.
    pub async fn put_side_table(&self, table: &SideTable, rows: &RecordBatch) -> Result<LakeFile> {
        self.put_data(&format!("side/{}", table.name), encode_batch(rows)?).await
    }

    /// Forgets the state whose data is at `data_path`, so that it is not found again.
    ///
    /// # Errors
    /// [`Error::Storage`] where the store fails.
    pub async fn forget(&self, data_path: &str) -> Result<()> {
        // Data is beside its manifest, named as it with the content's hash in between.
        let key = data_path.rsplitn(3, '.').last().unwrap_or(data_path);
        let path = Path::from(format!("{key}{MANIFEST_ENDING}"));
        match self.location.store().delete(&path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(Error::storage(format!("deleting {}", self.location.name_of(&path)))(error)),
        }
    }

    async fn put_data(&self, key: &str, bytes: Vec<u8>) -> Result<LakeFile> {
        let content = blake3::hash(&bytes).to_hex();
        let path = self.location.child(&format!("{key}.{}.parquet", &content[..16]));
        let length = bytes.len() as u64;
        self.location
            .store()
            .put(&path, PutPayload::from(bytes))
            .await
            .map_err(Error::storage(format!("writing {}", self.location.name_of(&path))))?;
        Ok(LakeFile { path: path.to_string(), bytes: length, etag: None, range: None })
    }
}

/// State as Parquet bytes.
#[derive(Debug, Default)]
pub struct EncodedState {
    /// The file.
    pub bytes: Vec<u8>,
    /// Its rows.
    pub rows: u64,
}
