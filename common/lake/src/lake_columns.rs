//! The columns that a table's files have, from their footers.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::datatypes::SchemaRef;
use futures::StreamExt;
use hindcast_base::Result;
use tokio::sync::OnceCell;

use super::file_source::FileSource;
use super::lake::{CONCURRENT_LISTINGS, DateFolder, LakeTable};
use super::lake_file::LakeFile;
use super::rewrites::Rewrites;
use super::store_reader::parquet_footer;
use hindcast_schema::columns::{ColumnPath, ColumnSource, FileColumns, Found, MappedValues, PathStep};

/// Most dates, spread over the window, whose first and last file are read for the columns of a table.
const SAMPLED_DATES: usize = 64;
/// Most files, spread over the window, that are searched for columns which those lack.
const SEARCHED_FILES: usize = 1_000;

/// A cache of the columns of a table's files: the plans of many windows need the same ones. Nearly all files of a table have the same
/// columns, which are held once.
#[derive(Debug, Default)]
pub struct KnownFiles {
    columns_by_path: Mutex<HashMap<String, Arc<ExaminedColumns>>>,
    /// What its newest commits only rewrote.
    pub(super) rewrites: OnceCell<Rewrites>,
}

/// The columns of files.
#[derive(Debug, Clone, Default, PartialEq)]
struct ExaminedColumns {
    /// Their names in the lake.
    stored: BTreeSet<String>,
    /// The columns of the table that the files have, by Hindcast's names.
    found: BTreeSet<&'static str>,
}

impl ExaminedColumns {
    fn extend(&mut self, other: &Self) {
        self.stored.extend(other.stored.iter().cloned());
        self.found.extend(&other.found);
    }
}

impl LakeTable {
    /// Those of the columns `wanted`, by Hindcast's names, that the table's log has, or any examined file: the first and last files of
    /// sampled dates, and many more files if those lack any of them.
    ///
    /// # Errors
    /// [`hindcast_base::Error::Storage`] if a store fails. Files that are not Parquet are skipped here and fail when they are
    /// scanned.
    pub async fn columns(
        &self,
        folders: &[DateFolder],
        wanted: &BTreeSet<&'static str>,
    ) -> Result<BTreeSet<&'static str>> {
        if let Some(logged) = self.logged_columns() {
            return Ok(wanted.iter().copied().filter(|name| logged.found.contains(name)).collect());
        }
        let step = folders.len().div_ceil(SAMPLED_DATES).max(1);
        let sampled: Vec<&LakeFile> = folders
            .iter()
            .step_by(step)
            .chain(folders.last())
            .flat_map(|folder| [folder.files.first(), folder.files.last()])
            .flatten()
            .collect();
        let mut examined = self.columns_of(sampled).await;
        if wanted.iter().any(|name| !examined.found.contains(name)) {
            let files: Vec<&LakeFile> = folders.iter().flat_map(|folder| &folder.files).collect();
            let step = files.len().div_ceil(SEARCHED_FILES).max(1);
            examined.extend(&self.columns_of(files.into_iter().step_by(step).collect()).await);
        }
        // Without a readable file nothing is known: the scan then reports the fault of each.
        let is_unknown = examined.stored.is_empty();
        Ok(wanted.iter().copied().filter(|name| is_unknown || examined.found.contains(name)).collect())
    }

    /// The columns of any of `files`.
    async fn columns_of(&self, files: Vec<&LakeFile>) -> ExaminedColumns {
        let reads: Vec<_> = files.into_iter().map(|file| self.examined(file)).collect();
        let mut all = ExaminedColumns::default();
        let mut reads = futures::stream::iter(reads).buffered(CONCURRENT_LISTINGS);
        let mut last: Option<Arc<ExaminedColumns>> = None;
        while let Some(examined) = reads.next().await {
            let Some(examined) = examined else { continue };
            if !last.as_ref().is_some_and(|last| Arc::ptr_eq(last, &examined)) {
                all.extend(&examined);
            }
            last = Some(examined);
        }
        all
    }

    /// The columns that the table's log has.
    fn logged_columns(&self) -> Option<ExaminedColumns> {
        let FileSource::Listed(listed) = &self.source else { return None };
        let schema = listed.schema.as_ref()?;
        Some(self.examine(&FileColumns::new(Arc::clone(schema), BTreeMap::new())))
    }

    /// The names of all columns in the table's log, or in the files of `folders` that [`LakeTable::columns`] has examined, as users see
    /// them.
    pub fn stored_columns(&self, folders: &[DateFolder]) -> BTreeSet<String> {
        if let Some(logged) = self.logged_columns() {
            return logged.stored;
        }
        let files = folders.iter().flat_map(|folder| &folder.files);
        let examined = files.filter_map(|file| self.known.columns_of(&file.path));
        examined.flat_map(|examined| examined.stored.clone()).collect()
    }

    /// Whether the mapping, or the name of a column, refers to a column of the files that is called `stored`.
    pub fn refers_to(&self, stored: &str) -> bool {
        let is_it = |path: &ColumnPath| {
            path.text().eq_ignore_ascii_case(stored)
                || matches!(path.steps().first(), Some(PathStep::Name(name)) if name.eq_ignore_ascii_case(stored))
        };
        self.spec.columns.iter().any(|column| self.mapping.source(column.name).paths().iter().any(is_it))
    }

    /// The columns of a file with this schema.
    pub(super) fn columns_in(&self, schema: &SchemaRef, file: &LakeFile) -> FileColumns {
        let columns = FileColumns::new(Arc::clone(schema), file.partition.clone());
        match self.physical.is_empty() {
            true => columns,
            false => columns.named(Arc::new(self.physical.logical_schema(schema))),
        }
    }

    async fn examined(&self, file: &LakeFile) -> Option<Arc<ExaminedColumns>> {
        if let Some(columns) = self.known.columns_of(&file.path) {
            return Some(columns);
        }
        let footer = parquet_footer(&self.location, file).await.ok()?;
        let examined = self.examine(&self.columns_in(&footer.schema, file));
        Some(self.known.remember(&file.path, examined))
    }

    fn examine(&self, columns: &FileColumns) -> ExaminedColumns {
        let is_there = |path: &ColumnPath| !matches!(columns.find(path), Ok(Found::Absent));
        let has = |name: &&str| match self.mapping.source(name) {
            ColumnSource::Value(_) => true,
            // An expression that refers to no column is a constant.
            source @ ColumnSource::Sql(_) => {
                let paths = source.paths();
                paths.is_empty() || paths.iter().any(is_there)
            }
            ColumnSource::Path(path) | ColumnSource::Mapped(MappedValues { column: path, .. }) => {
                is_there(&path)
            }
        };
        let found = self.spec.columns.iter().map(|column| column.name).filter(has).collect();
        ExaminedColumns { stored: columns.names(), found }
    }
}

impl KnownFiles {
    fn columns_of(&self, path: &str) -> Option<Arc<ExaminedColumns>> {
        self.columns_by_path().get(path).cloned()
    }

    /// Stores the columns of a file unless they are known, and returns the stored ones.
    fn remember(&self, path: &str, columns: ExaminedColumns) -> Arc<ExaminedColumns> {
        let mut known = self.columns_by_path();
        let same = known.values().find(|other| ***other == columns).cloned();
        let columns = same.unwrap_or_else(|| Arc::new(columns));
        Arc::clone(known.entry(path.to_owned()).or_insert(columns))
    }

    fn columns_by_path(&self) -> MutexGuard<'_, HashMap<String, Arc<ExaminedColumns>>> {
        self.columns_by_path.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
