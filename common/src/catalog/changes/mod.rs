//! Changes of several files of a lake at once: they show all together or not at all, whoever writes beside, and whenever
//! their writer is killed.
//!
//! Stores need no more than what all of them have: reads and listings that see what was put before them, and objects that can be put
//! only where there is none. No clock of a process counts, and no process need end well.
//!
//! **A writer** ([`make`]) puts, below `_hindcast/changes/`, first `ID.json`: what the change adds and replaces. Then it looks for
//! conflicts, puts its files, and decides: `ID.decision` can be put once, and says `committed` or `aborted`. With `committed` all that
//! was added shows, and what was replaced does not. Then what is replaced is deleted, and `ID.ended` is put.
//!
//! **A file tells its change by its name**, `ID-NNNN.parquet`. A list is never trusted: what it names counts only
//! where it is below its own lake and bears the change's id, and what it replaces only in date folders that it adds to.
//!
//! **Rivals** are changes that replace the same file, or that both answer for a date alone ([`Change::exclusive`]). Each puts its list
//! before it looks, so at least one of two sees the other. The later gives way, a compaction always; the earlier takes back
//! a later one that is not decided. Then what is to be replaced must still be there.
//!
//! **Taking back** ([`take_back`]) puts `aborted`, sees that the list is there, puts `ID.aborted`, and deletes what was added. A writer that
//! was only slow can't commit any more. What it still puts stays hidden: `ID.aborted` and the decision are kept for ever.
//!
//! **A reader** ([`View`]) reads the changes before and after it lists. What was not committed before is hidden, whatever
//! becomes of it; where a change that replaces files of the table was committed in between, it lists again. Lists and
//! decisions of changes that ended are kept for two hours, so that none begins and ends unseen between the two.
//!
//! **Recovery** ([`recover`]), by any later writer, carries out what is decided, and takes back what has had no decision for six hours by the
//! store's own clock. Whatever it deletes bears the id of an aborted change, or was replaced by a committed one.

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
use crate::{Error, Result};

pub use conflicts::{prevails, wait_or_take_back};
pub use recovery::recover;
pub use view::View;
pub use writer::{Made, make, take_back};

/// Objects that come and go together, by their paths below the lake.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What it is called: its kind, `-`, and a UUID, different for each attempt.
    pub id: String,
    /// Objects it adds; it need not add them all.
    pub adds: Vec<String>,
    /// Data files it replaces.
    pub replaces: Vec<String>,
    /// Date folders in which no other change that says so may be made at the same time.
    #[serde(default, skip_serializing_if = "Vec::is_empty", rename = "alone")]
    pub exclusive: Vec<String>,
}

impl Change {
    /// A change that adds and replaces objects of `lake`.
    ///
    /// # Errors
    /// [`Error::Internal`] for an object of another place.
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

    /// The same change, which no other of its kind may be made beside in the date folders it adds to.
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

    /// Whether this one goes on where the two meet: compactions give way, then what began later.
    fn takes_precedence_over(&self, id: &str) -> bool {
        let rank = |id: &str| (id.starts_with("compact-"), id.to_owned());
        rank(&self.id) < rank(id)
    }
}
