//! Changes of several files of a lake at once: they show all together or not at all, whenever their writer is killed.
//!
//! A change is an object that lists what it adds and what it replaces. What it adds is not read until its decision, a
//! second object that is put once, says `committed`; from then on what it replaces is not read.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Duration, Utc};
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{Error as StoreError, ObjectStoreExt, PutMode, PutPayload};
use serde::{Deserialize, Serialize};

use super::location::Location;
use crate::retry::with_retries;
use crate::{Error, Result};

/// Where a lake's changes under way lie.
const FOLDER: &str = "_hindcast/changes";
/// Ending of a change's list.
const LIST: &str = ".json";
/// Ending of a change's decision.
const DECISION: &str = ".decision";
const COMMITTED: &[u8] = b"committed";
const ABORTED: &[u8] = b"aborted";
/// Age from which a change without a decision is taken to be that of a dead process.
const ABANDONED_AFTER: Duration = Duration::hours(6);

/// Objects that come and go together, by their paths below the store's root.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What it is called: letters, digits and `-`, different for each attempt.
    pub id: String,
    /// Objects it adds.
    pub adds: Vec<String>,
    /// Objects it replaces.
    pub replaces: Vec<String>,
}

/// A change as another process finds it.
#[derive(Debug)]
struct Found {
    change: Change,
    is_committed: Option<bool>,
    written: DateTime<Utc>,
}

/// Paths of a lake that are not to be read, since a change is under way.
///
/// # Errors
/// [`Error::Storage`] where the store fails.
pub async fn hidden_files(lake: &Location) -> Result<HashSet<String>> {
    let found = found(lake).await?;
    Ok(found
        .into_iter()
        .flat_map(
            |found| if found.is_committed == Some(true) { found.change.replaces } else { found.change.adds },
        )
        .collect())
}

/// Says what is about to be added; nothing of it is read before [`commit`].
///
/// # Errors
/// [`Error::Storage`] where the store fails.
pub async fn begin(lake: &Location, change: &Change) -> Result<()> {
    let list = serde_json::to_vec(change).map_err(|error| Error::Internal(error.to_string()))?;
    put_once(lake, &object(lake, &change.id, LIST), &list).await.map(|_| ())
}

/// Shows what `change` adds and hides what it replaces, which is then deleted.
///
/// # Errors
/// [`Error::Storage`] where the store fails, [`Error::Config`] where another process has undone the change.
pub async fn commit(lake: &Location, change: &Change) -> Result<()> {
    if !decide(lake, &change.id, COMMITTED).await? {
        return Err(Error::Config(format!("the change {} was undone by another process", change.id)));
    }
    finish(lake, change, &change.replaces, true).await
}

/// Takes `change` back: what it added is deleted. The decision stays, so that a process that was only slow can't commit.
///
/// # Errors
/// [`Error::Storage`] where the store fails.
pub async fn abort(lake: &Location, change: &Change) -> Result<()> {
    if decide(lake, &change.id, ABORTED).await? {
        finish(lake, change, &change.adds, false).await?;
    }
    Ok(())
}

/// Takes back another process's change, dead or alive; false where it is committed already.
///
/// # Errors
/// [`Error::Storage`] where the store fails.
pub async fn undo(lake: &Location, id: &str) -> Result<bool> {
    let list = format!("{FOLDER}/{id}{LIST}");
    if lake.read(&list).await?.is_none() || !decide(lake, id, ABORTED).await? {
        return Ok(false);
    }
    // Gone between the two: it was carried out, and its decision is forgotten already.
    let Some(bytes) = lake.read(&list).await? else { return Ok(false) };
    let change: Change = serde_json::from_slice(&bytes)
        .map_err(|error| Error::Config(format!("{list} is no list of a change: {error}")))?;
    finish(lake, &change, &change.adds, false).await?;
    Ok(true)
}

/// Ends changes that processes left behind: decided ones are carried out, old ones without a decision are taken back.
/// Gives how many were taken back.
///
/// # Errors
/// [`Error::Storage`] where the store fails.
pub async fn recover(lake: &Location, now: DateTime<Utc>) -> Result<usize> {
    let mut taken_back = 0;
    for found in found(lake).await? {
        match found.is_committed {
            Some(true) => finish(lake, &found.change, &found.change.replaces, true).await?,
            Some(false) => finish(lake, &found.change, &found.change.adds, false).await?,
            None if now - found.written > ABANDONED_AFTER => {
                abort(lake, &found.change).await?;
                taken_back += 1;
            }
            None => {}
        }
    }
    Ok(taken_back)
}

