//! Where a table's files are: its layout, the folders of its dates, and the Parquet files outside them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::NaiveDate;
use futures::StreamExt;
use object_store::ListResult;
use object_store::path::Path;

use super::changes::View;
use super::file_source::{DateFolders, EVER, FileSource};
use super::lake::DateFolder;
use super::layout;
use super::listing::is_data_file;
use super::location::Location;
use super::table_format::{TableFormat, table_format_in};
use hindcast_base::retry::with_retries;
use hindcast_base::{Error, Result};
use hindcast_schema::Layout;
use hindcast_schema::columns::TimeSource;

/// Most folders outside a table's layout that are searched for Parquet files.
const SEARCHED_FOLDERS: usize = 100;

/// What a table's folder contains.
#[derive(Debug, Default)]
pub(super) struct TableFolders {
    /// Its files; none if no file fits the layout.
    pub(super) source: Option<FileSource>,
    /// Parquet files outside the layout, if there are any.
    pub(super) outside: Option<OutsideLayout>,
}

/// Parquet files of a table outside its layout. They are not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutsideLayout {
    /// The layout that is read; the standard one if the table has none.
    pub layout: Layout,
    /// Another layout that the folders of some of the files seem to have.
    pub other_layout: Option<String>,
    /// The files, and the folders that contain such files.
    pub paths: Vec<String>,
}

/// How to find a table's files.
pub(super) struct Search<'a> {
    /// The table's folder.
    pub(super) location: &'a Location,
    /// Its layout, if it is configured.
    pub(super) layout: Option<&'a Layout>,
    /// The place of the rows' times, if it is known.
    pub(super) time: Option<TimeSource>,
    /// The changes of its lake.
    pub(super) view: View,
}

impl Search<'_> {
    /// Finds the files from `listing`, the listing of the table's folder.
    ///
    /// # Errors
    /// [`Error::Storage`] if a listing fails.
    pub(super) async fn run(self, listing: ListResult) -> Result<TableFolders> {
        let dates = dates_in(&listing);
        let is_standard = self.layout.is_some_and(Layout::is_standard);
        if is_standard || (self.layout.is_none() && !dates.is_empty()) {
            return self.in_standard_folders(&listing, dates).await;
        }
        let layout = match self.layout {
            Some(layout) => Some(layout.clone()),
            None => layout::detected(self.location, &listing).await?,
        };
        match layout {
            None => self.in_standard_folders(&listing, dates).await,
            Some(Layout::Flat) => self.in_no_folders().await,
            Some(layout) => self.in_folders(layout, listing).await,
        }
    }

    async fn in_standard_folders(
        self,
        listing: &ListResult,
        dates: BTreeSet<NaiveDate>,
    ) -> Result<TableFolders> {
        let layout = Layout::standard();
        let files = listing.objects.iter().map(|object| object.location.clone()).filter(is_visible_parquet);
        let folders = listing.common_prefixes.iter().filter(|folder| date_of(folder).is_none()).cloned();
        let outside = outside(self.location, &layout, files.collect(), folders.collect()).await?;
        let folder_of = |date: NaiveDate| (date, vec![self.location.child(&format!("date={date}"))]);
        let by_date: BTreeMap<NaiveDate, Vec<Path>> = dates.into_iter().map(folder_of).collect();
        Ok(TableFolders { source: source_of(layout, by_date, self.view), outside })
    }

    async fn in_folders(self, layout: Layout, listing: ListResult) -> Result<TableFolders> {
        let walked = layout::walk(self.location, &layout, listing).await?;
        let outside = outside(self.location, &layout, walked.other_files, walked.other_folders).await?;
        Ok(TableFolders { source: source_of(layout, walked.by_date, self.view), outside })
    }

    async fn in_no_folders(self) -> Result<TableFolders> {
        let is_any_folder = self.layout.is_some();
        let (listed, others) =
            layout::listed_files(self.location, self.time, is_any_folder, self.view).await?;
        let outside = outside(self.location, &Layout::Flat, others, Vec::new()).await?;
        let has_files = !listed.by_date.is_empty();
        Ok(TableFolders { source: has_files.then(|| FileSource::Listed(Arc::new(listed))), outside })
    }
}

fn source_of(layout: Layout, by_date: BTreeMap<NaiveDate, Vec<Path>>, view: View) -> Option<FileSource> {
    let folders = (!by_date.is_empty()).then(|| DateFolders::new(layout, by_date, view))?;
    Some(FileSource::Folders(Arc::new(folders)))
}

