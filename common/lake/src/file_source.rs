//! Where a table's files come from: folders by date, which are listed when they are needed, or a list of all files.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::datatypes::SchemaRef;
use chrono::NaiveDate;
use object_store::path::Path;
use serde::{Deserialize, Serialize};

use super::changes::View;
use super::delta::History;
use super::lake::DateFolder;
use super::lake_file::LakeFile;
use super::listing::{Wanted, folder_files};
use super::location::Location;
use hindcast_base::Result;
use hindcast_base::time::{Window, date_of_us};
use hindcast_schema::Layout;

/// All times.
pub(super) const EVER: Window = Window { from_us: i64::MIN, to_us: i64::MAX };

/// The first date of rows whose times are not known.
const EARLIEST: NaiveDate = match NaiveDate::from_ymd_opt(1, 1, 1) {
    Some(date) => date,
    None => NaiveDate::MIN,
};

/// The files of a table. Clones share what was listed.
#[derive(Debug, Clone)]
pub enum FileSource {
    /// Folders by date.
    Folders(Arc<DateFolders>),
    /// A list of all files.
    Listed(Arc<ListedFiles>),
}

/// Folders by date, with a cache of their listings: the plans of many windows need the same ones.
#[derive(Debug)]
pub struct DateFolders {
    layout: Layout,
    by_date: BTreeMap<NaiveDate, Vec<Path>>,
    /// The changes of the table's lake, as they were before its dates were listed.
    view: Mutex<Option<View>>,
    files: Mutex<HashMap<NaiveDate, Vec<LakeFile>>>,
}

/// All files of a table, with the times of their rows where statistics have them.
#[derive(Debug, Default)]
pub struct ListedFiles {
    /// Each file at the date of its first row; a file without known times at the date on which it was written.
    pub by_date: BTreeMap<NaiveDate, Vec<LakeFile>>,
    /// The version of the table, if a log lists its files.
    pub snapshot: Option<Snapshot>,
    /// Its columns as users see them, if a log has them. A file that lacks one has nulls.
    pub(super) schema: Option<SchemaRef>,
    /// What leads to that version, if it was read from the log.
    pub(super) history: Option<History>,
}

/// One version of a table with a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Its number.
    pub version: u64,
    /// When it was committed, in milliseconds, if its log says so.
    pub time_ms: Option<i64>,
}

impl Default for FileSource {
    fn default() -> Self {
        Self::Listed(Arc::default())
    }
}

impl FileSource {
    /// The layout of the folders; none if a log lists the files.
    pub(super) fn layout(&self) -> Option<Layout> {
        match self {
            Self::Folders(folders) => Some(folders.layout.clone()),
            Self::Listed(listed) => listed.snapshot.is_none().then_some(Layout::Flat),
        }
    }

    /// First and last date of the folders, or of the rows of listed files. Rows whose times are not known may be of any date up to
    /// the one on which they were written.
    pub fn date_bounds(&self) -> Option<(NaiveDate, NaiveDate)> {
        match self {
            Self::Folders(folders) => {
                folders.by_date.keys().next().copied().zip(folders.by_date.keys().next_back().copied())
            }
            Self::Listed(listed) => {
                let mut files = listed.by_date.values().flatten();
                let is_unknown = files.any(|file| file.times_us.is_none());
                let first = listed.by_date.keys().next().copied();
                let first = first.map(|first| if is_unknown { EARLIEST } else { first });
                let last = listed.by_date.iter().map(|(date, files)| last_date(*date, files)).max();
                first.zip(last)
            }
        }
    }

    /// The files that may hold rows of `window`, by date. A date of folders is extended by `slack_days` on both sides.
    ///
    /// # Errors
    /// [`hindcast_base::Error::Storage`] if a listing fails.
    pub(super) async fn folders(
        &self,
        table: &Location,
        window: &Window,
        slack_days: u32,
    ) -> Result<Vec<DateFolder>> {
        match self {
            Self::Folders(folders) => {
                let dates = folders.by_date.keys().copied();
                let touched: Vec<NaiveDate> =
                    dates.filter(|date| window.touches_date(*date, slack_days)).collect();
                let files = folders.files_of(table, &touched).await?;
                Ok(touched.into_iter().zip(files).map(|(date, files)| DateFolder { date, files }).collect())
            }
            Self::Listed(listed) => Ok(listed.folders(window)),
        }
    }

