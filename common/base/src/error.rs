//! Errors, each with the thing at fault, and their few kinds.
//!
//! A kind says what a caller can do about an error. Each kind is mapped once to an exit code (`cli`), once to a gRPC status
//! (`node::grpc_status`) and once to an HTTP status (`web`), and a kind survives the way from a server to its client.

use datafusion::error::DataFusionError;

use crate::file_fault::FileFault;
use crate::refused::Refused;
use crate::storage_fault::{StorageFault, StorageFaultKind};

/// Result of an operation that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a caller can do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum ErrorKind {
    /// The request, an argument, a configuration or the lake that they name is wrong. A retry fails in the same way.
    InvalidInput,
    /// The named thing does not exist.
    NotFound,
    /// Someone else changes the same thing. After a fresh look the request may succeed.
    Conflict,
    /// The caller is not allowed to do this.
    Denied,
    /// A limit of concurrent work is reached. The same request may succeed later.
    Busy,
    /// A store, a worker or a coordinator does not answer. The same request may succeed later.
    Unavailable,
    /// Stored data is damaged or has an unknown form.
    Data,
    /// Hindcast or one of its libraries failed.
    Internal,
}

impl ErrorKind {
    /// All kinds.
    pub const ALL: [Self; 8] = [
        Self::InvalidInput,
        Self::NotFound,
        Self::Conflict,
        Self::Denied,
        Self::Busy,
        Self::Unavailable,
        Self::Data,
        Self::Internal,
    ];

    /// The kind of an error with its sources: the first one that is ours or a store's decides.
    pub fn of(error: &(dyn std::error::Error + 'static)) -> Self {
        let kind = |cause: &(dyn std::error::Error + 'static)| match cause.downcast_ref::<Error>() {
            Some(own) => Some(own.kind()),
            None => cause.downcast_ref::<object_store::Error>().map(Self::of_store),
        };
        causes(error).find_map(kind).unwrap_or(Self::Internal)
    }

    fn of_store(error: &object_store::Error) -> Self {
        match Refused::of(error) {
            Some(_) => Self::InvalidInput,
            None => StorageFaultKind::of(error).error_kind(),
        }
    }
}

/// An error. Its [`ErrorKind`] says what a caller can do about it.
///
/// ```
/// use hindcast_base::{Error, ErrorKind};
///
/// let error = Error::in_file("hindcast.toml", 3, "there is no section firewal");
/// assert_eq!(error.to_string(), "hindcast.toml, line 3: there is no section firewal");
/// assert_eq!(error.kind(), ErrorKind::InvalidInput);
/// ```
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request, an argument, a configuration or the lake that they name is wrong. Nothing was scanned, and a retry
    /// fails in the same way.
    #[error("{0}")]
    Invalid(String),
    /// A file that a user wrote has a mistake.
    #[error("{0}")]
    File(FileFault),
    /// One input file can't be read as Parquet of its table.
    #[error("{0}")]
    Input(InputFault),
    /// An object store refused or lost a request.
    #[error("{0}")]
    Storage(StorageFault),
    /// A local file or directory could not be read or written.
    #[error("{action}: {source}")]
    Io {
        /// The operation that failed, with its path.
        action: String,
        /// The error of the operating system.
        #[source]
        source: std::io::Error,
    },
    /// The query engine failed.
    #[error("{0}")]
    Engine(#[from] DataFusionError),
    /// The request is not allowed here; the text says what would allow it.
    #[error("{0}")]
    Denied(String),
    /// The process has too much to do right now: the same request may succeed later.
    #[error("{0}")]
    Busy(String),
    /// The named thing does not exist.
    #[error("{0}")]
    NotFound(String),
    /// Someone else changes the same thing.
    #[error("{0}")]
    Conflict(String),
    /// Another process does not answer.
    #[error("{0}")]
    Unavailable(String),
    /// Stored state or results are damaged or have an unknown form.
    #[error("{0}")]
    Data(String),
    /// Hindcast or one of its libraries failed.
    #[error("{0}")]
    Internal(String),
}

/// A fault of an input file, and its place.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct InputFault {
    /// The file, by its path as listings give it: relative to its store, absolute on the local disk.
    pub file: String,
    /// Row group, counted from 0, if it is known.
    pub row_group: Option<usize>,
    /// Column, if it is known.
    pub column: Option<String>,
    /// The reason.
    pub reason: String,
}

impl std::fmt::Display for InputFault {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "file {}", self.file)?;
        if let Some(row_group) = self.row_group {
            write!(formatter, ", row group {row_group}")?;
        }
        if let Some(column) = &self.column {
            write!(formatter, ", column {column}")?;
        }
        write!(formatter, ": {}", self.reason)
    }
}

