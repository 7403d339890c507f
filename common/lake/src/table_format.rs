//! Tables with a transaction log that lists their current files (Delta Lake, Iceberg, Hudi): detected by their folders. Delta tables
//! are read, the others are refused, and none is written to.

use std::fmt;
use std::pin::pin;
use std::time::Duration;

use futures::StreamExt;
use object_store::ListResult;

use super::folders::{listed, other_layout};
use super::location::Location;
use hindcast_base::{Error, Result};

/// How long the listing of a table's folder takes before its log is looked for: a Delta table may have all its files in that folder,
/// with one request per thousand.
pub(super) const LONG_LISTING: Duration = Duration::from_secs(1);

/// A table format with a transaction log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableFormat {
    /// Delta Lake: `_delta_log/`.
    Delta,
    /// Apache Iceberg: `metadata/*.metadata.json`.
    Iceberg,
    /// Apache Hudi: `.hoodie/`.
    Hudi,
}

/// A table of a format that Hindcast does not read: only its log says which of its files are current.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsupportedTable {
    /// Its name.
    pub name: String,
    /// URL of its folder.
    pub url: String,
    /// Its format.
    pub kind: TableFormat,
}

impl TableFormat {
    /// The folder of the log, below the table's.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Delta => "_delta_log",
            Self::Iceberg => "metadata",
            Self::Hudi => ".hoodie",
        }
    }
}

impl fmt::Display for TableFormat {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Delta => "a Delta Lake table",
            Self::Iceberg => "an Apache Iceberg table",
            Self::Hudi => "an Apache Hudi table",
        })
    }
}

impl fmt::Display for UnsupportedTable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, url, kind } = self;
        write!(
            formatter,
            "{name} ({url}) is {kind}: its log in {}/ says which files are current, and Hindcast does not read that log",
            kind.folder()
        )
    }
}

impl UnsupportedTable {
    /// The error that this table is not read; `advice` ends the sentence about what works instead.
    pub fn refused(&self, advice: &str) -> Error {
        let other = match self.kind {
            TableFormat::Iceberg => "with UniForm if Databricks writes it, otherwise with Apache XTable",
            TableFormat::Hudi | TableFormat::Delta => "with Apache XTable",
        };
        Error::Invalid(format!(
            "{self}. Nothing was read or written. Hindcast reads Delta Lake: add a Delta log to the table ({other}), which copies no \
             file. Or export its current rows to plain Parquet folders {}/date=YYYY-MM-DD in another place, and name that \
             lake{advice}",
            self.name
        ))
    }
}

/// The table format at `location`; `None` for plain folders, or if there is no table.
///
/// # Errors
/// [`Error::Storage`] if a listing fails.
pub async fn table_format_of(location: &Location) -> Result<Option<TableFormat>> {
    table_format_in(location, &listed(location).await?).await
}

/// Fails if the folder at `location`, which was given as a lake, is itself a table with a log.
///
/// # Errors
/// [`Error::Invalid`] in that case, [`Error::Storage`] if a listing fails.
pub async fn refuse_table_as_lake(location: &Location) -> Result<()> {
    match table_format_of(location).await? {
        None => Ok(()),
        Some(kind) => Err(Error::Invalid(format!(
            "the lake ({}) is {kind} itself, and not a folder of tables. Nothing was read or written. Name the folder above it, if \
             the folder has the name of its table. Otherwise name another lake, whose hindcast.toml has the place of the table: \
             [tables.<Name>], url = '{}'",
            location.url(),
            location.url()
        ))),
    }
}

/// Fails unless Hindcast may write to the table `name` at `location`: it has no table format and, if it exists, the layout that
/// Hindcast writes.
///
/// # Errors
/// [`Error::Invalid`] if it may not, [`Error::Storage`] if a listing fails.
pub async fn refuse_unwritable(location: &Location, name: &str) -> Result<()> {
    let listing = listed(location).await?;
    if let Some(kind) = table_format_in(location, &listing).await? {
        return Err(Error::Invalid(format!(
            "{name} ({}) is {kind}: only what keeps its log in {}/ may change its files. Nothing was written. Use that to write to \
             it, or write to another table or lake",
            location.url(),
            kind.folder()
        )));
    }
    match other_layout(location, &listing).await? {
        None => Ok(()),
        Some(layout) => Err(Error::Invalid(format!(
            "{name} ({}) has the layout {layout}. Hindcast reads it where it is, but writes only to folders {name}/date=YYYY-MM-DD. \
             Nothing was written",
            location.url()
        ))),
    }
}

