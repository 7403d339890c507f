//! Atomic changes of several files of a lake: readers see all of a change or nothing, with concurrent writers, and whenever a
//! writer is killed.
//!
//! This needs only what all stores have: reads and listings that see earlier puts, and a put that fails if the object exists. It does
//! not depend on the clocks of processes, or on a process that ends properly.
//!
//! **A writer** ([`make`]) first puts `_hindcast/changes/ID.json`, the list of the files that the change adds and replaces. Then it
//! checks for conflicts, puts its files, and decides: `ID.decision` can be put once, and contains `committed` or `aborted`. With
//! `committed`, added files become visible and replaced ones invisible. Then the writer deletes the replaced files and puts `ID.ended`.
//!
//! **The name of a file contains the id of its change**: `ID-NNNN.parquet`. A list is never trusted: of what it adds, only files in its
//! own lake with the change's id count, and of what it replaces, only files in date folders to which it adds.
//!
//! **Conflicts**: two changes conflict if they replace the same file, or if both are exclusive in a date folder
//! ([`Change::exclusive`]). Each puts its list before it checks, so at least one of the two sees the other. The later change gives way,
//! and a compaction always does; the earlier one takes back a later one that is undecided. After that, the files to replace must
//! still exist.
//!
//! **Taking back** ([`take_back`]) puts `aborted`, checks that the list exists, puts `ID.aborted`, and deletes the added files. A writer
//! that is only slow can't commit any more. Files that it puts later stay hidden: `ID.aborted` and the decision are kept for ever.
//!
//! **A reader** ([`View`]) reads the changes before and after it lists files. Changes that were not committed before are hidden, even
//! if they commit later. If a change that replaces files of the table was committed in between, the reader lists again. Lists and
//! decisions of ended changes are kept for two hours, so that no change begins and ends unnoticed between the two reads.
//!
//! **Recovery** ([`recover`]), by any later writer, completes decided changes, and takes back those that have had no decision for
//! six hours by the clock of the store. It deletes only files with the id of an aborted change, or files that a committed change replaced.

mod conflicts;
mod names;
mod records;
mod recovery;
mod view;
mod writer;

#[cfg(test)]
mod interleavings;
#[cfg(test)]
mod stepped;
#[cfg(test)]
mod tests;

use object_store::path::Path;
use serde::{Deserialize, Serialize};

use super::location::Location;
use hindcast_base::{Error, Result};

pub use conflicts::{prevails, wait_or_take_back};
pub use recovery::recover;
pub use view::View;
pub use writer::{Made, make, take_back};

/// Objects that are added and replaced together, by their paths below the lake.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Its kind, `-`, and a UUID that differs for each attempt.
    pub id: String,
    /// Objects that it adds; some of them may be missing.
    pub adds: Vec<String>,
    /// Data files that it replaces.
    pub replaces: Vec<String>,
    /// Date folders in which no other exclusive change may be made at the same time.
    #[serde(default, skip_serializing_if = "Vec::is_empty", rename = "alone")]
    pub exclusive: Vec<String>,
}

impl Change {
    /// A change that adds and replaces objects of `lake`.
    ///
    /// # Errors
    /// [`Error::Internal`] for an object outside of the lake.
    pub fn of<'a>(
        lake: &Location,
        id: &str,
        adds: impl IntoIterator<Item = &'a Path>,
        replaces: impl IntoIterator<Item = &'a Path>,
    ) -> Result<Self> {
        let below = |path: &Path| {
            names::below(lake, path).ok_or_else(|| Error::Internal(format!("{path} is not in the lake")))
        };
        Ok(Self {
            id: id.to_owned(),
            adds: adds.into_iter().map(below).collect::<Result<_>>()?,
            replaces: replaces.into_iter().map(below).collect::<Result<_>>()?,
            exclusive: Vec::new(),
        })
    }

    /// Makes the change exclusive in the date folders to which it adds: no other exclusive change may be made there at the same time.
    #[must_use]
    pub fn exclusive(mut self) -> Self {
        self.exclusive =
            self.adds.iter().filter_map(|path| names::date_folder(path)).map(str::to_owned).collect();
        self.exclusive.sort();
        self.exclusive.dedup();
        self
    }

    /// Whether only one of the two may commit.
    fn conflicts_with(&self, other: &Self) -> bool {
        self.replaces.iter().any(|path| other.replaces.contains(path))
            || self.exclusive.iter().any(|folder| other.exclusive.contains(folder))
    }

    /// Whether this change continues if the two conflict: a compaction gives way to others, and the later one to the earlier.
    fn takes_precedence_over(&self, id: &str) -> bool {
        let rank = |id: &str| (id.starts_with("compact-"), id.to_owned());
        rank(&self.id) < rank(id)
    }
}
