//! Lists, shows and deletes the tables of a lake, whether Hindcast knows them or not.

use arrow::datatypes::DataType;
use chrono::NaiveDate;
use futures::StreamExt;
use hindcast_base::{Error, Result};
use hindcast_lake::{
    LakeFile, Location, UnsupportedTable, parquet_footer, refuse_table_format, table_files, table_format_of,
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
    /// Its dates.
    pub dates: Vec<DateEntry>,
    /// Why Hindcast neither reads nor writes it; absent if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// A date of a table.
#[derive(Debug, Serialize)]
pub struct DateEntry {
    /// The date of the folder.
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

/// The folders below `root` that hold `date=` folders, with their dates and sizes, and the tables whose transaction log
/// Hindcast does not read, which are refused.
///
/// # Errors
/// [`Error::Storage`] if a listing fails.
pub async fn list(root: &Location) -> Result<Vec<TableEntry>> {
    let listing =
        root.store().list_with_delimiter(Some(root.prefix())).await.map_err(Error::listing(root.url()))?;
    let mut tables = Vec::new();
    for name in listing.common_prefixes.iter().filter_map(|prefix| prefix.filename()) {
        let table = name.to_owned();
        if let Some(kind) = table_format_of(&root.join(name)).await? {
            let unsupported =
                UnsupportedTable { name: table.clone(), url: root.join(name).url().to_owned(), kind };
            tables.push(TableEntry { table, dates: Vec::new(), refused: Some(unsupported.to_string()) });
            continue;
        }
        let dates = table_files(&root.join(name)).await?;
        if !dates.is_empty() {
            let dates = dates.into_iter().map(|(date, files)| date_entry(date, &files)).collect();
            tables.push(TableEntry { table, dates, refused: None });
        }
    }
    Ok(tables)
}

/// The rows by date and the columns of one table.
///
/// # Errors
/// As [`existing`].
pub async fn show(root: &Location, table: &str) -> Result<TableDetail> {
    let folder = root.join(table);
    let mut columns: Vec<ColumnEntry> = Vec::new();
    let mut entries = Vec::new();
    let mut files_read = 0;
    for (date, files) in existing(root, table).await? {
        let mut entry = date_entry(date, &files);
        let footers: Vec<_> = futures::stream::iter(&files)
            .map(|file| parquet_footer(&folder, file))
            .buffered(CONCURRENT_READS)
            .collect()
            .await;
        let mut rows = 0;
        for footer in footers {
            match footer {
                Ok(footer) => {
                    rows += footer.rows;
                    files_read += 1;
                    footer.schema.fields().iter().for_each(|field| {
                        let is_null = footer.nulls.get(field.name()) == Some(&footer.rows);
                        add_column(&mut columns, field.name(), field.data_type(), is_null);
                    });
                }
                Err(fault) => entry.unreadable.push(fault.to_string()),
            }
        }
        entry.rows = entry.unreadable.is_empty().then_some(rows);
        entries.push(entry);
    }
    let entry = TableEntry { table: table.to_owned(), dates: entries, refused: None };
    Ok(TableDetail { entry, columns, files_read })
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

/// The files of a table that has a date folder.
///
/// # Errors
/// [`Error::NotFound`] if the lake has no such table, [`Error::Invalid`] if the table has a transaction log, [`Error::Storage`] if
/// a listing fails.
pub async fn existing(root: &Location, table: &str) -> Result<Vec<(NaiveDate, Vec<LakeFile>)>> {
    let found = found(root, table).await?;
    if found.is_empty() { Err(absent(root, table)) } else { Ok(found) }
}

/// The error that the lake has no table `table`.
pub fn absent(root: &Location, table: &str) -> Error {
    Error::NotFound(format!("there is no table {table:?} in {}", root.url()))
}

/// The files of a table by date; none if the table does not exist. Fails if the table has a transaction log.
async fn found(root: &Location, table: &str) -> Result<Vec<(NaiveDate, Vec<LakeFile>)>> {
    let is_name = !table.is_empty() && !table.contains(['/', '\\']) && table != "." && table != "..";
    if !is_name {
        return Ok(Vec::new());
    }
    refuse_table_format(&root.join(table), table).await?;
    table_files(&root.join(table)).await
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
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
    use hindcast_base::ErrorKind;
    use object_store::memory::InMemory;
    use parquet::arrow::ArrowWriter;

    use super::*;

    fn file(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
        let rows = RecordBatch::try_from_iter(columns).unwrap();
        let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), None).unwrap();
        writer.write(&rows).unwrap();
        writer.into_inner().unwrap()
    }

    /// A lake with a table `T` of two dates, a Delta Lake table, and a folder that is not a table.
    async fn lake() -> Location {
        let lake = Location::parse_with("s3://memory/lake", |_| Ok(Arc::new(InMemory::new()))).unwrap();
        let numbers = || Arc::new(Int64Array::from(vec![Some(1), None])) as ArrayRef;
        let nulls = || Arc::new(StringArray::from(vec![None::<&str>, None])) as ArrayRef;
        let texts = || Arc::new(StringArray::from(vec!["a"])) as ArrayRef;
        for (path, content) in [
            ("T/date=2026-01-05/a.parquet", file(vec![("n", numbers()), ("note", nulls())])),
            ("T/date=2026-01-05/b.parquet", file(vec![("n", texts())])),
            ("T/date=2026-01-06/c.parquet", b"not Parquet".to_vec()),
            ("D/_delta_log/00000000000000000000.json", b"{}".to_vec()),
            ("D/date=2026-01-05/a.parquet", file(vec![("n", numbers())])),
            ("other/readme.txt", b"x".to_vec()),
        ] {
            lake.store().put(&lake.child(path), content.into()).await.unwrap();
        }
        lake
    }

    #[tokio::test]
    async fn tables_are_listed_with_dates_or_why_they_are_refused() {
        let tables = list(&lake().await).await.unwrap();
        let found: Vec<(&str, Vec<u64>, bool)> = tables
            .iter()
            .map(|entry| {
                let files = entry.dates.iter().map(|date| date.files).collect();
                (entry.table.as_str(), files, entry.refused.is_some())
            })
            .collect();
        assert_eq!(found, [("D", vec![], true), ("T", vec![2, 1], false)]);
        assert!(tables[1].dates.iter().all(|date| date.rows.is_none() && date.bytes > 0));
    }

    #[tokio::test]
    async fn a_table_is_shown_with_rows_and_types() {
        let detail = show(&lake().await, "T").await.unwrap();
        let dates = &detail.entry.dates;
        assert_eq!((dates[0].rows, dates[0].unreadable.len()), (Some(3), 0));
        assert_eq!((dates[1].rows, dates[1].unreadable.len()), (None, 1));
        assert_eq!(detail.files_read, 2);
        let column = |name: &str, types: &[DataType], files, always_null| ColumnEntry {
            name: name.into(),
            types: types.to_vec(),
            files,
            always_null,
        };
        assert_eq!(
            detail.columns,
            [
                column("n", &[DataType::Int64, DataType::Utf8], 2, false),
                column("note", &[DataType::Utf8], 1, true)
            ]
        );
        let json = serde_json::to_value(&detail.columns[0]).unwrap();
        assert_eq!(json["types"], serde_json::json!(["Int64", "Utf8"]));
    }

    #[tokio::test]
    async fn a_deleted_table_is_gone_and_others_stay() {
        let lake = lake().await;
        assert_eq!(delete(&lake, "T").await.unwrap(), Some(3));
        assert_eq!(delete(&lake, "T").await.unwrap(), None);
        for name in ["", "..", "a/b", "other", "T"] {
            let error = existing(&lake, name).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotFound, "{name}: {error}");
        }
        assert!(delete(&lake, "D").await.unwrap_err().to_string().contains("Delta Lake"));
        assert!(lake.store().head(&lake.child("D/date=2026-01-05/a.parquet")).await.is_ok());
    }
}
