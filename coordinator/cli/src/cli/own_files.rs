//! Reads the user's own files: a configuration file with its watchlists, and folders of detections.

use std::path::Path;

use hindcast_base::Result;
use hindcast_lake::Location;

use super::arguments::read_config;
use super::watchlist_files::with_watchlists;
use hindcast_scan::own_detections::{OwnFiles, is_elsewhere, read_folders, take_folders};

/// The text of a configuration file, empty if none is given, and the detections in its folders and in `folders`. Folders in the
/// file are relative to it.
///
/// # Errors
/// [`hindcast_base::Error::Invalid`] naming the file and the error in it.
pub(super) async fn read_own(config: Option<&Path>, folders: &[String]) -> Result<(String, OwnFiles)> {
    read(config, folders, false).await
}

/// As [`read_own`], for a command that writes no results: its detections may replace built-in ones.
///
/// # Errors
/// As [`read_own`].
pub(super) async fn read_for_trial(config: Option<&Path>, folders: &[String]) -> Result<(String, OwnFiles)> {
    read(config, folders, true).await
}

async fn read(config: Option<&Path>, folders: &[String], is_trial: bool) -> Result<(String, OwnFiles)> {
    let mut places = Vec::new();
    let mut text = String::new();
    if let Some(path) = config {
        let (named, rest) = take_folders(&path.display().to_string(), &read_config(path)?)?;
        let base = path.parent().unwrap_or(Path::new(""));
        for folder in named {
            let place = if is_elsewhere(&folder) { folder } else { base.join(folder).display().to_string() };
            places.push(Location::parse(&place)?);
        }
        text = rest;
    }
    for folder in folders {
        places.push(Location::parse(folder)?);
    }
    let files = read_folders(&places).await?;
    let files = if is_trial { files.replacing() } else { files };
    let detections = files.load()?;
    if let Some(path) = config {
        text = with_watchlists(path, text, detections)?;
    }
    Ok((text, files))
}
