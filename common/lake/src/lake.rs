//! The tables, dates and files of a lake, from listings.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::NaiveDate;
use futures::{StreamExt, TryStreamExt};

use super::changes::View;
use super::delta::TableVersions;
use super::file_source::{EVER, FileSource, ListedFiles, Snapshot, last_date};
use super::folders::{Search, TableFolders, holds_parquet, listed};
use super::found_tables::{FoundTables, StrayFiles};
use super::lake_columns::KnownFiles;
use super::lake_file::LakeFile;
use super::location::Location;
use super::roots::{MAIN_ROOT, OtherRoot};
use super::table_format::{LONG_LISTING, UnsupportedTable, listing_unless_delta, table_format_in};
use hindcast_base::nearest::did_you_mean;
use hindcast_base::time::Window;
use hindcast_base::{Error, Result};
use hindcast_schema::Layout;
use hindcast_schema::PhysicalNames;
use hindcast_schema::TableMapping;
use hindcast_schema::{TableSpec, Tables};

/// Concurrent listings.
pub(super) const CONCURRENT_LISTINGS: usize = 16;

/// A lake with its configuration applied.
#[derive(Debug, Clone)]
pub struct Lake {
    pub(super) root: Location,
    pub(super) mappings: BTreeMap<String, TableMapping>,
    /// The tables that it can have.
    pub(super) known: Tables,
    /// Further roots, by name.
    pub(super) others: Vec<OtherRoot>,
    /// The versions of tables with a log.
    pub(super) versions: TableVersions,
}

/// The files of one date of a table.
#[derive(Debug, Clone)]
pub struct DateFolder {
    /// The date of the folders; in a table whose files are listed, that of the first row of each file.
    pub date: NaiveDate,
    /// Its files, sorted by path.
    pub files: Vec<LakeFile>,
}

impl DateFolder {
    /// The last date of its rows, as far as statistics of its files show it.
    pub fn last_date(&self) -> NaiveDate {
        last_date(self.date, &self.files)
    }
}

/// A table that exists in the lake.
#[derive(Debug, Clone)]
pub struct LakeTable {
    /// Hindcast's definition of the table.
    pub spec: &'static TableSpec,
    /// Its folder.
    pub location: Location,
    /// Its root, if the lake has several: a table then has a part in each of them.
    pub root: Option<Arc<str>>,
    /// The mapping of its columns and dates.
    pub mapping: TableMapping,
    /// Its files; none in a task, which reads the files of its unit.
    pub source: FileSource,
    /// The names of its columns in its files, if they differ from those that users see.
    pub physical: Arc<PhysicalNames>,
    /// A cache of columns. Clones share it.
    pub known: Arc<KnownFiles>,
}

/// A table that exists.
enum Found {
    Readable(Box<LakeTable>),
    /// Its log was not read yet.
    Logged(Box<LakeTable>),
    Unsupported(UnsupportedTable),
}

impl Lake {
    /// The lake at `root`, with the mappings of its tables by their names. It can have the tables of `known`.
    ///
    /// # Errors
    /// [`Error::Invalid`] if a local lake does not exist, or a mapping names an unknown table or column.
    pub fn open(root: Location, mappings: &BTreeMap<String, TableMapping>, known: Tables) -> Result<Self> {
        root.check_folder()?;
        let mut whole = BTreeMap::new();
        for (name, mapping) in mappings {
            let spec = known.by_name(name).ok_or_else(|| {
                let hint = did_you_mean(name, known.names());
                Error::Invalid(format!(
                    "tables.{name}: Hindcast reads no table of that name{hint}; a file of yours can define it"
                ))
            })?;
            if let Some(column) = mapping.columns.keys().find(|column| spec.column(column).is_none()) {
                return Err(Error::Invalid(format!(
                    "tables.{name}.columns: the table has no column {column}"
                )));
            }
            mapping.check_constants(spec)?;
            whole.insert(name.clone(), mapping.with_preset(name)?);
        }
        Ok(Self { root, mappings: whole, known, others: Vec::new(), versions: TableVersions::default() })
    }

    /// The lake with other versions of its tables than the latest ones.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the lake can't have a named table.
    pub fn with_versions(self, versions: TableVersions) -> Result<Self> {
        match versions.by_table.keys().find(|name| self.known.by_name(name).is_none()) {
            Some(name) => {
                let hint = did_you_mean(name, self.known.names());
                Err(Error::Invalid(format!("there is no table {name:?}, whose version is chosen{hint}")))
            }
            None => Ok(Self { versions, ..self }),
        }
    }

    /// The lake's own folder.
    pub fn root(&self) -> &Location {
        &self.root
    }

    /// Whether Hindcast knows a table of that name.
    pub fn knows(&self, name: &str) -> bool {
        self.known.by_name(name).is_some()
    }

    /// The tables of this lake for which `is_wanted` is true, with their dates; of each root, if it has several.
    ///
    /// # Errors
    /// [`Error::Storage`] if a listing fails or a log can't be fetched; [`Error::Invalid`] if a mapped URL is malformed, two roots share
    /// a table, or the chosen versions do not fit the tables.
    pub async fn tables(&self, is_wanted: impl Fn(&str) -> bool) -> Result<FoundTables> {
        let wanted: Vec<&'static TableSpec> =
            self.known.all().iter().copied().filter(|spec| is_wanted(spec.name)).collect();
        let mut found = self.own_tables(&wanted).await?;
        if !self.others.is_empty() {
            found = self.with_other_tables(found, &wanted).await?;
        }
        found.open_logged(&self.versions).await
    }

