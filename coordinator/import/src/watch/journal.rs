//! The lake's record of the watched files that were imported: which files in which state, and their texts. Each has a marker
//! next to that of its content, which the same change adds.

use std::collections::HashSet;

use hindcast_base::Result;
use hindcast_lake::Location;
use hindcast_lake::changes::View;

use super::super::publish::{Marker, each_marker};
use super::texts::MOST_TEXTS;
use hindcast_records::watched::{Text, Watched};

/// Beginning of the name that takes the place of the content in a marker.
const PREFIX: &str = "watched-";

/// The name of the marker of a watched file; `None` if the file can't be recognised later.
pub(in super::super) fn marker_of(watched: &Watched) -> Option<String> {
    let Text { bytes, hash } = watched.text?;
    Some(format!("{PREFIX}{:032x}-{bytes:x}-{hash:032x}", watched.file))
}

/// The file and the text of a marker; `None` for the marker of a content.
fn parse(marker: &str) -> Option<(u128, Text)> {
    let mut parts = marker.strip_prefix(PREFIX)?.split('-');
    let mut number = || u128::from_str_radix(parts.next()?, 16).ok();
    let (file, bytes, hash) = (number()?, number()?, number()?);
    Some((file, Text { bytes: u64::try_from(bytes).ok()?, hash }))
}

/// Whether `content` is that of the marker of a watched file.
pub(in super::super) fn is_marker(content: &str) -> bool {
    content.starts_with(PREFIX)
}

/// What was imported from watched folders.
#[derive(Debug, Default)]
pub(super) struct Journal {
    /// Those of the requested files.
    pub(super) files: HashSet<u128>,
    /// The latest texts, the oldest first.
    pub(super) texts: Vec<Text>,
}

/// Reads which of `files` were imported into `table`, or into any if it is `None`, and the latest texts.
///
/// # Errors
/// [`hindcast_base::Error::Storage`] if the store fails.
pub(super) async fn read(lake: &Location, table: Option<&str>, files: &HashSet<u128>) -> Result<Journal> {
    loop {
        let mut view = View::of_lake(lake).await?;
        let mut found: Vec<(String, u128)> = Vec::new();
        let mut texts: Vec<(String, Text)> = Vec::new();
        let latest = |texts: &mut Vec<(String, Text)>| {
            // Ids of changes are in the order of their times.
            texts.sort_by(|(left, _), (right, _)| left.cmp(right));
            texts.drain(..texts.len().saturating_sub(MOST_TEXTS));
        };
        each_marker(lake, |Marker { content, table: own, change, .. }| {
            let Some((file, text)) = parse(&content).filter(|_| table.is_none_or(|table| table == own))
            else {
                return;
            };
            if files.contains(&file) {
                found.push((change.clone(), file));
            }
            texts.push((change, text));
            if texts.len() > 2 * MOST_TEXTS {
                latest(&mut texts);
            }
        })
        .await?;
        latest(&mut texts);
        if view.still_holds(None).await? {
            found.retain(|(change, _)| view.shows_change(change));
            texts.retain(|(change, _)| view.shows_change(change));
            let files = found.into_iter().map(|(_, file)| file).collect();
            return Ok(Journal { files, texts: texts.into_iter().map(|(_, text)| text).collect() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_name_the_file_and_its_text() {
        let text = Text { bytes: u64::MAX, hash: 11 };
        let watched = Watched { file: u128::MAX, text: Some(text), from: 7 };
        let marker = marker_of(&watched).unwrap();
        assert_eq!(parse(&marker), Some((u128::MAX, text)));
        assert!(is_marker(&marker) && marker.len() < 128);
        assert_eq!(marker_of(&Watched { text: None, ..watched }), None);
        for other in ["c0ffee", "watched-1-2", "watched-x-2-3", "watched-1-11111111111111111-3"] {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
