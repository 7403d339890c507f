//! What a lake keeps of changes: lists, decisions, and how they ended.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{Error as StoreError, ObjectMeta, ObjectStoreExt, PutMode, PutPayload};

use super::super::location::Location;
use super::{Change, names};
use crate::retry::with_retries;
use crate::{Error, Result};

/// Folder of a lake's lists of changes and decisions.
pub(super) const FOLDER: &str = "_hindcast/changes";
/// Ending of a change's list.
pub(super) const LIST: &str = "json";
/// Ending of a change's decision.
pub(super) const DECISION: &str = "decision";
/// Ending of what says that a change was taken back.
pub(super) const TAKEN_BACK: &str = "aborted";
/// Ending of what says that nothing is left to do for a change.
pub(super) const ENDED: &str = "ended";
/// Listings at most until none is outrun by changes that end meanwhile.
const MAX_READS: u32 = 100;
const COMMITTED: &[u8] = b"committed";
const ABORTED: &[u8] = b"aborted";

/// What has become of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    /// It has no decision.
    Open,
    /// It is committed; what it replaces may still be there.
    Committed,
    /// It was taken back; what it added may still be there, or come.
    Aborted,
    /// It is over: all that it replaces is gone, or it added nothing.
    Ended,
}

/// A change as another process finds it.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) status: Status,
    /// When the store got what was put last of it.
    pub(super) written: DateTime<Utc>,
    /// Whether its list is there.
    pub(super) has_list: bool,
    /// Whether the lake keeps for good that it was taken back.
    pub(super) is_taken_back: bool,
    /// Whether it is or was committed.
    pub(super) is_committed: bool,
    /// The list, where finding the status took reading it.
    pub(super) list: Option<Change>,
}

/// Which objects a listing shows of a change.
#[derive(Default)]
struct Seen {
    list: bool,
    /// The decision's size, which tells which it is.
    decision: Option<u64>,
    taken_back: bool,
    ended: bool,
    written: DateTime<Utc>,
}

/// The changes of `lake` by id. A change that is open here was so at some moment of this call.
///
/// # Errors
/// [`Error::Storage`] where the store fails.
pub(super) async fn records(lake: &Location) -> Result<BTreeMap<String, Record>> {
    'again: for _ in 0..MAX_READS {
        let mut records = BTreeMap::new();
        for (id, seen) in seen(lake).await? {
            let Some(status) = seen.status() else {
                // The decision may have come since, and all of it gone: open is what has a list after it had no decision.
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
            // Of what is long over the decision goes before the rest.
            is_committed: match self.decision {
                Some(bytes) => status_of(bytes) == Status::Committed,
                None => matches!(status, Status::Committed | Status::Ended),
            },
            list,
        }
    }

    /// What the listing tells; nothing where the decision must be asked for.
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
    let folder = lake.child(FOLDER);
    let objects: Vec<ObjectMeta> = with_retries(|| async {
        let listed = lake.store().list(Some(&folder)).try_collect().await;
        listed.map_err(Error::storage(format!("listing {}", lake.name_of(&folder))))
    })
    .await?;
    let mut all: BTreeMap<String, Seen> = BTreeMap::new();
    for object in objects {
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

/// What counts of a change's list: nothing where it can't be read as one; `None` where there is no list.
pub(super) async fn list_of(lake: &Location, id: &str) -> Result<Option<Change>> {
    let Some(text) = read(lake, id, LIST).await? else { return Ok(None) };
    let list = serde_json::from_slice(&text).unwrap_or_else(|error| {
        let name = lake.name_of(&object(lake, id, LIST));
        tracing::warn!(target: "lake", %error, "{name} is no list of a change: files that bear its name are not read");
        Change::default()
    });
    Ok(Some(names::trusted(lake, id, list)))
}

/// Puts the list of a change.
pub(super) async fn put_list(lake: &Location, change: &Change) -> Result<()> {
    let list = serde_json::to_vec(change).map_err(|error| Error::Internal(error.to_string()))?;
    put_once(lake, &object(lake, &change.id, LIST), &list).await.map(|_| ())
}

/// How a change is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decided {
    /// As asked, here.
    Here,
    /// Committed, here or before.
    Committed,
    /// Taken back, by another process or before.
    Aborted,
    /// It was, and is over.
    Gone,
}

/// Decides a change: to be committed, or taken back.
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

/// Says of a change what an object without content says.
pub(super) async fn mark(lake: &Location, id: &str, ending: &str) -> Result<()> {
    lake.put(&object(lake, id, ending), Vec::new()).await
}

/// Deletes what is kept of a change under `ending`, where it is there.
pub(super) async fn forget(lake: &Location, id: &str, ending: &str) -> Result<()> {
    delete(lake, &object(lake, id, ending)).await
}

/// Deletes an object, where it is there.
pub(super) async fn delete(lake: &Location, path: &Path) -> Result<()> {
    with_retries(|| async {
        match lake.store().delete(path).await {
            Ok(()) | Err(StoreError::NotFound { .. }) => Ok(()),
            Err(error) => Err(Error::storage(format!("deleting {}", lake.name_of(path)))(error)),
        }
    })
    .await
}

async fn read(lake: &Location, id: &str, ending: &str) -> Result<Option<bytes::Bytes>> {
    lake.read(&format!("{FOLDER}/{id}.{ending}")).await
}

/// Whether `content` was put at `path`: not where something is there.
async fn put_once(lake: &Location, path: &Path, content: &[u8]) -> Result<bool> {
    with_retries(|| async {
        let payload = PutPayload::from(content.to_vec());
        match lake.store().put_opts(path, payload, PutMode::Create.into()).await {
            Ok(_) => Ok(true),
            Err(StoreError::AlreadyExists { .. }) => Ok(false),
            Err(error) => Err(Error::storage(format!("writing {}", lake.name_of(path)))(error)),
        }
    })
    .await
}

fn object(lake: &Location, id: &str, ending: &str) -> Path {
    lake.child(&format!("{FOLDER}/{id}.{ending}"))
}
