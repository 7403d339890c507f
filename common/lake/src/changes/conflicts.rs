//! Conflicts of changes that can't both be made, and the rule which one gives way.

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::location::Location;
use super::records::{Status, list_of, records};
use super::{Change, names, take_back};
use hindcast_base::{Error, Result};

/// Most attempts to read all changes while some of them end.
const MAX_LOOKS: u32 = 100;
/// Checks of another change while waiting for its decision.
const LOOKS: u32 = 20;

/// The reason why a change can't be made.
#[derive(Debug)]
pub(super) enum Conflict {
    /// Another change takes precedence.
    Change(String),
    /// A file to replace is gone.
    FileGone,
}

impl Conflict {
    /// The other change, if it is known.
    pub(super) fn id(self) -> Option<String> {
        match self {
            Self::Change(id) => Some(id),
            Self::FileGone => None,
        }
    }
}

/// Finds the conflict that keeps `change`, whose list is put, from being made. Changes that give way to it are taken back.
pub(super) async fn find_conflict(lake: &Location, change: &Change) -> Result<Option<Conflict>> {
    if change.replaces.is_empty() && change.exclusive.is_empty() {
        return Ok(None);
    }
    'again: for _ in 0..MAX_LOOKS {
        for (id, record) in records(lake).await? {
            if id == change.id || !matches!(record.status, Status::Open | Status::Committed) {
                continue;
            }
            let list = match record.list {
                Some(list) => Some(list),
                None => list_of(lake, &id).await?,
            };
            let Some(list) = list else { continue 'again };
            let gives_way = record.status == Status::Open && change.takes_precedence_over(&id);
            if change.conflicts_with(&list) && !(gives_way && take_back(lake, &id).await?) {
                return Ok(Some(Conflict::Change(id)));
            }
        }
        // Changes that ended before have deleted the files that they replaced.
        let is_whole = change.replaces.is_empty() || all_there(lake, &change.replaces).await?;
        return Ok((!is_whole).then_some(Conflict::FileGone));
    }
    Err(Error::Busy(format!("changes of {} end faster than they can be read", lake.url())))
}

/// Whether all of `paths`, which are data files below `lake`, exist.
async fn all_there(lake: &Location, paths: &[String]) -> Result<bool> {
    let folders: BTreeSet<&str> = paths.iter().filter_map(|path| names::date_folder(path)).collect();
    let mut found = BTreeSet::new();
    for folder in folders {
        // The path has the form in which the store writes it.
        let Some(folder) = names::absolute(lake, folder) else { return Ok(false) };
        let objects = lake.list(&folder).await?;
        found.extend(objects.iter().filter_map(|object| names::below(lake, &object.location)));
    }
    Ok(paths.iter().all(|path| found.contains(path)))
}

/// Waits for the decision of a change, and takes it back if there is none after `max_wait`. Returns whether it is taken back.
///
/// # Errors
/// [`Error::Storage`] if the store fails.
pub async fn wait_or_take_back(lake: &Location, id: &str, max_wait: Duration) -> Result<bool> {
    let mut looks = 0;
    loop {
        match records(lake).await?.get(id).map(|record| record.status) {
            Some(Status::Open) if looks < LOOKS && !max_wait.is_zero() => {
                looks += 1;
                tokio::time::sleep(max_wait / LOOKS).await;
            }
            Some(Status::Open) => return take_back(lake, id).await,
            Some(Status::Aborted) => return Ok(true),
            Some(Status::Committed | Status::Ended) | None => return Ok(false),
        }
    }
}

/// Decides which of two changes that add the same content is made: true if it is `own`. The one that began later waits up to
/// `max_wait` for the earlier one.
///
/// # Errors
/// [`Error::Storage`] if the store fails.
pub async fn prevails(lake: &Location, own: &str, other: &str, max_wait: Duration) -> Result<bool> {
    let max_wait = if own < other { Duration::ZERO } else { max_wait };
    wait_or_take_back(lake, other, max_wait).await
}
