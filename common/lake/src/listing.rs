//! Lists the data files of a table's dates that one view of its lake's changes shows.

use std::collections::{BTreeMap, HashMap};

use chrono::NaiveDate;
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectMeta;
use object_store::path::{Path, PathPart};

use super::changes::View;
use super::folders::{is_parquet, table_folder};
use super::lake_file::LakeFile;
use super::layout::partition_of;
use super::location::Location;
use hindcast_base::{Error, Result};

/// Concurrent listings.
const CONCURRENT_LISTINGS: usize = 16;
/// Most attempts at listing dates while files of the table are being replaced.
const MAX_LISTINGS: u32 = 50;

/// The Parquet files of a table's `dates`, date by date, at any depth of their folders, sorted by path. Without a view, or if files
/// of the table were replaced since, a new view is read. The view of the files is returned with them.
///
/// # Errors
/// [`Error::Storage`] if a listing fails, [`Error::Busy`] if files are replaced faster than they can be listed.
pub async fn date_files(
    table: &Location,
    dates: &[NaiveDate],
    view: Option<View>,
) -> Result<(View, Vec<Vec<LakeFile>>)> {
    let folders = dates.iter().map(|date| vec![table.child(&format!("date={date}"))]).collect();
    folder_files(table, &Wanted::each(folders), view).await
}

/// Like [`date_files`], for the folders of each date.
///
/// # Errors
/// As for [`date_files`].
pub(super) async fn folder_files(
    table: &Location,
    wanted: &Wanted,
    view: Option<View>,
) -> Result<(View, Vec<Vec<LakeFile>>)> {
    let (view, listed) = folder_objects(table, wanted, view).await?;
    let files = listed.into_iter().map(|objects| {
        let mut files: Vec<LakeFile> = objects.into_iter().map(|object| file_of(table, object)).collect();
        files.sort_by(|left, right| left.path.cmp(&right.path));
        files
    });
    Ok((view, files.collect()))
}

/// The objects of [`folder_files`].
///
/// # Errors
/// As for [`date_files`].
pub(super) async fn folder_objects(
    table: &Location,
    wanted: &Wanted,
    view: Option<View>,
) -> Result<(View, Vec<Vec<ObjectMeta>>)> {
    let mut given = view;
    for _ in 0..MAX_LISTINGS {
        let mut view = match given.take() {
            Some(view) => view,
            None => View::of_table(table).await?,
        };
        let mut listed = wanted.listed(table).await?;
        if view.still_holds(Some(table)).await? {
            listed.iter_mut().for_each(|objects| objects.retain(|object| view.shows(&object.location)));
            return Ok((view, listed));
        }
    }
    Err(Error::Busy(format!(
        "files of {} are replaced by other processes faster than they can be listed: try again later",
        table.url()
    )))
}

/// The Parquet files of all dates of a table.
///
/// # Errors
/// As for [`date_files`].
pub async fn table_files(table: &Location) -> Result<Vec<(NaiveDate, Vec<LakeFile>)>> {
    let view = View::of_table(table).await?;
    let dates: Vec<NaiveDate> = table_folder(table).await?.0.into_iter().collect();
    let (_, files) = date_files(table, &dates, Some(view)).await?;
    Ok(dates.into_iter().zip(files).collect())
}

/// Folders of dates whose files are wanted, and the listings that return them.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    /// The index of the date of each folder.
    dates: HashMap<Path, usize>,
    count: usize,
    /// Folders to list; true for those whose subfolders are the wanted ones.
    listings: Vec<(Path, bool)>,
}

impl Wanted {
    /// The folders of each date, each with a listing of its own.
    pub(super) fn each(dates: Vec<Vec<Path>>) -> Self {
        let count = dates.len();
        let listings = dates.iter().flatten().map(|folder| (folder.clone(), false)).collect();
        let indexed = dates.into_iter().enumerate();
        let dates =
            indexed.flat_map(|(index, folders)| folders.into_iter().map(move |folder| (folder, index)));
        Self { dates: dates.collect(), count, listings }
    }

    /// The folders of each date, with one listing of their parent if at least half of its subfolders are wanted; `siblings` has
    /// the number of subfolders by parent.
    pub(super) fn together(dates: Vec<Vec<Path>>, siblings: &HashMap<Path, usize>) -> Self {
        let mut wanted = Self::each(dates);
        let mut by_parent: BTreeMap<Path, Vec<(Path, bool)>> = BTreeMap::new();
        for listing in std::mem::take(&mut wanted.listings) {
            let parent = listing.0.parent().unwrap_or_default();
            by_parent.entry(parent).or_default().push(listing);
        }
        for (parent, folders) in by_parent {
            let all = siblings.get(&parent).copied().unwrap_or(usize::MAX);
            if folders.len() > 1 && folders.len() >= all.div_ceil(2) {
                wanted.listings.push((parent, true));
            } else {
                wanted.listings.extend(folders);
            }
        }
        wanted
    }

    /// All Parquet files of the folders by date, from any change.
    async fn listed(&self, table: &Location) -> Result<Vec<Vec<ObjectMeta>>> {
        let lists: Vec<_> = self.listings.iter().map(|(folder, _)| table.list(folder)).collect();
        let lists: Vec<Vec<ObjectMeta>> =
            futures::stream::iter(lists).buffered(CONCURRENT_LISTINGS).try_collect().await?;
        let mut by_date = vec![Vec::new(); self.count];
        for ((listed, is_parent), objects) in self.listings.iter().zip(lists) {
            for object in objects {
                let folder = match is_parent {
                    true => child_towards(listed, &object.location),
                    false => Some(listed.clone()),
                };
                let Some(folder) = folder.filter(|folder| is_data_file(folder, &object.location)) else {
                    continue;
                };
                if let Some(objects) = self.dates.get(&folder).and_then(|index| by_date.get_mut(*index)) {
                    objects.push(object);
                }
            }
        }
        Ok(by_date)
    }
}

/// The folder directly below `parent` in which `path` lies.
fn child_towards(parent: &Path, path: &Path) -> Option<Path> {
    let next = path.prefix_match(parent)?.next()?;
    Some(parent.clone().join(next))
}

/// A listed file, with its partition values.
pub(super) fn file_of(table: &Location, object: ObjectMeta) -> LakeFile {
    let partition = partition_of(table, &object.location);
    let file = LakeFile::new(table.name_of(&object.location), object.size, object.e_tag);
    file.with(|file| file.partition = partition)
}

/// Whether `path` is a Parquet file of `folder`, outside the subfolders in which writers keep uncommitted files.
pub(super) fn is_data_file(folder: &Path, path: &Path) -> bool {
    let is_committed = |name: PathPart<'_>| !name.as_ref().starts_with(['_', '.']);
    is_parquet(path) && path.prefix_match(folder).is_some_and(|mut below| below.all(is_committed))
}
