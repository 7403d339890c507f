//! Recovers the changes that processes left behind: completes decided ones, takes back abandoned ones, and deletes the records of
//! those that ended long ago.

use chrono::{DateTime, Duration, Utc};
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStoreExt;

use super::super::location::Location;
use super::records::{self, DECISION, ENDED, FOLDER, LIST, Record, Status, TAKEN_BACK};
use super::{Change, names, take_back};
use hindcast_base::{Error, Result};

/// Age from which a change without a decision counts as abandoned, by the clock of the store.
const ABANDONED_AFTER: Duration = Duration::hours(6);
/// Time for which the lists of ended changes are kept. Readers trust a view for half as long.
const KEPT_FOR: Duration = Duration::hours(2);
/// An object that is put to read the clock of the store.
const CLOCK: &str = "clock";
/// Concurrent deletes.
const CONCURRENT_DELETES: usize = 16;

/// Recovers the changes that processes left behind; returns the number of changes taken back.
///
/// # Errors
/// [`Error::Storage`] if the store fails.
pub async fn recover(lake: &Location) -> Result<usize> {
    let found = records::records(lake).await?;
    if found.values().all(|record| record.status == Status::Aborted && !record.has_list) {
        return Ok(0);
    }
    let now = store_now(lake).await?;
    let mut taken_back = 0;
    for (id, record) in found {
        match record.status {
            Status::Committed => {
                if let Some(list) = records::list_of(lake, &id).await? {
                    carry_out(lake, &list).await?;
                }
            }
            Status::Open if now - record.written > ABANDONED_AFTER => {
                taken_back += usize::from(take_back(lake, &id).await?);
            }
            Status::Aborted if record.has_list => end_aborted(lake, &id, &record, now).await?,
            Status::Ended if now - record.written > KEPT_FOR => {
                // In this order, because a change with only a list counts as open.
                for ending in [LIST, DECISION, ENDED] {
                    records::forget(lake, &id, ending).await?;
                }
            }
            Status::Open | Status::Aborted | Status::Ended => {}
        }
    }
    Ok(taken_back)
}

/// Deletes the files of a change that was taken back: at once, and again when its writer is hardly alive any more.
async fn end_aborted(lake: &Location, id: &str, record: &Record, now: DateTime<Utc>) -> Result<()> {
    let is_old = now - record.written > ABANDONED_AFTER;
    let Some(list) = records::list_of(lake, id).await? else { return Ok(()) };
    if !record.is_taken_back || is_old {
        sweep_aborted(lake, &list).await?;
    }
    if is_old {
        records::forget(lake, id, LIST).await?;
    }
    Ok(())
}

/// Deletes the files that a committed change replaces.
pub(super) async fn carry_out(lake: &Location, change: &Change) -> Result<()> {
    delete_all(lake, &change.replaces).await?;
    records::mark(lake, &change.id, ENDED).await
}

/// Marks a change permanently as taken back, and deletes the files that it added.
pub(super) async fn sweep_aborted(lake: &Location, change: &Change) -> Result<()> {
    records::mark(lake, &change.id, TAKEN_BACK).await?;
    sweep(lake, change).await
}

/// Deletes the files that a change added.
pub(super) async fn sweep(lake: &Location, change: &Change) -> Result<()> {
    delete_all(lake, &change.adds).await
}

async fn delete_all(lake: &Location, paths: &[String]) -> Result<()> {
    let deletes: Vec<_> = paths
        .iter()
        .filter_map(|path| names::absolute(lake, path))
        .map(|path| async move { records::delete(lake, &path).await })
        .collect();
    futures::stream::iter(deletes).buffer_unordered(CONCURRENT_DELETES).try_collect().await
}

/// The time by the clock of the store, which dates all objects: clocks of processes may differ.
async fn store_now(lake: &Location) -> Result<DateTime<Utc>> {
    let path = lake.child(&format!("{FOLDER}/{CLOCK}"));
    lake.put(&path, Vec::new()).await?;
    let head = lake.store().head(&path).await;
    Ok(head.map_err(Error::reading(lake.name_of(&path)))?.last_modified)
}
