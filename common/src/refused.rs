//! Paths of a lake that are not followed.

use std::path::PathBuf;

use object_store::Error;

/// Why a path of a lake is not followed.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// A link.
    #[error("{} leads to {}, which is in none of the places that may be read", .link.display(), .target.display())]
    LeadsOut {
        /// The path that was asked for.
        link: PathBuf,
        /// Where it is.
        target: PathBuf,
    },
    /// A pipe, a device or the like, which may never end.
    #[error("{} is no regular file", .0.display())]
    NoFile(PathBuf),
}

impl Refused {
    /// What of `error` says that a path is refused.
    pub fn of(error: &Error) -> Option<&Self> {
        match error {
            Error::PermissionDenied { source, .. } => source.downcast_ref(),
            _ => None,
        }
    }
}
