//! Makes a change: its list, its files, its decision; or takes it back.

use super::super::location::Location;
use super::conflicts::find_conflict;
use super::records::{self, Decided, ENDED};
use super::{Change, recovery};
use crate::Result;

/// What became of a change.
#[derive(Debug)]
pub enum Made<T> {
    /// It is committed.
    Done(T),
    /// Nothing of it shows: another change came first, that of this id where it is known.
    Lost(Option<String>),
}

/// Makes `change`: `write` puts what it adds, and gives nothing where it has put nothing since what it replaces is not
/// there any more as it was. Nothing shows before all of it does. `write` must not leave a put under way behind it.
///
/// # Errors
/// Those of `write`, and [`crate::Error::Storage`] where the store fails. Nothing of the change shows then, or, where its decision could
/// not be read back, all of it.
pub async fn make<T>(
    lake: &Location,
    change: &Change,
    write: impl Future<Output = Result<Option<T>>>,
) -> Result<Made<T>> {
    records::put_list(lake, change).await?;
    match find_conflict(lake, change).await {
        Ok(None) => {}
        Ok(Some(conflict)) => return withdraw(lake, change).await.map(|()| Made::Lost(conflict.id())),
        Err(error) => {
            withdraw(lake, change).await.unwrap_or_else(|left| warn_left(change, &left));
            return Err(error);
        }
    }
    match write.await {
        Ok(Some(written)) => Ok(match commit(lake, change).await? {
            true => Made::Done(written),
            false => Made::Lost(None),
        }),
        Ok(None) => withdraw(lake, change).await.map(|()| Made::Lost(None)),
        Err(error) => match undo(lake, change).await {
            // What another process took back is deleted meanwhile: that is why writing failed.
            Ok(false) => Ok(Made::Lost(None)),
            Ok(true) => Err(error),
            Err(left) => {
                warn_left(change, &left);
                Err(error)
            }
        },
    }
}

fn warn_left(change: &Change, error: &crate::Error) {
    tracing::warn!(change = change.id, %error, "a change is left to the next import: nothing of it is read");
}

/// Shows what `change` adds and hides what it replaces; false where another process has taken it back.
async fn commit(lake: &Location, change: &Change) -> Result<bool> {
    match records::decide(lake, &change.id, true).await? {
        Decided::Here | Decided::Committed => {
            if let Err(error) = recovery::carry_out(lake, change).await {
                tracing::warn!(change = change.id, %error, "what was replaced is deleted by the next import");
            }
            Ok(true)
        }
        Decided::Aborted | Decided::Gone => {
            // What was put after the other process had deleted the rest.
            if let Err(error) = recovery::sweep(lake, change).await {
                warn_left(change, &error);
            }
            Ok(false)
        }
    }
}

/// Ends a change that has added nothing.
async fn withdraw(lake: &Location, change: &Change) -> Result<()> {
    records::decide(lake, &change.id, false).await?;
    records::mark(lake, &change.id, ENDED).await
}

/// Takes back what was begun here; false where another process has done so.
async fn undo(lake: &Location, change: &Change) -> Result<bool> {
    let decided = records::decide(lake, &change.id, false).await?;
    recovery::sweep_aborted(lake, change).await?;
    Ok(decided == Decided::Here)
}

/// Takes back a change, dead or alive, that is not committed; false where it is.
///
/// # Errors
/// [`crate::Error::Storage`] where the store fails.
pub async fn take_back(lake: &Location, id: &str) -> Result<bool> {
    let decided = records::decide(lake, id, false).await?;
    if matches!(decided, Decided::Committed | Decided::Gone) {
        return Ok(false);
    }
    match records::list_of(lake, id).await? {
        Some(list) => recovery::sweep_aborted(lake, &list).await.map(|()| true),
        None if decided == Decided::Here => {
            // It was over long before: the decision that was put decides nothing.
            records::forget(lake, id, records::DECISION).await?;
            Ok(false)
        }
        None => Ok(true),
    }
}
