//! A reader's view of a lake's changes: those that were committed at one moment.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use object_store::path::Path;

use super::super::location::Location;
use super::names;
use super::records::{Status, list_of, records};
use hindcast_base::{Error, Result};

/// Time for which a view is trusted: half of the time for which records of ended changes are kept.
const TRUSTED_FOR: Duration = Duration::from_secs(60 * 60);
/// Most attempts to read all changes while some of them end.
const MAX_READS: u32 = 100;

/// The changes of a lake as of one moment.
#[derive(Debug, Clone)]
pub struct View {
    /// `None` for a table at the root of a store, which lies in no lake.
    lake: Option<Location>,
    taken: Instant,
    /// Changes that were committed.
    committed: HashSet<String>,
    /// Changes that were not committed, or began later.
    hidden: HashSet<String>,
    /// Files that committed changes replace.
    replaced: HashSet<Path>,
}

impl View {
    /// The changes that concern the table in the folder `table`: those of its parent folder, which is its lake.
    ///
    /// # Errors
    /// [`Error::Storage`] if the store fails.
    pub async fn of_table(table: &Location) -> Result<Self> {
        Self::read(table.parent()).await
    }

    /// The changes of `lake`.
    ///
    /// # Errors
    /// [`Error::Storage`] if the store fails.
    pub async fn of_lake(lake: &Location) -> Result<Self> {
        Self::read(Some(lake.clone())).await
    }

    async fn read(lake: Option<Location>) -> Result<Self> {
        'again: for _ in 0..MAX_READS {
            let mut view = Self {
                lake: lake.clone(),
                taken: now(),
                committed: HashSet::new(),
                hidden: HashSet::new(),
                replaced: HashSet::new(),
            };
            let Some(lake) = &lake else { return Ok(view) };
            for (id, record) in records(lake).await? {
                match record.status {
                    Status::Open | Status::Aborted => {
                        view.hidden.insert(id);
                        continue;
                    }
                    Status::Ended => {}
                    Status::Committed => {
                        let Some(list) = list_of(lake, &id).await? else { continue 'again };
                        let replaced = list.replaces.iter().filter_map(|path| names::absolute(lake, path));
                        view.replaced.extend(replaced);
                    }
                }
                view.committed.insert(id);
            }
            return Ok(view);
        }
        let lake = lake.as_ref().map(Location::url).unwrap_or_default();
        Err(Error::Busy(format!("changes of {lake} end faster than they can be read")))
    }

    /// Whether the file at `path` is to be read.
    pub fn shows(&self, path: &Path) -> bool {
        let change = path.filename().and_then(names::change_of);
        change.is_none_or(|id| self.shows_change(id)) && !self.replaced.contains(path)
    }

    /// Whether files that the change `id` added are to be read.
    pub fn shows_change(&self, id: &str) -> bool {
        !self.hidden.contains(id)
    }

    /// Whether listings made since the view was read contain all files that it shows, in the folder `table`, or, without a table,
    /// in folders to which files are only added. Changes that were committed since are hidden from now on. If one of them replaced
    /// files of the table, those may be gone: false, and the caller reads a new view before it lists again. The same applies if this
    /// view is too old to be trusted.
    ///
    /// # Errors
    /// [`Error::Storage`] if the store fails.
    pub async fn still_holds(&mut self, table: Option<&Location>) -> Result<bool> {
        let Some(lake) = &self.lake else { return Ok(true) };
        let mut holds = true;
        for (id, record) in records(lake).await? {
            if self.committed.contains(&id) {
                continue;
            }
            if let Some(table) = table.filter(|_| record.is_committed) {
                holds &= match list_of(lake, &id).await? {
                    Some(list) => !list.replaces.iter().any(|path| is_in(lake, path, table)),
                    // It ended and its list is deleted, which takes longer than a view is trusted.
                    None => false,
                };
            }
            self.hidden.insert(id);
        }
        Ok(holds && now().duration_since(self.taken) <= TRUSTED_FOR)
    }
}

/// Whether the path below `lake` lies in the folder `table`.
fn is_in(lake: &Location, path: &str, table: &Location) -> bool {
    names::absolute(lake, path).is_none_or(|path| path.prefix_matches(table.prefix()))
}

#[cfg(not(test))]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
fn now() -> Instant {
    Instant::now() + super::stepped::passed()
}