    /// Dates for which [`Self::files_ending_on`] has files, the newest first.
    pub(super) fn last_dates(&self) -> Vec<NaiveDate> {
        match self {
            Self::Folders(folders) => folders.by_date.keys().rev().copied().collect(),
            Self::Listed(listed) => {
                let ends = listed
                    .by_date
                    .iter()
                    .flat_map(|(date, files)| files.iter().map(|file| end_of(*date, file)));
                ends.collect::<BTreeSet<_>>().into_iter().rev().collect()
            }
        }
    }

    /// The files of a date's folders, or the listed files whose last row is of that date, the newest first.
    ///
    /// # Errors
    /// [`hindcast_base::Error::Storage`] if the listing fails.
    pub(super) async fn files_ending_on(&self, table: &Location, date: NaiveDate) -> Result<Vec<LakeFile>> {
        match self {
            Self::Folders(folders) => Ok(folders.files_of(table, &[date]).await?.pop().unwrap_or_default()),
            Self::Listed(listed) => {
                let all = listed.by_date.iter();
                let ending =
                    all.flat_map(|(own, files)| files.iter().filter(|file| end_of(*own, file) == date));
                let mut files: Vec<LakeFile> = ending.cloned().collect();
                files.sort_by(|left, right| (last_us(right), &left.path).cmp(&(last_us(left), &right.path)));
                Ok(files)
            }
        }
    }
}

impl DateFolders {
    /// Folders of dates of a table, with the changes of its lake from before they were listed.
    pub(super) fn new(layout: Layout, by_date: BTreeMap<NaiveDate, Vec<Path>>, view: View) -> Self {
        Self { layout, by_date, view: Mutex::new(Some(view)), files: Mutex::default() }
    }

    /// The Parquet files of each of `dates`, at any depth of its folders, sorted by path, as of the first call. Dates that are not
    /// in the cache are listed with one view of the changes.
    async fn files_of(&self, table: &Location, dates: &[NaiveDate]) -> Result<Vec<Vec<LakeFile>>> {
        let known = |date: &NaiveDate| lock(&self.files).get(date).cloned();
        let unknown: Vec<NaiveDate> = dates.iter().copied().filter(|date| known(date).is_none()).collect();
        if !unknown.is_empty() {
            let view = lock(&self.view).clone();
            let folders =
                unknown.iter().map(|date| self.by_date.get(date).cloned().unwrap_or_default()).collect();
            let wanted = self.wanted(folders);
            let (view, listed) = folder_files(table, &wanted, view).await?;
            *lock(&self.view) = Some(view);
            for (date, files) in unknown.into_iter().zip(listed) {
                lock(&self.files).entry(date).or_insert(files);
            }
        }
        Ok(dates.iter().map(|date| known(date).unwrap_or_default()).collect())
    }

    /// The listings for the folders of dates. In the standard layout, each date has its own.
    fn wanted(&self, folders: Vec<Vec<Path>>) -> Wanted {
        if self.layout.is_standard() {
            return Wanted::each(folders);
        }
        let mut siblings: HashMap<Path, usize> = HashMap::new();
        for folder in self.by_date.values().flatten() {
            *siblings.entry(folder.parent().unwrap_or_default()).or_default() += 1;
        }
        Wanted::together(folders, &siblings)
    }
}

impl ListedFiles {
    /// The files whose times overlap `window`, or are not known, by date.
    fn folders(&self, window: &Window) -> Vec<DateFolder> {
        let folder = |(date, files): (&NaiveDate, &Vec<LakeFile>)| DateFolder {
            date: *date,
            files: files.iter().filter(|file| file.may_touch(window)).cloned().collect(),
        };
        self.by_date.iter().map(folder).filter(|folder| !folder.files.is_empty()).collect()
    }
}

/// The last date of the rows of `files`, which are listed at `date`.
pub(super) fn last_date(date: NaiveDate, files: &[LakeFile]) -> NaiveDate {
    files.iter().map(|file| end_of(date, file)).max().unwrap_or(date)
}

/// The date of the file's last row; `date`, at which it is listed, if its times are not known.
fn end_of(date: NaiveDate, file: &LakeFile) -> NaiveDate {
    file.times_us.map_or(date, |(_, last)| date.max(date_of_us(last)))
}

fn last_us(file: &LakeFile) -> i64 {
    file.times_us.map_or(i64::MAX, |(_, last)| last)
}

fn lock<T>(shared: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
