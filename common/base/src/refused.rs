//! Paths of a lake that are refused.

use std::path::PathBuf;

use object_store::Error;

/// The reason why a path of a lake is refused.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// A link that leads outside.
    #[error("{} leads to {}, which is in none of the places that may be read", .link.display(), .target.display())]
    LeadsOut {
        /// The path of the link.
        link: PathBuf,
        /// The path that it leads to.
        target: PathBuf,
    },
    /// A pipe, a device or the like: reading it may never end.
    #[error("{} is not a regular file", .0.display())]
    NotRegularFile(PathBuf),
}

impl Refused {
    /// The refusal in `error`, if it is one.
    pub fn of(error: &Error) -> Option<&Self> {
        match error {
            Error::PermissionDenied { source, .. } => source.downcast_ref(),
            _ => None,
        }
    }
}
