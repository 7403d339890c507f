//! Exports that fail: each loses its own file, and is named once all others are in their place.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use hindcast_common::{Error, Result};

/// A file that could not be written.
#[derive(Debug)]
pub struct Unwritten {
    /// Its path below the result folder.
    file: String,
    error: Error,
}

/// Has `write` write the file at `path`, called `name` in messages. Where it fails or panics, nothing is left of the file.
pub(super) fn whole_or_none(
    path: &Path,
    name: &str,
    write: impl FnOnce(&Path) -> Result<()>,
) -> Result<(), Unwritten> {
    let written = catch_unwind(AssertUnwindSafe(|| write(path)));
    let written =
        written.unwrap_or_else(|_| Err(Error::Internal("an error in Hindcast broke it off".into())));
    written.map_err(|error| {
        // It may not even have been begun.
        let _ = fs::remove_file(path);
        Unwritten { file: name.to_owned(), error }
    })
}

/// Fails where exports of the result in `out` failed.
///
/// # Errors
/// [`Error::Internal`] naming each.
pub fn check_written(unwritten: &[Unwritten], out: &Path) -> Result<()> {
    if unwritten.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = unwritten.iter().map(|one| format!("{}: {}", one.file, one.error)).collect();
    Err(Error::Internal(format!(
        "these exports failed, all others are in {}:\n  {}",
        out.display(),
        lines.join("\n  ")
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_or_panics_leaves_no_file_and_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        let begin = |path: &Path| fs::write(path, "half").map_err(Error::io("writing"));
        whole_or_none(&path, "a.csv", begin).unwrap();
        let failed = whole_or_none(&path, "a.csv", |path| {
            begin(path)?;
            Err(Error::Internal("too long".into()))
        });
        assert!(!path.exists());
        let panicked = whole_or_none(&path, "b.csv", |path| {
            begin(path)?;
            panic!("no such cell")
        });
        assert!(!path.exists());
        let unwritten = [failed.unwrap_err(), panicked.unwrap_err()];
        let error = check_written(&unwritten, folder.path()).unwrap_err().to_string();
        assert!(error.contains("a.csv: too long") && error.contains("b.csv: "), "{error}");
        check_written(&[], folder.path()).unwrap();
    }
}
