//! Tables with a transaction log that lists their current files (Delta Lake, Iceberg, Hudi): detected by their folders, and refused.

use std::fmt;

use object_store::ListResult;

use super::folders::{listed, other_layout};
use super::location::Location;
use hindcast_base::{Error, Result};

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

/// A table of a format that Hindcast neither reads nor writes: only its log says which of its files are current.
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
    /// The error that this table is neither read nor written; `advice` ends the sentence about the alternative.
    pub fn refused(&self, advice: &str) -> Error {
        let plain = match self.name.as_str() {
            "the lake" => "plain Parquet folders <Table>/date=YYYY-MM-DD".to_owned(),
            name => format!("plain Parquet folders {name}/date=YYYY-MM-DD"),
        };
        Error::Invalid(format!(
            "{self}. Nothing was read or written. Export its current rows to {plain} in another place, with what \
             writes the table, and name that lake{advice}"
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

/// Fails if the table `name` at `location` has a table format.
///
/// # Errors
/// [`Error::Invalid`] in that case, [`Error::Storage`] if a listing fails.
pub async fn refuse_table_format(location: &Location, name: &str) -> Result<()> {
    match table_format_of(location).await? {
        None => Ok(()),
        Some(kind) => {
            let (name, url) = (name.to_owned(), location.url().to_owned());
            Err(UnsupportedTable { name, url, kind }.refused(""))
        }
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
        let (name, url) = (name.to_owned(), location.url().to_owned());
        return Err(UnsupportedTable { name, url, kind }.refused(""));
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

/// The table format at `location`, from the `listing` of its folder.
pub(super) async fn table_format_in(
    location: &Location,
    listing: &ListResult,
) -> Result<Option<TableFormat>> {
    let has = |kind: TableFormat| {
        listing.common_prefixes.iter().any(|folder| folder.filename() == Some(kind.folder()))
    };
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
            assert_eq!(
                refuse_table_format(&place.join(table), table).await.is_ok(),
                expected.is_none(),
                "{file}"
            );
        }
        assert_eq!(table_format_of(&place.join("absent")).await.unwrap(), None);
    }
}
