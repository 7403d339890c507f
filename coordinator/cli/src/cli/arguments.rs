//! Arguments that several commands share: sizes, configuration files, the default state location.

use std::path::{Path, PathBuf};

use hindcast_base::{Error, Result};

/// Number of processors that this process may use.
pub(super) fn available_threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Least memory of a process: with less, no task can group its first rows.
const LEAST_MEMORY_BYTES: usize = 16 << 20;

/// Parses an amount of memory such as `4GiB`, `512MiB`, `2GB` or `104857600`.
pub(super) fn parse_memory(text: &str) -> Result<usize, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: usize = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        _ => return Err("give a number and B, KiB, MiB or GiB, as in 4GiB".into()),
    };
    let number: usize = number.parse().map_err(|_| "give a number and a unit, as in 4GiB".to_owned())?;
    match number.checked_mul(factor) {
        Some(bytes) if bytes >= LEAST_MEMORY_BYTES => Ok(bytes),
        Some(_) => Err("at least 16MiB are needed; give a number and a unit, as in 4GiB".into()),
        None => Err("the size is out of range".into()),
    }
}

/// Reads a configuration file.
///
/// # Errors
/// [`Error::Invalid`] if it can't be read.
pub(super) fn read_config(path: &Path) -> Result<String> {
    std::fs::read_to_string(path)
        .map_err(|error| Error::Invalid(format!("reading the configuration {}: {error}", path.display())))
}

/// Number of open files and connections that a server needs.
const SERVER_FILES: u64 = 16_384;

/// Raises the limit of open files and connections up to what a server needs, as far as the system allows.
pub(super) fn raise_file_limit() {
    match rlimit::increase_nofile_limit(SERVER_FILES) {
        Ok(limit) => tracing::debug!(limit, "limit of open files and connections"),
        Err(error) => tracing::warn!(%error, "the limit of open files could not be raised"),
    }
}

/// The default location of the state: the user's cache folder.
///
/// # Errors
/// [`Error::Invalid`] if the user has no home folder.
pub(super) fn default_state() -> Result<PathBuf> {
    let cache = match (std::env::var_os("XDG_CACHE_HOME"), std::env::var_os("HOME")) {
        (Some(cache), _) if !cache.is_empty() => PathBuf::from(cache),
        (_, Some(home)) => PathBuf::from(home).join(".cache"),
        _ => {
            return Err(Error::Invalid(
                "there is no home folder for the cache: give --state or --no-cache".into(),
            ));
        }
    };
    Ok(cache.join("hindcast").join("state"))
}

#[cfg(test)]
mod tests {
    use super::parse_memory;

    #[test]
    fn sizes_are_parsed_with_their_units() {
        assert_eq!(parse_memory("4GiB"), Ok(4 << 30));
        assert_eq!(parse_memory("512MiB"), Ok(512 << 20));
        assert_eq!(parse_memory("2GB"), Ok(2_000_000_000));
        assert_eq!(parse_memory("16777216"), Ok(16 << 20));
        for text in ["much", "0GiB", "5 parsecs", "10", "15MiB", "99999999999GiB"] {
            assert!(parse_memory(text).is_err(), "{text}");
        }
        assert!(parse_memory("10").unwrap_err().contains("at least 16MiB"), "10 is meant as 10GiB");
    }
}
