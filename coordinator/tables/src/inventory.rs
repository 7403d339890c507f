//! Lists, shows and deletes the tables of a lake, whether Hindcast knows them or not.

use std::sync::Arc;

use arrow::datatypes::DataType;
use chrono::NaiveDate;
use futures::StreamExt;
use hindcast_base::{Error, Result};
use hindcast_lake::{
    DateFolder, Lake, LakeFile, LakeTable, Layout, Location, PhysicalNames, TableFormat, UnsupportedTable,
    delta_files, files_by_date, in_root, parquet_footer, refuse_unwritable, table_files, table_format_of,
};
use object_store::ObjectStoreExt;
use serde::{Serialize, Serializer};

/// Footers read at the same time.
const CONCURRENT_READS: usize = 16;

/// A table and its size.
#[derive(Debug, Serialize)]
pub struct TableEntry {
    /// Its name.
    pub table: String,
    /// Its root, if the lake has several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
    /// The layout of its folders; absent if a log lists its files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layout: Option<Layout>,
    /// The version that was read, if the table is a Delta table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// Its dates.
    pub dates: Vec<DateEntry>,
    /// Why Hindcast neither reads nor writes it; absent if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// A date of a table.
#[derive(Debug, Serialize)]
pub struct DateEntry {
    /// The date of the folder; of files in no folders by date, that of the first row.
    pub date: NaiveDate,
    /// Its Parquet files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Their rows; absent if not counted, or if a file can't be read.
    pub rows: Option<u64>,
    /// Files that can't be read, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<String>,
}

/// A table, its rows by date and its columns.
#[derive(Debug, Serialize)]
pub struct TableDetail {
    /// Sizes.
    #[serde(flatten)]
    pub entry: TableEntry,
    /// Names and types of the columns of all files.
    pub columns: Vec<ColumnEntry>,
    /// Files whose columns were read.
    pub files_read: u64,
}

/// A column, as files store it.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct ColumnEntry {
    /// Name.
    pub name: String,
    /// Arrow types; one if all files agree.
    #[serde(serialize_with = "as_names")]
    pub types: Vec<DataType>,
    /// Files that have it.
    pub files: u64,
    /// Whether every row of those files is null, according to their statistics.
    pub always_null: bool,
}

impl ColumnEntry {
    /// Names of its types.
    pub fn type_names(&self) -> Vec<String> {
        self.types.iter().map(ToString::to_string).collect()
    }
}

fn as_names<S: Serializer>(types: &[DataType], serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.collect_seq(types.iter().map(ToString::to_string))
}

/// The tables of each root of a lake, as [`list`] has those of one.
///
/// # Errors
/// [`Error::Storage`] if a listing fails.
pub async fn list_roots(lake: &Lake) -> Result<Vec<TableEntry>> {
    let mut tables = Vec::new();
    for (root, part) in lake.parts() {
        let own = list(&part).await.map_err(|error| match &root {
            Some(root) => in_root(root, error),
            None => error,
        })?;
        let in_root = |entry| TableEntry { root: root.as_deref().map(str::to_owned), ..entry };
        tables.extend(own.into_iter().map(in_root));
    }
    Ok(tables)
}

/// The tables of a lake with one root, with their layouts, dates and sizes: those that Hindcast knows, and other folders below its root that hold
/// Parquet files. Tables whose transaction log Hindcast does not read are refused.
///
/// # Errors
/// [`Error::Storage`] if a listing fails.
pub async fn list(lake: &Lake) -> Result<Vec<TableEntry>> {
    let found = lake.tables(|_| true).await?;
    let mut tables: Vec<TableEntry> = found.unsupported.iter().map(unsupported).collect();
    tables.extend(found.unread.iter().map(|unread| refused(unread.table, unread.error.to_string())));
    for table in &found.readable {
        tables.push(entry(table.spec.name, &Located::of(table).await?));
    }
    let root = lake.root();
    let listing =
        root.store().list_with_delimiter(Some(root.prefix())).await.map_err(Error::listing(root.url()))?;
    for name in listing.common_prefixes.iter().filter_map(|prefix| prefix.filename()) {
        if name.starts_with(['_', '.']) || lake.knows(name) {
            continue;
        }
        match Located::unknown(root.join(name), name).await {
            Ok(located) if located.folders.is_empty() => {}
            Ok(located) => tables.push(entry(name, &located)),
            Err(Error::Storage(fault)) => return Err(Error::Storage(fault)),
            Err(error) => tables.push(refused(name, error.to_string())),
        }
    }
    tables.sort_by(|left, right| left.table.cmp(&right.table));
    Ok(tables)
}