/// Deletes `paths`, which need not be there, then the change's list, and its decision where that is `forgotten`.
async fn finish(lake: &Location, change: &Change, paths: &[String], forgotten: bool) -> Result<()> {
    // The list goes before the decision: a list alone would be a change that is still under way.
    let decision = forgotten.then(|| object(lake, &change.id, DECISION));
    let of_change = [object(lake, &change.id, LIST)].into_iter().chain(decision);
    let listed = paths.iter().map(|path| Path::parse(path).unwrap_or_else(|_| path.as_str().into()));
    for path in listed.chain(of_change) {
        with_retries(|| async {
            match lake.store().delete(&path).await {
                Ok(()) | Err(StoreError::NotFound { .. }) => Ok(()),
                Err(error) => Err(Error::storage(format!("deleting {}", lake.name_of(&path)))(error)),
            }
        })
        .await?;
    }
    Ok(())
}

/// Whether the decision is now `decision`, taken here or before.
async fn decide(lake: &Location, id: &str, decision: &[u8]) -> Result<bool> {
    let path = object(lake, id, DECISION);
    if put_once(lake, &path, decision).await? {
        return Ok(true);
    }
    Ok(lake.read(&format!("{FOLDER}/{id}{DECISION}")).await?.is_some_and(|told| told == decision))
}

async fn found(lake: &Location) -> Result<Vec<Found>> {
    let folder = lake.child(FOLDER);
    let objects: Vec<_> = with_retries(|| async {
        lake.store()
            .list(Some(&folder))
            .try_collect()
            .await
            .map_err(Error::storage(format!("listing {}", lake.name_of(&folder))))
    })
    .await?;
    let mut lists = BTreeMap::new();
    for object in &objects {
        if let Some(id) = object.location.filename().and_then(|name| name.strip_suffix(LIST)) {
            lists.insert(id.to_owned(), object.last_modified);
        }
    }
    let mut found = Vec::new();
    for (id, written) in lists {
        // The decision first: where the list is read after it, the list is whole or gone.
        let decision = lake.read(&format!("{FOLDER}/{id}{DECISION}")).await?;
        let Some(list) = lake.read(&format!("{FOLDER}/{id}{LIST}")).await? else { continue };
        let change = serde_json::from_slice(&list).map_err(|error| {
            let name = lake.name_of(&object(lake, &id, LIST));
            Error::Config(format!("{name} is no list of a change: {error}"))
        })?;
        found.push(Found { change, is_committed: decision.map(|told| told == COMMITTED), written });
    }
    Ok(found)
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
    lake.child(&format!("{FOLDER}/{id}{ending}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An instant, so many seconds after 1970.
    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    async fn put(lake: &Location, name: &str) -> String {
        let path = lake.child(name);
        lake.store().put(&path, PutPayload::from_static(b"x")).await.unwrap();
        path.to_string()
    }

    async fn names(lake: &Location) -> Vec<String> {
        let found: Vec<_> = lake.store().list(Some(lake.prefix())).try_collect().await.unwrap();
        let mut names: Vec<String> =
            found.iter().filter_map(|object| object.location.filename().map(str::to_owned)).collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn files_come_and_go_together() {
        let folder = tempfile::tempdir().unwrap();
        let lake = Location::parse(&folder.path().display().to_string()).unwrap();
        let old = put(&lake, "T/old").await;
        let change = Change {
            id: "c1".into(),
            adds: vec![lake.child("T/new").to_string()],
            replaces: vec![old.clone()],
        };
        begin(&lake, &change).await.unwrap();
        put(&lake, "T/new").await;
        assert_eq!(hidden_files(&lake).await.unwrap(), HashSet::from([change.adds[0].clone()]));
        assert_eq!(recover(&lake, at(0)).await.unwrap(), 0);
        commit(&lake, &change).await.unwrap();
        assert!(hidden_files(&lake).await.unwrap().is_empty());
        assert_eq!(names(&lake).await, ["new"]);
    }

    #[tokio::test]
    async fn what_a_dead_process_left_is_undone_or_carried_out() {
        let folder = tempfile::tempdir().unwrap();
        let lake = Location::parse(&folder.path().display().to_string()).unwrap();
        let change = |id: &str, add: &str, replaces: &str| Change {
            id: id.into(),
            adds: vec![lake.child(add).to_string()],
            replaces: vec![lake.child(replaces).to_string()],
        };
        for name in ["T/a-new", "T/a-old", "T/b-new", "T/b-old"] {
            put(&lake, name).await;
        }
        let (undecided, decided) = (change("a", "T/a-new", "T/a-old"), change("b", "T/b-new", "T/b-old"));
        begin(&lake, &undecided).await.unwrap();
        begin(&lake, &decided).await.unwrap();
        assert!(decide(&lake, "b", COMMITTED).await.unwrap());
        let hidden = hidden_files(&lake).await.unwrap();
        assert_eq!(hidden, HashSet::from([undecided.adds[0].clone(), decided.replaces[0].clone()]));
        assert_eq!(recover(&lake, at(1 << 33)).await.unwrap(), 1);
        assert_eq!(names(&lake).await, ["a-old", "a.decision", "b-new"]);
        assert!(commit(&lake, &undecided).await.is_err());
    }
}
