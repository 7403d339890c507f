//! Faults of object stores: what was done with which object, and why it failed.

use std::fmt;

use object_store::Error as StoreError;
use serde::{Deserialize, Serialize};

use crate::error::causes;
use crate::refused::Refused;
use crate::{Error, ErrorKind};

/// What was done with an object or a folder of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum StorageOperation {
    /// Reading it, or its metadata.
    Reading,
    /// Writing it.
    Writing,
    /// Listing it.
    Listing,
    /// Deleting it.
    Deleting,
}

/// Why a store failed, by what can be done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum StorageFaultKind {
    /// There is no such object.
    NotFound,
    /// The object is not the expected one: it changed, or exists already.
    Changed,
    /// The credentials do not allow it.
    Denied,
    /// The store did not answer, or answered with an error of its own: a retry may succeed.
    Temporary,
    /// A retry fails in the same way.
    Permanent,
}

/// A request to an object store that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageFault {
    /// What was done.
    pub operation: StorageOperation,
    /// Path or URL of the object or folder.
    pub object: String,
    /// Why it failed.
    pub kind: StorageFaultKind,
    /// The message of the store.
    pub reason: String,
}

impl fmt::Display for StorageOperation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Reading => "reading",
            Self::Writing => "writing",
            Self::Listing => "listing",
            Self::Deleting => "deleting",
        })
    }
}

impl fmt::Display for StorageFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { operation, object, reason, .. } = self;
        write!(formatter, "{operation} {object}: {reason}")
    }
}

impl StorageFaultKind {
    pub(crate) fn of(error: &StoreError) -> Self {
        match error {
            StoreError::NotFound { .. } => Self::NotFound,
            StoreError::Precondition { .. }
            | StoreError::AlreadyExists { .. }
            | StoreError::NotModified { .. } => Self::Changed,
            StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. } => Self::Denied,
            StoreError::Generic { .. } => Self::Temporary,
            _ => Self::Permanent,
        }
    }

    /// What a caller can do about it. A missing or changed object is not a fault of its store: another request finds the same.
    pub(crate) fn error_kind(self) -> ErrorKind {
        match self {
            Self::NotFound => ErrorKind::Data,
            Self::Changed => ErrorKind::Conflict,
            Self::Denied | Self::Temporary | Self::Permanent => ErrorKind::Unavailable,
        }
    }

    /// Whether the store is at fault, not the object.
    fn is_of_store(self) -> bool {
        self.error_kind() == ErrorKind::Unavailable
    }
}

impl StorageFault {
    /// The fault of `error` during an operation on `object`.
    pub fn of(operation: StorageOperation, object: impl fmt::Display, error: &StoreError) -> Self {
        Self {
            operation,
            object: object.to_string(),
            kind: StorageFaultKind::of(error),
            reason: error.to_string(),
        }
    }

    /// A fault that a retry may not meet again.
    pub fn temporary(
        operation: StorageOperation,
        object: impl fmt::Display,
        reason: impl fmt::Display,
    ) -> Self {
        let (object, reason) = (object.to_string(), reason.to_string());
        Self { operation, object, kind: StorageFaultKind::Temporary, reason }
    }

    /// Whether a retry may succeed.
    pub(crate) fn is_temporary(&self) -> bool {
        self.kind == StorageFaultKind::Temporary
    }
}

impl Error {
    /// An [`Error::Storage`] about reading an object; an [`Error::Invalid`] if a path of a lake may not be followed.
    pub fn reading(object: impl fmt::Display) -> impl FnOnce(StoreError) -> Self {
        failed(StorageOperation::Reading, object)
    }

    /// Like [`Error::reading`], about writing.
    pub fn writing(object: impl fmt::Display) -> impl FnOnce(StoreError) -> Self {
        failed(StorageOperation::Writing, object)
    }

    /// Like [`Error::reading`], about listing a folder.
    pub fn listing(folder: impl fmt::Display) -> impl FnOnce(StoreError) -> Self {
        failed(StorageOperation::Listing, folder)
    }

    /// Like [`Error::reading`], about deleting.
    pub fn deleting(object: impl fmt::Display) -> impl FnOnce(StoreError) -> Self {
        failed(StorageOperation::Deleting, object)
    }
}

fn failed(operation: StorageOperation, object: impl fmt::Display) -> impl FnOnce(StoreError) -> Error {
    let object = object.to_string();
    move |error| match Refused::of(&error) {
        Some(refused) => Error::Invalid(format!("{operation} {object}: {refused}")),
        None => Error::Storage(StorageFault::of(operation, object, &error)),
    }
}