fn unsupported(table: &UnsupportedTable) -> TableEntry {
    refused(&table.name, table.to_string())
}

fn refused(table: &str, reason: String) -> TableEntry {
    let table = table.to_owned();
    TableEntry { table, root: None, layout: None, version: None, dates: Vec::new(), refused: Some(reason) }
}

fn entry(table: &str, located: &Located) -> TableEntry {
    let dates = located.folders.iter().map(|folder| date_entry(folder.date, &folder.files)).collect();
    let (layout, version) = (located.layout.clone(), located.version);
    TableEntry { table: table.to_owned(), root: None, layout, version, dates, refused: None }
}

/// A table with its files.
struct Located {
    location: Location,
    layout: Option<Layout>,
    version: Option<u64>,
    folders: Vec<DateFolder>,
    physical: Arc<PhysicalNames>,
}

impl Located {
    /// A table that Hindcast knows.
    async fn of(table: &LakeTable) -> Result<Self> {
        Ok(Self {
            location: table.location.clone(),
            layout: table.layout(),
            version: table.snapshot().map(|snapshot| snapshot.version),
            folders: table.all_folders().await?,
            physical: Arc::clone(&table.physical),
        })
    }

    /// Any other table.
    async fn unknown(location: Location, name: &str) -> Result<Self> {
        match table_format_of(&location).await? {
            Some(TableFormat::Delta) => {
                let (listed, physical) = delta_files(name, &location).await?;
                let version = listed.snapshot.map(|snapshot| snapshot.version);
                let folders =
                    listed.by_date.into_iter().map(|(date, files)| DateFolder { date, files }).collect();
                Ok(Self { location, layout: None, version, folders, physical: Arc::new(physical) })
            }
            Some(kind) => {
                let (name, url) = (name.to_owned(), location.url().to_owned());
                Err(UnsupportedTable { name, url, kind }.refused(""))
            }
            None => {
                let (layout, folders) = files_by_date(&location).await?;
                Ok(Self { location, layout, version: None, folders, physical: Arc::default() })
            }
        }
    }
}

/// The rows by date and the columns of one table.
///
/// # Errors
/// [`Error::NotFound`] if the lake has no such table, [`Error::Invalid`] if it has a transaction log that Hindcast does not read,
/// [`Error::Storage`] if a listing fails.
pub async fn show(lake: &Lake, table: &str) -> Result<TableDetail> {
    let located = located(lake, table).await?;
    let entry = TableEntry { dates: Vec::new(), ..entry(table, &located) };
    let mut detail = TableDetail { entry, columns: Vec::new(), files_read: 0 };
    for DateFolder { date, files } in &located.folders {
        let mut entry = date_entry(*date, files);
        let footers: Vec<_> = futures::stream::iter(files)
            .map(|file| parquet_footer(&located.location, file))
            .buffered(CONCURRENT_READS)
            .collect()
            .await;
        let mut rows = 0;
        for (footer, file) in footers.into_iter().zip(files) {
            match footer {
                Ok(footer) => {
                    let deleted =
                        file.deleted.as_ref().map_or(0, |deleted| deleted.cardinality.unsigned_abs());
                    rows += footer.rows.saturating_sub(deleted);
                    detail.files_read += 1;
                    let named = located.physical.logical_schema(&footer.schema);
                    for (stored, field) in footer.schema.fields().iter().zip(named.fields()) {
                        // The table may lack a column that an older file still has.
                        if !field.name().starts_with('\0') {
                            let is_null = footer.nulls.get(stored.name()) == Some(&footer.rows);
                            add_column(&mut detail.columns, field.name(), field.data_type(), is_null);
                        }
                    }
                }
                Err(fault) => entry.unreadable.push(fault.to_string()),
            }
        }
        entry.rows = entry.unreadable.is_empty().then_some(rows);
        detail.entry.dates.push(entry);
    }
    Ok(detail)
}

