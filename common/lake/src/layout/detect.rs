//! Detects the layout of a table from listings of a few of its folders.

use std::collections::BTreeMap;

use futures::FutureExt;
use futures::future::BoxFuture;
use object_store::ListResult;
use object_store::path::Path;

use super::partition::plain_name;
use crate::folders::{is_hidden, is_parquet, list_folder};
use crate::location::Location;
use hindcast_base::Result;
use hindcast_schema::Layout;
use hindcast_schema::layout::{DateParts, Field, Pattern};

/// Most levels of folders that are searched for dates.
const MAX_LEVELS: usize = 16;
/// Folders of one key that are searched, until one has a layout.
const SEARCHED_FOLDERS: usize = 3;
/// Names of whole dates, and of dates with hours.
const DATES: [&str; 12] = [
    "%Y-%m-%d",
    "%Y%m%d",
    "%Y_%m_%d",
    "%Y-%m-%dT%H",
    "%Y-%m-%d-%H",
    "%Y-%m-%d_%H",
    "%Y-%m-%d %H",
    "%Y%m%d%H",
    "%Y%m%dT%H",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%d %H:%M:%S",
];
/// The levels of a date with one part per level, with the keys that name each: a key may also end with the part's own name.
const PARTS: [(Field, &str, &[&str]); 5] = [
    (Field::Year, "year", &["y", "yr", "yyyy"]),
    (Field::Month, "month", &["m", "mm", "mon"]),
    (Field::Day, "day", &["d", "dd"]),
    (Field::Hour, "hour", &["h", "hh", "hr"]),
    (Field::Minute, "minute", &["m", "mm", "mi", "min"]),
];

/// What lies below a folder.
enum Below {
    /// Folders of dates: the patterns of all levels down to them.
    Dates(Vec<Pattern>),
    /// Files in no folders by date.
    Files,
    Nothing,
}

/// The levels above a folder.
#[derive(Clone, Default)]
struct Above {
    levels: Vec<Pattern>,
    /// Number of parts of [`PARTS`] that are known.
    parts: usize,
    /// Whether a folder `key=` is above: its value contains slashes, and continues in folders of any name.
    is_in_value: bool,
}

/// The layout of the table at `table`, whose own folder `root` lists; `None` if it has no known one.
///
/// # Errors
/// [`hindcast_base::Error::Storage`] if a listing fails.
pub(crate) async fn detected(table: &Location, root: &ListResult) -> Result<Option<Layout>> {
    Ok(match below(table, root, Above::default()).await? {
        Below::Dates(levels) => Some(Layout::Dated(levels)),
        Below::Files => Some(Layout::Flat),
        Below::Nothing => None,
    })
}

/// The pattern of a folder's name, if it begins a date.
pub(crate) fn date_pattern(name: &str) -> Option<Pattern> {
    let name = plain_name(name);
    whole_date(&name).or_else(|| part_of_date(&name, 0))
}

fn below<'a>(table: &'a Location, listing: &'a ListResult, above: Above) -> BoxFuture<'a, Result<Below>> {
    async move {
        let folders: Vec<&Path> =
            listing.common_prefixes.iter().filter(|folder| !is_hidden(folder)).collect();
        let has_files =
            listing.objects.iter().any(|object| is_parquet(&object.location) && !is_hidden(&object.location));
        if above.levels.len() == MAX_LEVELS {
            return Ok(Below::Nothing);
        }
        if let Some((pattern, folders)) = most_frequent(&folders, whole_date) {
            let mut levels: Vec<Pattern> = above.levels.iter().map(Pattern::without_fields).collect();
            levels.push(pattern);
            return times_of_day(table, levels, last(&folders)).await.map(Below::Dates);
        }
        if let Some((pattern, folders)) = most_frequent(&folders, |name| part_of_date(name, above.parts)) {
            let above = above.with(pattern, 1);
            if above.parts == 3 {
                return times_of_day(table, above.levels, last(&folders)).await.map(Below::Dates);
            }
            return search(table, &folders, above).await;
        }
        // Between the parts of a date there is nothing else.
        if above.parts == 0 {
            let is_in_value = above.is_in_value;
            if let Some((pattern, folders)) = most_frequent(&folders, |name| key_or_value(name, is_in_value))
            {
                let is_open =
                    folders.iter().any(|folder| folder.filename().is_some_and(|name| name.ends_with('=')));
                let above = Above { is_in_value: is_in_value || is_open, ..above.with(pattern, 0) };
                match search(table, &folders, above).await? {
                    Below::Nothing => {}
                    found => return Ok(found),
                }
            }
        }
        Ok(if has_files { Below::Files } else { Below::Nothing })
    }
    .boxed()
}

