//! Exports that fail. A failed export affects only its own file, and the error names it after all others are written.

use std::fs;
use std::path::Path;

use hindcast_base::catch_panic::catch_panic_sync;
use hindcast_base::{Error, Result};

/// A file that could not be written.
#[derive(Debug)]
pub struct Unwritten {
    /// The path below the result folder.
    file: String,
    error: Error,
}

/// Calls `write` for the file at `path`, which messages call `name`. If it fails or panics, the file is removed.
pub(super) fn whole_or_none(
    path: &Path,
    name: &str,
    write: impl FnOnce(&Path) -> Result<()>,
) -> Result<(), Unwritten> {
    let stopped = |panic| Err(Error::Internal(format!("an error in Hindcast stopped the writing: {panic}")));
    let written = catch_panic_sync(|| write(path)).unwrap_or_else(stopped);
    written.map_err(|error| {
        // The file may not exist yet.
        let _ = fs::remove_file(path);
        Unwritten { file: name.to_owned(), error }
    })
}

/// Checks that no export of the result in `out` failed.
///
/// # Errors
/// [`Error::Internal`] that names each failed export.
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
    fn an_export_that_fails_or_panics_leaves_no_file_and_is_named() {
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