impl Error {
    /// What a caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Invalid(_) | Self::File(_) => ErrorKind::InvalidInput,
            Self::NotFound(_) => ErrorKind::NotFound,
            Self::Conflict(_) => ErrorKind::Conflict,
            Self::Denied(_) => ErrorKind::Denied,
            Self::Busy(_) => ErrorKind::Busy,
            Self::Storage(fault) => fault.kind.error_kind(),
            Self::Unavailable(_) => ErrorKind::Unavailable,
            Self::Input(_) | Self::Data(_) => ErrorKind::Data,
            Self::Engine(error) => ErrorKind::of(error),
            Self::Io { .. } | Self::Internal(_) => ErrorKind::Internal,
        }
    }

    /// An error of this kind, as it comes from another process.
    pub fn of_kind(kind: ErrorKind, message: impl Into<String>) -> Self {
        let message = message.into();
        match kind {
            ErrorKind::InvalidInput => Self::Invalid(message),
            ErrorKind::NotFound => Self::NotFound(message),
            ErrorKind::Conflict => Self::Conflict(message),
            ErrorKind::Denied => Self::Denied(message),
            ErrorKind::Busy => Self::Busy(message),
            ErrorKind::Unavailable => Self::Unavailable(message),
            ErrorKind::Data => Self::Data(message),
            ErrorKind::Internal => Self::Internal(message),
        }
    }

    /// An [`Error::Io`] with the operation that failed.
    pub fn io(action: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let action = action.into();
        move |source| Self::Io { action, source }
    }
}

/// An error and its sources, the outermost first.
pub fn causes<'e>(
    error: &'e (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'e (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |cause| cause.source())
}

/// The fault of an input file that caused `error`, if one did.
pub fn input_fault<'e>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e InputFault> {
    causes(error).find_map(|cause| match cause.downcast_ref::<Error>() {
        Some(Error::Input(fault)) => Some(fault),
        _ => None,
    })
}

/// Whether the memory budget is too small.
pub fn is_exhausted(error: &DataFusionError) -> bool {
    matches!(error.find_root(), DataFusionError::ResourcesExhausted(_))
}

/// The root cause, without the planning steps that DataFusion adds to it.
pub fn cause(error: &DataFusionError) -> String {
    match error {
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => cause(inner),
        DataFusionError::Shared(inner) => cause(inner),
        DataFusionError::External(inner) if inner.is::<Error>() => inner.to_string(),
        _ => error.strip_backtrace(),
    }
}

impl From<InputFault> for Error {
    fn from(fault: InputFault) -> Self {
        Error::Input(fault)
    }
}

impl From<Error> for DataFusionError {
    fn from(error: Error) -> Self {
        match error {
            Error::Engine(inner) => inner,
            other => DataFusionError::External(Box::new(other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_a_kind_has_that_kind() {
        for kind in ErrorKind::ALL {
            let error = Error::of_kind(kind, "text");
            assert_eq!((error.kind(), error.to_string().as_str()), (kind, "text"));
        }
    }

    #[test]
    fn the_kind_of_an_engine_error_is_that_of_its_cause() {
        let store = || object_store::Error::Generic { store: "S3", source: "gone away".into() };
        let gone = || object_store::Error::NotFound { path: "a".into(), source: "404".into() };
        let exists = || object_store::Error::AlreadyExists { path: "a".into(), source: "412".into() };
        let denied = |source: Box<dyn std::error::Error + Send + Sync>| {
            object_store::Error::PermissionDenied { path: "a".into(), source }
        };
        let fault =
            InputFault { file: "a.parquet".into(), row_group: None, column: None, reason: "cut".into() };
        let cases = [
            (DataFusionError::Execution("division by zero".into()), ErrorKind::Internal),
            (DataFusionError::ResourcesExhausted("memory".into()), ErrorKind::Internal),
            (DataFusionError::from(store()), ErrorKind::Unavailable),
            (DataFusionError::from(gone()), ErrorKind::Data),
            (DataFusionError::from(exists()), ErrorKind::Conflict),
            (DataFusionError::from(denied("403".into())), ErrorKind::Unavailable),
            (
                DataFusionError::from(denied(Refused::NotRegularFile("pipe".into()).into())),
                ErrorKind::InvalidInput,
            ),
            (DataFusionError::from(Error::reading("a")(store())), ErrorKind::Unavailable),
            (DataFusionError::from(Error::reading("a")(gone())), ErrorKind::Data),
            (DataFusionError::from(Error::from(fault)).context("scanning"), ErrorKind::Data),
            (DataFusionError::from(Error::Conflict("changed".into())), ErrorKind::Conflict),
        ];
        for (error, kind) in cases {
            let text = error.to_string();
            assert_eq!(Error::from(error).kind(), kind, "{text}");
        }
    }
}
