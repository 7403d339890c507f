//! A lake's records of changes: lists, decisions, and their ends.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use object_store::path::Path;
use object_store::{Error as StoreError, ObjectStoreExt};

use super::super::location::Location;
use super::{Change, names};
use hindcast_base::retry::with_retries;
use hindcast_base::{Error, Result};

/// Folder of the lists and decisions in a lake.
pub(super) const FOLDER: &str = "_hindcast/changes";
/// Ending of a change's list.
pub(super) const LIST: &str = "json";
/// Ending of a change's decision.
pub(super) const DECISION: &str = "decision";
/// Ending of the object that marks a change as taken back.
pub(super) const TAKEN_BACK: &str = "aborted";
/// Ending of the object that marks a change as ended: nothing is left to do.
pub(super) const ENDED: &str = "ended";
/// Most attempts to read all changes while some of them end.
const MAX_READS: u32 = 100;
const COMMITTED: &[u8] = b"committed";
const ABORTED: &[u8] = b"aborted";

/// The status of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    /// It has no decision.
    Open,
    /// It is committed; the files that it replaces may still exist.
    Committed,
    /// It was taken back; the files that it added may still exist, or appear later.
    Aborted,
    /// It is complete: all files that it replaces are deleted, or it added nothing.
    Ended,
}

/// A change in the state in which another process finds it.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) status: Status,
    /// Time of the last put of any of its objects, by the store.
    pub(super) written: DateTime<Utc>,
    /// Whether its list exists.
    pub(super) has_list: bool,
    /// Whether the permanent mark exists that it was taken back.
    pub(super) is_taken_back: bool,
    /// Whether it is or was committed.
    pub(super) is_committed: bool,
    /// The list, if it was read to find the status.
    pub(super) list: Option<Change>,
}

/// The objects of a change in a listing.
#[derive(Default)]
struct Seen {
    list: bool,
    /// The size of the decision, which shows what it says.
    decision: Option<u64>,
    taken_back: bool,
    ended: bool,
    written: DateTime<Utc>,
}

/// The changes of `lake` by id. A change that is open in the result was open at some moment during this call.
///
/// # Errors
/// [`Error::Storage`] if the store fails.
pub(super) async fn records(lake: &Location) -> Result<BTreeMap<String, Record>> {
    'again: for _ in 0..MAX_READS {
        let mut records = BTreeMap::new();
        for (id, seen) in seen(lake).await? {
            let Some(status) = seen.status() else {
                // Meanwhile it may have been decided, or even deleted: it is open if it has no decision, and then still a list.
                let decision = read(lake, &id, DECISION).await?;
                let Some(list) = list_of(lake, &id).await? else { continue 'again };
                let status = decision.map_or(Status::Open, |decision| status_of(decision.len() as u64));
                records.insert(id, seen.record(status, Some(list)));
                continue;
            };
            // The decision of a change without a list decides nothing.
            if status != Status::Aborted || seen.list || seen.taken_back {
                records.insert(id, seen.record(status, None));
            }
        }
        return Ok(records);
    }
    Err(Error::Busy(format!("changes of {} end faster than they can be read", lake.url())))
}

impl Seen {
    fn record(&self, status: Status, list: Option<Change>) -> Record {
        Record {
            status,
            written: self.written,
            has_list: self.list,
            is_taken_back: self.taken_back,
            // The decision of a change that ended long ago is deleted before its other objects.
            is_committed: match self.decision {
                Some(bytes) => status_of(bytes) == Status::Committed,
                None => matches!(status, Status::Committed | Status::Ended),
            },
            list,
        }
    }

    /// The status from the listing; `None` if the decision must be read.
    fn status(&self) -> Option<Status> {
        match (self.taken_back, self.ended, self.decision) {
            (true, _, _) => Some(Status::Aborted),
            (false, true, _) => Some(Status::Ended),
            (false, false, Some(bytes)) => match status_of(bytes) {
                Status::Committed if !self.list => Some(Status::Ended),
                status => Some(status),
            },
            (false, false, None) => None,
        }
    }
}