/// What lies below `folders`: dates, if one of the last has them.
async fn search(table: &Location, folders: &[&Path], above: Above) -> Result<Below> {
    let mut found = Below::Nothing;
    for folder in folders.iter().rev().take(SEARCHED_FOLDERS) {
        let listing = list_folder(table, folder).await?;
        match below(table, &listing, above.clone()).await? {
            Below::Dates(levels) => return Ok(Below::Dates(levels)),
            Below::Files => found = Below::Files,
            Below::Nothing => {}
        }
    }
    Ok(found)
}

/// Adds the levels of hours and minutes below a folder of a date. They do not decide what is read.
async fn times_of_day(
    table: &Location,
    mut levels: Vec<Pattern>,
    folder: Option<&Path>,
) -> Result<Vec<Pattern>> {
    let has_hour = levels.iter().flat_map(Pattern::fields).any(|field| field == Field::Hour);
    let mut folder = folder.filter(|_| !has_hour).cloned();
    for part in 3..PARTS.len() {
        let Some(above) = folder else { break };
        let listing = list_folder(table, &above).await?;
        let folders: Vec<&Path> =
            listing.common_prefixes.iter().filter(|folder| !is_hidden(folder)).collect();
        let found = most_frequent(&folders, |name| part_of_date(name, part));
        folder = found.and_then(|(pattern, folders)| {
            levels.push(pattern);
            last(&folders).cloned()
        });
    }
    Ok(levels)
}

impl Above {
    fn with(&self, pattern: Pattern, parts: usize) -> Self {
        let mut above = self.clone();
        above.levels.push(pattern);
        above.parts += parts;
        above
    }
}

/// The pattern of most `folders`, with those that have it; of several such patterns the first in the order of their texts.
fn most_frequent<'a>(
    folders: &[&'a Path],
    pattern_of: impl Fn(&str) -> Option<Pattern>,
) -> Option<(Pattern, Vec<&'a Path>)> {
    let mut by_text: BTreeMap<String, (Pattern, Vec<&'a Path>)> = BTreeMap::new();
    for &folder in folders {
        let name = plain_name(folder.filename().unwrap_or_default());
        if let Some(pattern) = pattern_of(&name) {
            by_text.entry(pattern.to_string()).or_insert_with(|| (pattern, Vec::new())).1.push(folder);
        }
    }
    // `max_by_key` returns the last of several.
    let (pattern, mut folders) = by_text.into_values().rev().max_by_key(|(_, folders)| folders.len())?;
    folders.sort();
    Some((pattern, folders))
}

fn last<'a>(folders: &[&'a Path]) -> Option<&'a Path> {
    folders.last().copied()
}

fn whole_date(name: &str) -> Option<Pattern> {
    let (key, value) = key_and_value(name);
    let mut patterns = DATES.iter().filter_map(|text| Pattern::parse(text).ok());
    let is_date = |pattern: &Pattern| {
        pattern.matched(value, DateParts::default()).is_some_and(|parts| parts.date().is_some())
    };
    patterns.find(is_date).map(|pattern| pattern.of_key(key))
}

/// The pattern of a folder that has the part of a date at `index` of [`PARTS`], with its key or alone.
fn part_of_date(name: &str, index: usize) -> Option<Pattern> {
    let (field, own_name, keys) = PARTS.get(index)?;
    let (key, value) = key_and_value(name);
    let is_key = key.is_none_or(|key| {
        let key = key.to_ascii_lowercase();
        key.ends_with(*own_name) || keys.contains(&key.as_str())
    });
    let pattern = Pattern::of_field(*field);
    (is_key && pattern.matched(value, DateParts::default()).is_some()).then(|| pattern.of_key(key))
}

/// The pattern of a folder above those of dates: `key=value`, or any name where the value of a key continues.
fn key_or_value(name: &str, is_in_value: bool) -> Option<Pattern> {
    match name.split_once('=') {
        Some((key, "")) if !key.is_empty() => Some(Pattern::key(key)),
        Some((key, _)) if !key.is_empty() => Some(Pattern::any_value_of(key)),
        _ => is_in_value.then(Pattern::any),
    }
}

fn key_and_value(name: &str) -> (Option<&str>, &str) {
    name.split_once('=').map_or((None, name), |(key, value)| (Some(key), value))
}
