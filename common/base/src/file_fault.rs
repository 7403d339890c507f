//! Mistakes in files that users write: the file, the line and the message.

use std::fmt;

use crate::Error;

/// A mistake in a file that a user wrote, such as a configuration or a detection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileFault {
    /// Path or URL of the file.
    pub file: String,
    /// Line of the mistake, counted from 1; absent if it concerns the file as a whole.
    pub line: Option<usize>,
    /// The message.
    pub message: String,
    /// The message with the lines of the file around the mistake, for people.
    pub excerpt: Option<String>,
}

impl fmt::Display for FileFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, message, excerpt } = self;
        match (excerpt, line) {
            (Some(excerpt), _) => write!(formatter, "{file}: {excerpt}"),
            (None, Some(line)) => write!(formatter, "{file}, line {line}: {message}"),
            (None, None) => write!(formatter, "{file}: {message}"),
        }
    }
}

impl FileFault {
    /// The mistake in a file that caused `error`, if one did.
    pub fn of<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Self> {
        let mut cause = Some(error);
        while let Some(current) = cause {
            if let Some(Error::File(fault)) = current.downcast_ref::<Error>() {
                return Some(fault);
            }
            cause = current.source();
        }
        None
    }
}

impl Error {
    /// A mistake on a line of a file.
    pub fn in_file(file: impl Into<String>, line: usize, message: impl fmt::Display) -> Self {
        let (file, message) = (file.into(), message.to_string());
        Self::File(FileFault { file, line: Some(line), message, excerpt: None })
    }

    /// A mistake of a file as a whole.
    pub fn of_file(file: impl Into<String>, message: impl fmt::Display) -> Self {
        let (file, message) = (file.into(), message.to_string());
        Self::File(FileFault { file, line: None, message, excerpt: None })
    }
}

#[cfg(test)]
mod tests {
    use datafusion::error::DataFusionError;

    use super::*;
    use crate::ErrorKind;

    #[test]
    fn a_mistake_names_its_place() {
        let on_line = Error::in_file("mine/query.sql", 3, "there is no column x");
        assert_eq!(on_line.to_string(), "mine/query.sql, line 3: there is no column x");
        assert_eq!(on_line.kind(), ErrorKind::InvalidInput);
        assert_eq!(Error::of_file("mine.toml", "it is not UTF-8").to_string(), "mine.toml: it is not UTF-8");
    }

    #[test]
    fn a_mistake_is_found_among_the_causes() {
        let planned = DataFusionError::from(Error::in_file("mine/query.sql", 3, "wrong")).context("planning");
        let fault = FileFault::of(&planned).unwrap();
        assert_eq!((fault.file.as_str(), fault.line), ("mine/query.sql", Some(3)));
        assert!(FileFault::of(&Error::Invalid("mine/query.sql, line 3: wrong".into())).is_none());
    }
}
