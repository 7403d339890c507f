//! The kinds of error, each with the thing at fault.

use datafusion::error::DataFusionError;

use crate::refused::Refused;

/// Result of an operation that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error. Variants differ by what a caller can do about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The arguments, a configuration file or the lake that they name are wrong. Nothing was scanned, and a retry
    /// fails in the same way.
    #[error("{0}")]
    Config(String),
    /// One input file can't be read as Parquet of its table.
    #[error("{0}")]
    Input(InputFault),
    /// An object store refused or lost a request.
    #[error("{action}: {source}")]
    Storage {
        /// The operation that failed, with its URL or path.
        action: String,
        /// The error of the store.
        #[source]
        source: object_store::Error,
    },
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
    /// State or results do not have the form that this version writes.
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
    /// An [`Error::Storage`] with the operation that failed; an [`Error::Config`] if a path of a lake may not be followed.
    pub fn storage(action: impl Into<String>) -> impl FnOnce(object_store::Error) -> Self {
        let action = action.into();
        move |source| match Refused::of(&source) {
            Some(refused) => Self::Config(format!("{action}: {refused}")),
            None => Self::Storage { action, source },
        }
    }

    /// An [`Error::Io`] with the operation that failed.
    pub fn io(action: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let action = action.into();
        move |source| Self::Io { action, source }
    }
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
        _ => error.strip_backtrace(),
    }
}

/// A storage error about reading `path`, if `error` comes from an object store. A file that is gone or has changed is not a
/// failure of its store: a retry fails in the same way.
pub fn store_failure(path: &str, error: &(dyn std::error::Error + 'static)) -> Option<Error> {
    let mut cause = Some(error);
    while let Some(current) = cause {
        if let Some(failure) = current.downcast_ref::<object_store::Error>() {
            let is_of_file = matches!(
                failure,
                object_store::Error::NotFound { .. } | object_store::Error::Precondition { .. }
            );
            let source = object_store::Error::Generic { store: "store", source: failure.to_string().into() };
            return (!is_of_file).then(|| Error::storage(format!("reading {path}"))(source));
        }
        cause = current.source();
    }
    None
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