/// The listing of a table's folder; none if it is a Delta table. A listing that takes longer than `long` is given up for such a table.
///
/// # Errors
/// [`Error::Storage`] if a listing fails.
pub(super) async fn listing_unless_delta(location: &Location, long: Duration) -> Result<Option<ListResult>> {
    let mut listing = pin!(listed(location));
    let found = match tokio::time::timeout(long, &mut listing).await {
        Ok(found) => found?,
        Err(_) => {
            let log = location.child(TableFormat::Delta.folder());
            let mut objects = location.store().list(Some(&log));
            if objects.next().await.transpose().map_err(Error::listing(location.name_of(&log)))?.is_some() {
                return Ok(None);
            }
            listing.await?
        }
    };
    Ok((!has_folder(&found, TableFormat::Delta)).then_some(found))
}

fn has_folder(listing: &ListResult, kind: TableFormat) -> bool {
    listing.common_prefixes.iter().any(|folder| folder.filename() == Some(kind.folder()))
}

/// The table format at `location`, from the `listing` of its folder.
pub(super) async fn table_format_in(
    location: &Location,
    listing: &ListResult,
) -> Result<Option<TableFormat>> {
    let has = |kind: TableFormat| has_folder(listing, kind);
    if has(TableFormat::Delta) {
        return Ok(Some(TableFormat::Delta));
    }
    if has(TableFormat::Hudi) {
        return Ok(Some(TableFormat::Hudi));
    }
    if has(TableFormat::Iceberg) {
        let metadata = listed(&location.join(TableFormat::Iceberg.folder())).await?;
        let is_metadata = |name: &str| name.contains(".metadata.json");
        let mut names = metadata.objects.iter().filter_map(|object| object.location.filename());
        return Ok(names.any(is_metadata).then_some(TableFormat::Iceberg));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[tokio::test]
    async fn table_formats_are_detected_by_their_folders() {
        let folder = tempfile::tempdir().unwrap();
        let place = Location::parse(&folder.path().display().to_string()).unwrap();
        for (file, expected) in [
            ("plain/date=2026-01-05/a.parquet", None),
            ("plain2/metadata/notes.json", None),
            ("delta/_delta_log/00000000000000000000.json", Some(TableFormat::Delta)),
            ("iceberg/metadata/v1.metadata.json", Some(TableFormat::Iceberg)),
            ("packed/metadata/00001-ab.gz.metadata.json", Some(TableFormat::Iceberg)),
            ("hudi/.hoodie/hoodie.properties", Some(TableFormat::Hudi)),
        ] {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "{}").unwrap();
            let table = file.split('/').next().unwrap();
            assert_eq!(table_format_of(&place.join(table)).await.unwrap(), expected, "{file}");
            assert_eq!(refuse_table_as_lake(&place.join(table)).await.is_ok(), expected.is_none(), "{file}");
            match (refuse_unwritable(&place.join(table), table).await, expected) {
                (Ok(()), None) => {}
                (Err(error), Some(kind)) => {
                    let text = error.to_string();
                    assert!(text.contains(table) && text.contains(&kind.to_string()), "{text}");
                }
                (result, _) => panic!("{file}: {result:?}"),
            }
        }
        assert_eq!(table_format_of(&place.join("absent")).await.unwrap(), None);
        // The local listing is not ready at once, so the log is looked for first.
        for long in [Duration::ZERO, LONG_LISTING] {
            let listing = |table: &str| {
                let folder = place.join(table);
                async move { listing_unless_delta(&folder, long).await.unwrap() }
            };
            assert!(listing("delta").await.is_none());
            assert_eq!(listing("plain").await.unwrap().common_prefixes.len(), 1);
            assert!(listing("absent").await.unwrap().common_prefixes.is_empty());
        }
    }
}