/// The place, the layout and the files of a table.
async fn located(lake: &Lake, table: &str) -> Result<Located> {
    if !is_table_name(table) {
        return Err(absent(lake.root(), table));
    }
    let found = lake.tables(|name| name == table).await?.all_readable(|_| String::new())?;
    if let Some(known) = found.first() {
        return Located::of(known).await;
    }
    let located = Located::unknown(lake.root().join(table), table).await?;
    if located.folders.is_empty() { Err(absent(lake.root(), table)) } else { Ok(located) }
}

/// Deletes all objects of a table. Returns their number, or `None` if the table does not exist.
///
/// # Errors
/// [`Error::Invalid`] if the table has a transaction log, [`Error::Storage`] if the store fails.
pub async fn delete(root: &Location, table: &str) -> Result<Option<u64>> {
    if found(root, table).await?.is_empty() {
        return Ok(None);
    }
    let folder = root.child(table);
    let failed = |error| Error::deleting(&folder)(error);
    let objects = root.list(&folder).await?;
    for object in &objects {
        root.store().delete(&object.location).await.map_err(failed)?;
    }
    // Object stores have no folders. On a disk, empty folders would remain.
    if let Some(path) = root.join(table).local_path() {
        std::fs::remove_dir_all(&path).map_err(Error::io(format!("removing {}", path.display())))?;
    }
    Ok(Some(objects.len() as u64))
}

/// The files of a table that Hindcast may write to.
///
/// # Errors
/// [`Error::NotFound`] if the lake has no such table, [`Error::Invalid`] if the table has a transaction log or another layout,
/// [`Error::Storage`] if a listing fails.
pub async fn existing(root: &Location, table: &str) -> Result<Vec<(NaiveDate, Vec<LakeFile>)>> {
    let found = found(root, table).await?;
    if found.is_empty() { Err(absent(root, table)) } else { Ok(found) }
}

/// The error that the lake has no table `table`.
pub fn absent(root: &Location, table: &str) -> Error {
    Error::NotFound(format!("there is no table {table:?} in {}", root.url()))
}

/// The files of a table by date; none if the table does not exist. Fails if the table has a
/// transaction log or another layout.
async fn found(root: &Location, table: &str) -> Result<Vec<(NaiveDate, Vec<LakeFile>)>> {
    if !is_table_name(table) {
        return Ok(Vec::new());
    }
    refuse_unwritable(&root.join(table), table).await?;
    table_files(&root.join(table)).await
}

fn is_table_name(table: &str) -> bool {
    !table.is_empty() && !table.contains(['/', '\\']) && table != "." && table != ".."
}

fn date_entry(date: NaiveDate, files: &[LakeFile]) -> DateEntry {
    DateEntry {
        date,
        files: files.len() as u64,
        bytes: files.iter().map(|file| file.bytes).sum(),
        rows: None,
        unreadable: Vec::new(),
    }
}

fn add_column(columns: &mut Vec<ColumnEntry>, name: &str, data_type: &DataType, is_null: bool) {
    let place = columns.iter().position(|column| column.name == name).unwrap_or_else(|| {
        let (name, types) = (name.to_owned(), Vec::new());
        columns.push(ColumnEntry { name, types, files: 0, always_null: true });
        columns.len() - 1
    });
    let column = &mut columns[place];
    column.files += 1;
    column.always_null &= is_null;
    if !column.types.contains(data_type) {
        column.types.push(data_type.clone());
    }
}

#[cfg(test)]
#[path = "inventory_tests.rs"]
mod tests;
