//! Finds the folders of all dates of a table by its layout, level by level.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use futures::{StreamExt, TryStreamExt};
use object_store::ListResult;
use object_store::path::Path;

use super::partition::plain_name;
use crate::folders::{is_hidden, is_parquet, list_folder};
use crate::location::Location;
use hindcast_base::{Error, Result};
use hindcast_schema::Layout;
use hindcast_schema::layout::DateParts;

/// Concurrent listings.
const CONCURRENT_LISTINGS: usize = 32;
/// Most folders above the dates that are listed.
const MAX_FOLDERS: usize = 50_000;

/// The folders of a table.
#[derive(Debug, Default)]
pub(crate) struct Walked {
    /// The folders of each date.
    pub(crate) by_date: BTreeMap<NaiveDate, Vec<Path>>,
    /// Parquet files next to them.
    pub(crate) other_files: Vec<Path>,
    /// Folders next to them whose names do not fit the layout.
    pub(crate) other_folders: Vec<Path>,
}

/// A folder whose content is known, with what is known of its date.
struct Listed {
    parts: DateParts,
    content: ListResult,
}

/// The folders of the table at `table` by `layout`; `root` lists the table's own folder.
///
/// # Errors
/// [`Error::Storage`] if a listing fails, [`Error::Invalid`] if there are too many folders above the dates.
pub(crate) async fn walk(table: &Location, layout: &Layout, root: ListResult) -> Result<Walked> {
    let mut walked = Walked::default();
    let mut open = vec![Listed { parts: DateParts::default(), content: root }];
    let levels = layout.levels_to_date();
    let mut count = 0;
    for (index, level) in levels.iter().enumerate() {
        let is_last = index + 1 == levels.len();
        let mut below: Vec<(Path, DateParts)> = Vec::new();
        for Listed { parts, content } in open {
            let files = content.objects.into_iter().map(|object| object.location);
            walked.other_files.extend(files.filter(|path| is_parquet(path) && !is_hidden(path)));
            for folder in content.common_prefixes.into_iter().filter(|folder| !is_hidden(folder)) {
                let name = plain_name(folder.filename().unwrap_or_default());
                match level.matched(&name, parts) {
                    Some(parts) if !is_last => below.push((folder, parts)),
                    Some(parts) => match parts.date() {
                        Some(date) => walked.by_date.entry(date).or_default().push(folder),
                        None => walked.other_folders.push(folder),
                    },
                    None => walked.other_folders.push(folder),
                }
            }
        }
        count += below.len();
        if count > MAX_FOLDERS {
            return Err(Error::Invalid(format!(
                "{} has more than {MAX_FOLDERS} folders above those of dates ({layout}): name a folder further down as the \
                 url of the table",
                table.url()
            )));
        }
        let lists: Vec<_> = below.into_iter().map(|(folder, parts)| list(table, folder, parts)).collect();
        open = futures::stream::iter(lists).buffered(CONCURRENT_LISTINGS).try_collect().await?;
    }
    walked.by_date.values_mut().for_each(|folders| folders.sort());
    Ok(walked)
}

async fn list(table: &Location, folder: Path, parts: DateParts) -> Result<Listed> {
    Ok(Listed { parts, content: list_folder(table, &folder).await? })
}
