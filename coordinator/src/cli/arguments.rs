//! Values several commands take: sizes, times, lakes and configuration files.

use std::path::{Path, PathBuf};

use hindcast_common::catalog::{Lake, Location};
use hindcast_common::config::{Config, Layer};
use hindcast_common::{Error, Result};

/// Name of a lake's own configuration, in its root.
const LAKE_CONFIG: &str = "hindcast.toml";

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

/// The lake at `url` and the parameters of a run over it: the preset, then the lake's own file, then `--config`.
///
/// # Errors
/// [`Error::Config`] where the lake is not there or a file is wrong.
pub(super) async fn open_lake(url: &str, preset: &str, config_file: Option<&Path>) -> Result<(Lake, Config)> {
    let root = Location::parse(url)?;
    let lake_name = format!("{}/{LAKE_CONFIG}", url.trim_end_matches('/'));
    let lake_text = match root.read(LAKE_CONFIG).await? {
        Some(bytes) => Some(
            String::from_utf8(bytes.to_vec())
                .map_err(|_| Error::Config(format!("{lake_name} is not UTF-8 text")))?,
        ),
        None => None,
    };
    let own_name = config_file.map(|path| path.display().to_string()).unwrap_or_default();
    let own_text = config_file
        .map(|path| {
            std::fs::read_to_string(path)
                .map_err(|error| Error::Config(format!("reading the configuration {own_name}: {error}")))
        })
        .transpose()?;
    let mut layers = Vec::new();
    if let Some(text) = &lake_text {
        layers.push(Layer { name: &lake_name, text });
    }
    if let Some(text) = &own_text {
        layers.push(Layer { name: &own_name, text });
    }
    let config = Config::load(preset, &layers)?;
    Ok((Lake::open(root, &config)?, config))
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