/// The fault of a store that caused `error` while reading `object`, if one did. A file that is gone or has changed is not a fault
/// of its store: a retry fails in the same way.
pub fn storage_fault(object: &str, error: &(dyn std::error::Error + 'static)) -> Option<StorageFault> {
    let fault = causes(error).find_map(|cause| {
        match (cause.downcast_ref::<StoreError>(), cause.downcast_ref::<Error>()) {
            (Some(failure), _) => Some(StorageFault::of(StorageOperation::Reading, object, failure)),
            (None, Some(Error::Storage(fault))) => {
                let (operation, object) = (StorageOperation::Reading, object.to_owned());
                Some(StorageFault { operation, object, ..fault.clone() })
            }
            _ => None,
        }
    });
    fault.filter(|fault| fault.kind.is_of_store())
}

/// Whether a store caused `error`.
pub fn is_of_store(error: &(dyn std::error::Error + 'static)) -> bool {
    storage_fault("", error).is_some()
}

#[cfg(test)]
mod tests {
    use datafusion::error::DataFusionError;

    use super::*;

    fn broken() -> StoreError {
        StoreError::Generic { store: "S3", source: "the connection was reset".into() }
    }

    fn gone() -> StoreError {
        StoreError::NotFound { path: "lake/a.parquet".into(), source: "404".into() }
    }

    #[test]
    fn a_fault_has_its_facts_and_formats_them() {
        let Error::Storage(fault) = Error::reading("lake/a.parquet")(broken()) else {
            panic!("another error")
        };
        assert_eq!((fault.operation, fault.object.as_str()), (StorageOperation::Reading, "lake/a.parquet"));
        assert!(fault.is_temporary());
        let text = fault.to_string();
        assert!(text.starts_with("reading lake/a.parquet: ") && text.contains("reset"), "{text}");
        let json = serde_json::to_string(&fault).unwrap();
        assert_eq!(serde_json::from_str::<StorageFault>(&json).unwrap(), fault);
        for (error, kind) in [
            (gone(), StorageFaultKind::NotFound),
            (
                StoreError::PermissionDenied { path: "a".into(), source: "403".into() },
                StorageFaultKind::Denied,
            ),
            (StoreError::AlreadyExists { path: "a".into(), source: "412".into() }, StorageFaultKind::Changed),
            (
                StoreError::NotImplemented { operation: "x".into(), implementer: "y".into() },
                StorageFaultKind::Permanent,
            ),
        ] {
            assert_eq!(StorageFault::of(StorageOperation::Writing, "a", &error).kind, kind);
        }
    }

    #[test]
    fn the_kind_of_a_fault_decides_whether_its_store_is_at_fault() {
        use StorageFaultKind::{Changed, Denied, NotFound, Permanent, Temporary};
        let kinds = [
            (NotFound, ErrorKind::Data),
            (Changed, ErrorKind::Conflict),
            (Denied, ErrorKind::Unavailable),
            (Temporary, ErrorKind::Unavailable),
            (Permanent, ErrorKind::Unavailable),
        ];
        for (kind, expected) in kinds {
            let fault = StorageFault { kind, ..StorageFault::temporary(StorageOperation::Reading, "a", "b") };
            let error = Error::Storage(fault);
            assert_eq!(error.kind(), expected, "{kind:?}");
            assert_eq!(is_of_store(&error), expected == ErrorKind::Unavailable, "{kind:?}");
        }
    }

    #[test]
    fn a_path_that_may_not_be_followed_is_an_error_of_the_configuration() {
        let refused = Refused::NotRegularFile("/lake/pipe".into());
        let error = StoreError::PermissionDenied { path: "lake/pipe".into(), source: refused.into() };
        assert!(matches!(Error::reading("lake/pipe")(error), Error::Invalid(_)));
    }

    #[test]
    fn the_fault_of_a_store_is_found_among_the_causes() {
        let nested = |error: StoreError| {
            DataFusionError::External(Box::new(Error::Engine(DataFusionError::External(Box::new(error)))))
        };
        let fault = storage_fault("lake/a.parquet", &nested(broken())).unwrap();
        assert_eq!((fault.object.as_str(), fault.kind), ("lake/a.parquet", StorageFaultKind::Temporary));
        assert!(storage_fault("lake/a.parquet", &nested(gone())).is_none());
        let own = DataFusionError::External(Box::new(Error::listing("state")(broken())));
        assert_eq!(storage_fault("lake/a.parquet", &own).unwrap().object, "lake/a.parquet");
        assert!(!is_of_store(&Error::Invalid("wrong".into())) && is_of_store(&own));
    }
}