/// The layout of the table that `listing` lists, if it is not the one that Hindcast writes.
///
/// # Errors
/// [`Error::Storage`] if a listing fails.
pub(super) async fn other_layout(location: &Location, listing: &ListResult) -> Result<Option<Layout>> {
    match dates_in(listing).is_empty() {
        true => layout::detected(location, listing).await,
        false => Ok(None),
    }
}

/// The files of a table that Hindcast does not know, by date, and the layout of its folders. Without folders by date, a file is at
/// the date on which it was written.
///
/// # Errors
/// [`Error::Storage`] if a listing fails.
pub async fn files_by_date(location: &Location) -> Result<(Option<Layout>, Vec<DateFolder>)> {
    let listing = listed(location).await?;
    let view = View::of_table(location).await?;
    let found = Search { location, layout: None, time: None, view }.run(listing).await?;
    let Some(source) = found.source else { return Ok((None, Vec::new())) };
    Ok((source.layout(), source.folders(location, &EVER, 0).await?))
}

/// The dates of a table's `date=YYYY-MM-DD` folders, and its table format, if it has one.
///
/// # Errors
/// [`Error::Storage`] if a listing fails.
pub async fn table_folder(location: &Location) -> Result<(BTreeSet<NaiveDate>, Option<TableFormat>)> {
    let listing = listed(location).await?;
    Ok((dates_in(&listing), table_format_in(location, &listing).await?))
}

/// Lists the direct content of a location's own folder.
///
/// # Errors
/// [`Error::Storage`] if the store fails.
pub(super) async fn listed(location: &Location) -> Result<ListResult> {
    list_folder(location, location.prefix()).await
}

/// Lists the direct content of a folder in the store of `location`.
///
/// # Errors
/// [`Error::Storage`] if the store fails.
pub(super) async fn list_folder(location: &Location, folder: &Path) -> Result<ListResult> {
    let is_own = folder == location.prefix();
    let name = if is_own { location.url().to_owned() } else { location.name_of(folder) };
    with_retries(|| async {
        let listing = location.store().list_with_delimiter(Some(folder)).await;
        listing.map_err(Error::listing(&name))
    })
    .await
}

fn dates_in(listing: &ListResult) -> BTreeSet<NaiveDate> {
    listing.common_prefixes.iter().filter_map(date_of).collect()
}

fn date_of(folder: &Path) -> Option<NaiveDate> {
    Layout::standard_date(folder.filename()?)
}

/// Those of `files` and `folders`, which are outside the layout of a table, that are or contain Parquet files. They are not read,
/// and named in a warning.
async fn outside(
    location: &Location,
    layout: &Layout,
    files: Vec<Path>,
    folders: Vec<Path>,
) -> Result<Option<OutsideLayout>> {
    let mut paths: Vec<String> = files.iter().map(|path| location.name_of(path)).collect();
    let mut other_layout = None;
    for folder in folders.iter().filter(|folder| !is_hidden(folder)).take(SEARCHED_FOLDERS) {
        if holds_parquet(location, folder).await? {
            let pattern = folder.filename().and_then(layout::date_pattern).map(|pattern| pattern.to_string());
            other_layout = other_layout.or(pattern);
            paths.push(location.name_of(folder));
        }
    }
    for path in &paths {
        tracing::warn!(target: "lake", %path, "not read: it is outside the layout {layout}");
    }
    let layout = layout.clone();
    Ok((!paths.is_empty()).then_some(OutsideLayout { layout, other_layout, paths }))
}

/// Whether the folder contains a Parquet file, at any depth.
///
/// # Errors
/// [`Error::Storage`] if the listing fails.
pub(super) async fn holds_parquet(location: &Location, folder: &Path) -> Result<bool> {
    let mut objects = location.store().list(Some(folder));
    while let Some(object) = objects.next().await {
        let object = object.map_err(Error::listing(location.name_of(folder)))?;
        if is_data_file(folder, &object.location) {
            return Ok(true);
        }
    }
    Ok(false)
}

pub(super) fn is_parquet(path: &Path) -> bool {
    path.filename().is_some_and(|name| name.to_ascii_lowercase().ends_with(".parquet"))
}

/// Whether writers keep their own or uncommitted files there.
pub(super) fn is_hidden(path: &Path) -> bool {
    path.filename().is_none_or(|name| name.starts_with(['_', '.']))
}

fn is_visible_parquet(path: &Path) -> bool {
    is_parquet(path) && !is_hidden(path)
}
