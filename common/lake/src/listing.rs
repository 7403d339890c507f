//! Lists the data files of a table's dates that one view of its lake's changes shows.

use chrono::NaiveDate;
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectMeta;
use object_store::path::{Path, PathPart};

use super::changes::View;
use super::lake::{is_parquet, table_folder};
use super::lake_file::LakeFile;
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
    folder_files(table, folders, view).await
}

/// Like [`date_files`], for the folders of each date.
///
/// # Errors
/// As for [`date_files`].
pub(super) async fn folder_files(
    table: &Location,
    dates: Vec<Vec<Path>>,
    view: Option<View>,
) -> Result<(View, Vec<Vec<LakeFile>>)> {
    let mut given = view;
    for _ in 0..MAX_LISTINGS {
        let mut view = match given.take() {
            Some(view) => view,
            None => View::of_table(table).await?,
        };
        let listings: Vec<_> = dates.iter().map(|folders| listed(table, folders)).collect();
        let listed: Vec<Vec<ObjectMeta>> =
            futures::stream::iter(listings).buffered(CONCURRENT_LISTINGS).try_collect().await?;
        if view.still_holds(Some(table)).await? {
            let files = listed.into_iter().map(|objects| shown(table, &view, objects)).collect();
            return Ok((view, files));
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

/// All Parquet files of a date's folders, from any change.
async fn listed(table: &Location, folders: &[Path]) -> Result<Vec<ObjectMeta>> {
    let mut found = Vec::new();
    for folder in folders {
        let objects = table.list(folder).await?;
        found.extend(objects.into_iter().filter(|object| is_data_file(folder, &object.location)));
    }
    Ok(found)
}

fn shown(table: &Location, view: &View, objects: Vec<ObjectMeta>) -> Vec<LakeFile> {
    let mut files: Vec<LakeFile> = objects
        .into_iter()
        .filter(|object| view.shows(&object.location))
        .map(|object| LakeFile::new(table.name_of(&object.location), object.size, object.e_tag))
        .collect();
    files.sort_by(|left, right| left.path.cmp(&right.path));
    files
}

/// Whether `path` is a Parquet file of `folder`, outside the subfolders in which writers keep uncommitted files.
pub(super) fn is_data_file(folder: &Path, path: &Path) -> bool {
    let is_committed = |name: PathPart<'_>| !name.as_ref().starts_with(['_', '.']);
    is_parquet(path) && path.prefix_match(folder).is_some_and(|mut below| below.all(is_committed))
}
