//! What state is kept under: everything it depends on, what reads and computes it included.

use super::job::{RollupUnit, TableRef};
use crate::catalog::{CATALOG_VERSION, LakeFile};
use crate::config::Config;
use crate::functions::FUNCTIONS_VERSION;
use crate::rollups::Rollup;
use crate::selection::SELECTION_VERSION;
use crate::time::Window;
use crate::{Error, Result};

/// How state and manifests are written.
const STATE_FORMAT: u32 = 2;

/// Key of a rollup's state over a unit's files: everything the state depends on.
///
/// # Errors
/// [`Error::Internal`] where the parts can't be written as JSON.
pub fn unit_key(rollup: &Rollup, config: &Config, table: &TableRef, unit: &RollupUnit) -> Result<String> {
    // Files are named by their paths below the store's root, whatever they are called in messages.
    let stored = |file: &LakeFile| LakeFile { path: file.store_path().to_string(), ..file.clone() };
    let files: Vec<LakeFile> = unit.files.iter().map(stored).collect();
    let parts = (made_by(rollup), rollup.parameters(config), &table.url, &table.mapping.columns, files);
    let mut json = serde_json::to_vec(&parts).map_err(|error| Error::Internal(error.to_string()))?;
    if let Some(selection) = &unit.selection {
        let own = serde_json::to_vec(&(SELECTION_VERSION, selection));
        json.extend(own.map_err(|error| Error::Internal(error.to_string()))?);
    }
    let hash = blake3::hash(&json).to_hex();
    Ok(format!("{}/date={}/{}/{}", table.name, unit.date, rollup.id, &hash[..32]))
}

/// Key of state that holds only the rows of `window`, where the files have others too.
pub(super) fn clipped_key(key: &str, window: &Window) -> String {
    format!("{key}-{}-{}", window.from_us, window.to_us)
}

/// What state of `rollup` is made by: its definition, and this process's version of all that reads and computes it.
pub fn made_by(rollup: &Rollup) -> String {
    let Rollup { version, hash, .. } = rollup;
    format!("{STATE_FORMAT}.{CATALOG_VERSION}.{FUNCTIONS_VERSION}.{version}.{hash}")
}
