//! Formats errors of detections like a compiler, `file:line: message`, so that editors find the place.

use hindcast_base::file_fault::FileFault;
use hindcast_base::{Error, Result};

/// Formats an error as `file:line: message`. An error without a file is not changed.
///
/// # Errors
/// The error itself if it is not an error of the configuration or of a detection.
pub(super) fn message(error: Error) -> Result<String> {
    match error {
        // A mistake of a file as a whole is on its first line.
        Error::File(FileFault { file, line, message, .. }) => {
            Ok(format!("{file}:{}: {message}", line.unwrap_or(1)))
        }
        Error::Invalid(text) => Ok(text),
        other => Err(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_file_and_line_like_those_of_compilers() {
        let on_line = Error::in_file("/d/a/query.sql", 12, "no column x");
        assert_eq!(message(on_line).unwrap(), "/d/a/query.sql:12: no column x");
        let whole = Error::of_file("s3://b/a/query.sql", "it is not UTF-8 text");
        assert_eq!(message(whole).unwrap(), "s3://b/a/query.sql:1: it is not UTF-8 text");
        let other = Error::Invalid("file:///d holds no detection: none".into());
        assert_eq!(message(other).unwrap(), "file:///d holds no detection: none");
        assert!(message(Error::Internal("x".into())).is_err());
    }
}
