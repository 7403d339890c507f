//! Values several commands take: sizes, configuration files, the connection to a coordinator.

use std::path::{Path, PathBuf};

use hindcast_common::{Error, Result};

/// Processors this process may use.
pub(super) fn available_threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Reads `4GiB`, `512MiB`, `2GB`, `1048576`.
pub(super) fn parse_bytes(text: &str) -> Result<usize, String> {
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
    number.checked_mul(factor).filter(|bytes| *bytes > 0).ok_or_else(|| "the size is out of range".into())
}

/// The text of a configuration file.
///
/// # Errors
/// [`Error::Config`] where it can't be read.
pub(super) fn read_config(path: &Path) -> Result<String> {
    std::fs::read_to_string(path)
        .map_err(|error| Error::Config(format!("reading the configuration {}: {error}", path.display())))
}

/// Files and connections that a server is to have room for.
const SERVER_FILES: u64 = 16_384;

/// Lets this process have as many files and connections open as it is allowed to, up to what a server needs.
pub(super) fn raise_file_limit() {
    match rlimit::increase_nofile_limit(SERVER_FILES) {
        Ok(limit) => tracing::debug!(limit, "files and connections at once"),
        Err(error) => tracing::warn!(%error, "the limit of open files stays as it is"),
    }
}

/// Where state is kept unless `--state` says otherwise: the user's cache folder.
///
/// # Errors
/// [`Error::Config`] where the user has none.
pub(super) fn default_state() -> Result<PathBuf> {
    let cache = match (std::env::var_os("XDG_CACHE_HOME"), std::env::var_os("HOME")) {
        (Some(cache), _) if !cache.is_empty() => PathBuf::from(cache),
        (_, Some(home)) => PathBuf::from(home).join(".cache"),
        _ => {
            return Err(Error::Config(
                "there is no home folder to cache in: give --state or --no-cache".into(),
            ));
        }
    };
    Ok(cache.join("hindcast").join("state"))
}

#[cfg(test)]
mod tests {
    use super::parse_bytes;

    #[test]
    fn sizes_have_units() {
        assert_eq!(parse_bytes("4GiB"), Ok(4 << 30));
        assert_eq!(parse_bytes("512MiB"), Ok(512 << 20));
        assert_eq!(parse_bytes("2GB"), Ok(2_000_000_000));
        assert_eq!(parse_bytes("1024"), Ok(1024));
        assert!(
            parse_bytes("much").is_err() && parse_bytes("0GiB").is_err() && parse_bytes("5 parsecs").is_err()
        );
    }
}
