//! The kinds of error Hindcast tells apart, each with the thing at fault.

use datafusion::error::DataFusionError;

use crate::refused::Refused;

/// Result of anything in Hindcast that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error, by what a caller can do about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The arguments, a configuration file or the lake named in them are wrong:
    /// nothing was scanned, and trying again changes nothing.
    #[error("{0}")]
    Config(String),
    /// One input file can't be read as what it should be.
    #[error("{0}")]
    Input(InputFault),
    /// An object store refused or lost a request.
    #[error("{action}: {source}")]
    Storage {
        /// What was being done, with the URL or path.
        action: String,
        /// The store's own error.
        #[source]
        source: object_store::Error,
    },
    /// A local file or directory could not be read or written.
    #[error("{action}: {source}")]
    Io {
        /// What was being done, with the path.
        action: String,
        /// The system's own error.
        #[source]
        source: std::io::Error,
    },
    /// The query engine failed.
    #[error("{0}")]
    Engine(#[from] DataFusionError),
    /// What is asked for is not allowed here; the text says what would allow it.
    #[error("{0}")]
    Denied(String),
    /// More is asked for than is taken at once: later it may be.
    #[error("{0}")]
    Busy(String),
    /// State or results do not have the shape this version writes.
    #[error("{0}")]
    Internal(String),
}

/// What is wrong with an input file, and where.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct InputFault {
    /// The file, by its path as listings give it: below its store, absolute on this machine's disk.
    pub file: String,
    /// Row group, counted from 0, where it is known.
    pub row_group: Option<usize>,
    /// Column, where it is known.
    pub column: Option<String>,
    /// What is wrong.
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
    /// An [`Error::Storage`] that says what was being done; an [`Error::Config`] where a path of a lake may not be followed.
    pub fn storage(action: impl Into<String>) -> impl FnOnce(object_store::Error) -> Self {
        let action = action.into();
        move |source| match Refused::of(&source) {
            Some(refused) => Self::Config(format!("{action}: {refused}")),
            None => Self::Storage { action, source },
        }
    }

    /// An [`Error::Io`] that says what was being done.
    pub fn io(action: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let action = action.into();
        move |source| Self::Io { action, source }
    }
}

/// Whether the memory budget was too small.
pub fn is_exhausted(error: &DataFusionError) -> bool {
    matches!(error.find_root(), DataFusionError::ResourcesExhausted(_))
}

/// What is wrong, without the steps of planning in which it showed.
pub fn cause(error: &DataFusionError) -> String {
    match error {
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => cause(inner),
        DataFusionError::Shared(inner) => cause(inner),
        _ => error.strip_backtrace(),
    }
}

/// The failure of `error` as one of the store while reading `path`, where a store's failure is behind it. A file that
/// is gone or changed is no failure of its store: asking again changes nothing.
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
