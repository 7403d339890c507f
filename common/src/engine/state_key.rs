//! What state is kept under: everything it depends on, what reads and computes it included.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use datafusion::prelude::SessionContext;

use super::job::{RollupUnit, TableRef};
use super::state_table::built;
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
/// [`Error::Internal`] where the parts can't be written as JSON, those of [`made_by`].
pub fn unit_key(rollup: &Rollup, config: &Config, table: &TableRef, unit: &RollupUnit) -> Result<String> {
    // Files are named by their paths below the store's root, whatever they are called in messages.
    let stored = |file: &LakeFile| LakeFile { path: file.store_path().to_string(), ..file.clone() };
    let files: Vec<LakeFile> = unit.files.iter().map(stored).collect();
    let parts = (made_by(rollup)?, (rollup.parameters)(config), &table.url, &table.mapping.columns, files);
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

/// What state of `rollup` is made by, this process's version of all that reads and computes it.
///
/// # Errors
/// Where the rollup's plan can't be built.
pub fn made_by(rollup: &Rollup) -> Result<String> {
    let (version, definition) = (rollup.version, definition(rollup)?);
    Ok(format!("{STATE_FORMAT}.{CATALOG_VERSION}.{FUNCTIONS_VERSION}.{version}.{definition}"))
}

/// Hash of how a rollup is computed: its columns, keys and measures, and the plan they come to with the default parameters.
///
/// # Errors
/// Where its plan can't be built.
fn definition(rollup: &Rollup) -> Result<String> {
    // Neither depends on the rollup, and both take longer to make than its plan.
    static DEFAULTS: LazyLock<Result<(Config, SessionContext)>> =
        LazyLock::new(|| Ok((Config::load("default", &[])?, SessionContext::new())));
    static KNOWN: LazyLock<Mutex<HashMap<&'static str, String>>> = LazyLock::new(Mutex::default);
    let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(definition) = known().get(rollup.id) {
        return Ok(definition.clone());
    }
    let (config, session) = DEFAULTS.as_ref().map_err(|error| Error::Internal(error.to_string()))?;
    let frame = built(rollup, config, session)?;
    let Rollup { id, tables, columns, bucket_key, shape, .. } = rollup;
    let (plan, state) = (frame.logical_plan().display_indent(), frame.schema().fields());
    let text = format!("{id} {tables:?} {columns:?} {bucket_key:?} {shape:?}\n{plan}\n{state:?}");
    let hash = blake3::hash(text.as_bytes()).to_hex()[..32].to_owned();
    known().insert(rollup.id, hash.clone());
    Ok(hash)
}