fn status_of(decision_bytes: u64) -> Status {
    if decision_bytes == COMMITTED.len() as u64 { Status::Committed } else { Status::Aborted }
}

async fn seen(lake: &Location) -> Result<BTreeMap<String, Seen>> {
    let mut all: BTreeMap<String, Seen> = BTreeMap::new();
    for object in lake.list(&lake.child(FOLDER)).await? {
        let Some((id, ending)) = object.location.filename().and_then(|name| name.split_once('.')) else {
            continue;
        };
        if !names::is_id(id) {
            continue;
        }
        let seen = all.entry(id.to_owned()).or_default();
        match ending {
            LIST => seen.list = true,
            DECISION => seen.decision = Some(object.size),
            TAKEN_BACK => seen.taken_back = true,
            ENDED => seen.ended = true,
            _ => continue,
        }
        seen.written = seen.written.max(object.last_modified);
    }
    all.retain(|_, seen| seen.list || seen.decision.is_some() || seen.taken_back || seen.ended);
    Ok(all)
}

/// The part of a change's list that counts, which is empty if it can't be parsed; `None` if there is no list.
pub(super) async fn list_of(lake: &Location, id: &str) -> Result<Option<Change>> {
    let Some(text) = read(lake, id, LIST).await? else { return Ok(None) };
    let list = serde_json::from_slice(&text).unwrap_or_else(|error| {
        let name = lake.name_of(&object(lake, id, LIST));
        tracing::warn!(target: "lake", %error, "{name} is not the list of a change: files with its id are not read");
        Change::default()
    });
    Ok(Some(names::trusted(lake, id, list)))
}

/// Puts the list of a change.
pub(super) async fn put_list(lake: &Location, change: &Change) -> Result<()> {
    let list = serde_json::to_vec(change).map_err(|error| Error::Internal(error.to_string()))?;
    put_once(lake, &object(lake, &change.id, LIST), &list).await.map(|_| ())
}

/// The decision on a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decided {
    /// This call made the decision.
    Here,
    /// It was committed before.
    Committed,
    /// It was taken back before.
    Aborted,
    /// It ended, and its decision is deleted.
    Gone,
}

/// Decides a change, as committed or as aborted, unless it is decided already.
pub(super) async fn decide(lake: &Location, id: &str, is_committed: bool) -> Result<Decided> {
    let decision = if is_committed { COMMITTED } else { ABORTED };
    if put_once(lake, &object(lake, id, DECISION), decision).await? {
        return Ok(Decided::Here);
    }
    Ok(match read(lake, id, DECISION).await? {
        Some(found) if found == COMMITTED => Decided::Committed,
        Some(_) => Decided::Aborted,
        None => Decided::Gone,
    })
}

/// Marks a change with an empty object.
pub(super) async fn mark(lake: &Location, id: &str, ending: &str) -> Result<()> {
    lake.put(&object(lake, id, ending), Vec::new()).await
}

/// Deletes the object of a change with `ending`, if it exists.
pub(super) async fn forget(lake: &Location, id: &str, ending: &str) -> Result<()> {
    delete(lake, &object(lake, id, ending)).await
}

/// Deletes an object, if it exists.
pub(super) async fn delete(lake: &Location, path: &Path) -> Result<()> {
    with_retries(|| async {
        match lake.store().delete(path).await {
            Ok(()) | Err(StoreError::NotFound { .. }) => Ok(()),
            Err(error) => Err(Error::deleting(lake.name_of(path))(error)),
        }
    })
    .await
}

async fn read(lake: &Location, id: &str, ending: &str) -> Result<Option<bytes::Bytes>> {
    lake.read(&format!("{FOLDER}/{id}.{ending}")).await
}

async fn put_once(lake: &Location, path: &Path, content: &[u8]) -> Result<bool> {
    with_retries(|| lake.put_if_absent(path, content.to_vec())).await
}

fn object(lake: &Location, id: &str, ending: &str) -> Path {
    lake.child(&format!("{FOLDER}/{id}.{ending}"))
}