    /// The tables of the lake's own root. Logs are not read.
    pub(super) async fn own_tables(&self, wanted: &[&'static TableSpec]) -> Result<FoundTables> {
        let view = View::of_lake(&self.root).await?;
        let reads: Vec<_> = wanted.iter().map(|spec| self.table(spec, &view)).collect();
        let mut reads = futures::stream::iter(reads).buffered(CONCURRENT_LISTINGS);
        let mut found = FoundTables::default();
        while let Some((table, stray_files)) = reads.try_next().await? {
            match table {
                Some(Found::Readable(table)) => found.readable.push(*table),
                Some(Found::Logged(table)) => found.add_logged(*table),
                Some(Found::Unsupported(table)) => found.unsupported.push(table),
                None => {}
            }
            found.stray_files.extend(stray_files);
        }
        Ok(found)
    }

    /// Names of the folders in the lake's root for which `is_wanted` is true and that contain Parquet files.
    ///
    /// # Errors
    /// [`Error::Storage`] if a listing fails.
    pub async fn data_folders(&self, is_wanted: impl Fn(&str) -> bool) -> Result<Vec<String>> {
        let mut found = Vec::new();
        for folder in listed(&self.root).await?.common_prefixes {
            if let Some(name) = folder.filename().filter(|name| is_wanted(name))
                && holds_parquet(&self.root, &folder).await?
            {
                found.push(name.to_owned());
            }
        }
        Ok(found)
    }

    async fn table(
        &self,
        spec: &'static TableSpec,
        view: &View,
    ) -> Result<(Option<Found>, Option<StrayFiles>)> {
        let mapping = self.mappings.get(spec.name).cloned().unwrap_or_default();
        let location = match (&mapping.url, &mapping.workspace) {
            (Some(url), _) => self.root.elsewhere(url)?,
            (None, Some(workspace)) => self.root.join(workspace).join(spec.name),
            (None, None) => self.root.join(spec.name),
        };
        let is_own = mapping.url.is_none() && mapping.workspace.is_none();
        let view = if is_own { view.clone() } else { View::of_table(&location).await? };
        let Some(listing) = listing_unless_delta(&location, LONG_LISTING).await? else {
            let table = LakeTable::of_task(spec, location, mapping);
            return Ok((Some(Found::Logged(Box::new(table))), None));
        };
        if let Some(kind) = table_format_in(&location, &listing).await? {
            let (name, url) = (spec.name.to_owned(), location.url().to_owned());
            return Ok((Some(Found::Unsupported(UnsupportedTable { name, url, kind })), None));
        }
        let search = Search {
            location: &location,
            layout: mapping.layout.as_ref(),
            time: mapping.time_source(spec.time_column),
            view,
        };
        let TableFolders { source, outside } = search.run(listing).await?;
        let stray_files = outside.map(|outside| StrayFiles { table: spec.name, root: None, outside });
        let Some(source) = source else { return Ok((None, stray_files)) };
        let table = LakeTable { source, ..LakeTable::of_task(spec, location, mapping) };
        Ok((Some(Found::Readable(Box::new(table))), stray_files))
    }
}

impl LakeTable {
    /// The table as a task opens it, which knows the files of its unit.
    pub fn of_task(spec: &'static TableSpec, location: Location, mapping: TableMapping) -> Self {
        let (source, physical) = (FileSource::default(), Arc::default());
        Self { spec, location, root: None, mapping, source, physical, known: Arc::default() }
    }

    /// The table with what its log says about it.
    #[must_use]
    pub fn with_log(self, physical: PhysicalNames, snapshot: Option<Snapshot>) -> Self {
        let source = FileSource::Listed(Arc::new(ListedFiles { snapshot, ..ListedFiles::default() }));
        Self { source, physical: Arc::new(physical), ..self }
    }

    /// The version that is read, if the table has a log.
    pub fn snapshot(&self) -> Option<&Snapshot> {
        match &self.source {
            FileSource::Listed(listed) => listed.snapshot.as_ref(),
            FileSource::Folders(_) => None,
        }
    }

    /// The name of its root.
    pub fn root_name(&self) -> &str {
        self.root.as_deref().unwrap_or(MAIN_ROOT)
    }

    /// The files that may hold rows of `window`, by date.
    ///
    /// # Errors
    /// [`Error::Storage`] if a listing fails.
    pub async fn folders(&self, window: &Window) -> Result<Vec<DateFolder>> {
        self.source.folders(&self.location, window, self.mapping.folder_slack_days).await
    }

    /// All its files, by date.
    ///
    /// # Errors
    /// [`Error::Storage`] if a listing fails.
    pub async fn all_folders(&self) -> Result<Vec<DateFolder>> {
        self.folders(&EVER).await
    }

    /// First and last date of its folders, or of its rows if its files are listed.
    pub fn date_bounds(&self) -> Option<(NaiveDate, NaiveDate)> {
        self.source.date_bounds()
    }

    /// The layout of its folders; none if a log lists its files.
    pub fn layout(&self) -> Option<Layout> {
        self.source.layout()
    }

    /// Whether its files are listed with the times of their rows, rather than lie in folders by date.
    pub fn is_listed(&self) -> bool {
        matches!(self.source, FileSource::Listed(_))
    }

    /// Dates of [`Self::files_ending_on`], the newest first.
    pub fn last_dates(&self) -> Vec<NaiveDate> {
        self.source.last_dates()
    }

    /// The files of a date's folders, or the listed files whose last row is of that date, the newest first.
    ///
    /// # Errors
    /// [`Error::Storage`] if the listing fails.
    pub async fn files_ending_on(&self, date: NaiveDate) -> Result<Vec<LakeFile>> {
        self.source.files_ending_on(&self.location, date).await
    }
}

#[cfg(test)]
#[path = "lake_tests.rs"]
mod tests;
