//! The cache of finished windows: each row is stored below the state, under a key of everything it depends on. A backfill continues
//! where another ended, and after a late file only its windows are computed again.

use chrono::NaiveDate;
use hindcast_base::{Error, Result};
use hindcast_detections::config::Config;
use hindcast_detections::rollups::Rollup;
use hindcast_engine::{StateStore, sealed, state_version, unsealed};
use hindcast_lake::{DateFolder, LakeFile};
use hindcast_scan::ScanPlan;

use super::WindowRow;

/// Raised if the same scan gives another row.
const ROW_VERSION: u32 = 3;

/// The key of the row of `plan`: its window, the files, what is computed of them, and all parameters.
pub(super) fn key(plan: &ScanPlan, config: &Config) -> Result<String> {
    let analyses: Vec<_> = plan.analyses.iter().map(|analysis| (analysis.id, analysis.version)).collect();
    let disabled: Vec<_> =
        plan.disabled.iter().map(|disabled| (disabled.analysis.id, disabled.reason.to_string())).collect();
    let tables = plan.tables.iter().map(|planned| {
        let past = planned.past.as_ref();
        let past = past.map(|past| (past.window, made_by_each(&past.rollups), files_of(&past.folders)));
        let own = (made_by_each(&planned.rollups), files_of(&planned.folders));
        let table = &planned.table;
        (table.spec.name, table.location.url(), &table.mapping, own, past)
    });
    let parts = (
        // The code that makes findings, incidents and risks has no version of its own.
        (ROW_VERSION, env!("CARGO_PKG_VERSION"), config.hash()?),
        plan.window,
        (analyses, disabled, &plan.missing_tables),
        tables.collect::<Vec<_>>(),
        (&plan.columns, &plan.locations, &plan.investigated),
    );
    let mut json = serde_json::to_vec(&parts).map_err(|error| Error::Internal(error.to_string()))?;
    // The hash of the configuration covers which roots there are.
    json.extend(
        plan.missing_in_roots.iter().flat_map(|(root, table)| format!("{root} {table} ").into_bytes()),
    );
    Ok(format!("backfill/{}.json", &blake3::hash(&json).to_hex()[..32]))
}

/// What the state of each rollup is made by, as [`state_version`] says it.
fn made_by_each(rollups: &[&'static Rollup]) -> Vec<(&'static str, String)> {
    rollups.iter().map(|rollup| (rollup.id, state_version(rollup))).collect()
}

fn files_of(folders: &[DateFolder]) -> Vec<(NaiveDate, &[LakeFile])> {
    folders.iter().map(|folder| (folder.date, folder.files.as_slice())).collect()
}

/// The row under `key`. State is a cache: a damaged row is computed again.
pub(super) async fn find(state: &StateStore, key: &str) -> Option<WindowRow> {
    match state.location().read(key).await {
        Ok(bytes) => {
            let row: Result<(String, WindowRow), String> = unsealed(&bytes?);
            let row =
                row.and_then(|(own, row)| if own == key { Ok(row) } else { Err(format!("it is {own}")) });
            row.inspect_err(|reason| tracing::warn!(key, reason, "a window's row is not as it was written"))
                .ok()
        }
        Err(error) => {
            tracing::warn!(%error, key, "a window's row can't be looked up: it counts as absent");
            None
        }
    }
}

/// Stores `row` under `key`. Two writers store the same.
pub(super) async fn store(state: &StateStore, key: &str, row: &WindowRow) -> Result<()> {
    let json = sealed(&(key, row))?;
    let place = state.location();
    place.put(&place.child(key), json).await
}
