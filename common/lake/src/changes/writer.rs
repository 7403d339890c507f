//! Makes a change with its list, its files and its decision, or takes it back.

use super::super::location::Location;
use super::conflicts::find_conflict;
use super::records::{self, Decided, ENDED};
use super::{Change, recovery};
use hindcast_base::Result;

/// The outcome of making a change.
#[derive(Debug)]
pub enum Made<T> {
    /// It is committed.
    Done(T),
    /// Nothing of it is visible: another change took precedence, with this id if it is known.
    Lost(Option<String>),
}

/// Makes `change`. `write` puts the files that it adds; it returns `None` if it has put nothing because the files to replace have
/// changed. All files become visible at once. `write` must not end while a put is in progress.
///
/// # Errors
/// The errors of `write`, and [`hindcast_base::Error::Storage`] if the store fails. Then nothing of the change is visible, or, if its decision
/// could not be read back, all of it.
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
            // Another process took it back and deletes its files, so writing failed.
            Ok(false) => Ok(Made::Lost(None)),
            Ok(true) => Err(error),
            Err(left) => {
                warn_left(change, &left);
                Err(error)
            }
        },
    }
}

fn warn_left(change: &Change, error: &hindcast_base::Error) {
    tracing::warn!(change = change.id, %error, "a change is left for the next import to clean up: nothing of it is read");
}

/// Commits `change`; false if another process has taken it back.
async fn commit(lake: &Location, change: &Change) -> Result<bool> {
    match records::decide(lake, &change.id, true).await? {
        Decided::Here | Decided::Committed => {
            if let Err(error) = recovery::carry_out(lake, change).await {
                tracing::warn!(change = change.id, %error, "the next import will delete the replaced files");
            }
            Ok(true)
        }
        Decided::Aborted | Decided::Gone => {
            // Deletes files that were put after the other process had deleted the rest.
            if let Err(error) = recovery::sweep(lake, change).await {
                warn_left(change, &error);
            }
            Ok(false)
        }
    }
}

/// Ends a change that added nothing.
async fn withdraw(lake: &Location, change: &Change) -> Result<()> {
    records::decide(lake, &change.id, false).await?;
    records::mark(lake, &change.id, ENDED).await
}

/// Takes back a change of this process; false if another process has done so.
async fn undo(lake: &Location, change: &Change) -> Result<bool> {
    let decided = records::decide(lake, &change.id, false).await?;
    recovery::sweep_aborted(lake, change).await?;
    Ok(decided == Decided::Here)
}

/// Takes back a change that is not committed, whether its writer is alive or not; false if it is committed.
///
/// # Errors
/// [`hindcast_base::Error::Storage`] if the store fails.
pub async fn take_back(lake: &Location, id: &str) -> Result<bool> {
    let decided = records::decide(lake, id, false).await?;
    if matches!(decided, Decided::Committed | Decided::Gone) {
        return Ok(false);
    }
    match records::list_of(lake, id).await? {
        Some(list) => recovery::sweep_aborted(lake, &list).await.map(|()| true),
        None if decided == Decided::Here => {
            // It ended long ago: this decision has no effect.
            records::forget(lake, id, records::DECISION).await?;
            Ok(false)
        }
        None => Ok(true),
    }
}
