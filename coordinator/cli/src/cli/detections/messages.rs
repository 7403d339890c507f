//! Formats errors of detections like a compiler, `file:line: message`, so that editors find the place.

use hindcast_base::{Error, Result};

/// Formats an error as `file:line: message`. An error without a file is not changed.
///
/// # Errors
/// The error itself if it is not an error of the configuration or of a detection.
pub(super) fn message(error: Error) -> Result<String> {
    let Error::Invalid(text) = error else { return Err(error) };
    if let Some((file, rest)) = text.split_once(", line ")
        && !file.contains(": ")
    {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (line, rest) = rest.split_at(digits);
        if !line.is_empty() && rest.starts_with(':') {
            return Ok(format!("{file}:{line}{rest}"));
        }
    }
    // The error concerns a file as a whole.
    Ok(match text.split_once(": ") {
        Some((file, rest)) if is_file(file) => format!("{file}:1: {rest}"),
        _ => text,
    })
}

/// Whether a text is the path of a file, which has an extension.
fn is_file(text: &str) -> bool {
    text.rsplit_once('/').is_some_and(|(_, name)| name.contains('.')) && !text.contains('\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_file_and_line_like_those_of_compilers() {
        let of = |text: &str| message(Error::Invalid(text.into())).unwrap();
        assert_eq!(of("/d/a/query.sql, line 12: no column x"), "/d/a/query.sql:12: no column x");
        assert_eq!(of("/d/a/query.sql: no such, line 3"), "/d/a/query.sql:1: no such, line 3");
        assert_eq!(of("s3://b/a/query.sql, line 2: c"), "s3://b/a/query.sql:2: c");
        assert_eq!(of("a: b, line 3: c"), "a: b, line 3: c");
        assert_eq!(of("file:///d holds no detection: none"), "file:///d holds no detection: none");
        assert!(message(Error::Internal("x".into())).is_err());
    }
}
