//! Delta tables: the versions, files and columns that their logs describe, and the rows that they have deleted from files.

mod commits;
mod deletions;
mod engine;
mod log;
mod paths;
mod rows;
mod times;
mod version;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::NaiveDate;
use futures::{StreamExt, TryStreamExt};
use hindcast_base::error::InputFault;
use hindcast_base::retry::with_retries;
use hindcast_base::time::date_of_us;
use hindcast_base::{Error, Result};
use object_store::ObjectStoreExt;

use self::log::{Log, LogRequest, read_blocking};
use super::file_source::{FileSource, ListedFiles, Snapshot};
use super::found_tables::UnreadLog;
use super::lake::LakeTable;
use super::lake_file::LakeFile;
use super::location::Location;
use hindcast_schema::PhysicalNames;
use hindcast_schema::TableMapping;
use hindcast_schema::TableSpec;
use hindcast_schema::columns::{ColumnPath, ColumnSource, PathStep};

pub(super) use commits::History;
pub(super) use deletions::remaining_rows;
pub use version::{TableVersion, TableVersions};

/// Logs that are read at once.
const CONCURRENT_LOGS: usize = 8;

/// Reads the logs of those of `tables` whose places `logged` has, in the versions that are chosen. Tables whose logs can't be read are
/// left out and returned with the reason.
///
/// # Errors
/// [`Error::Invalid`] if the chosen versions do not fit the tables, [`Error::Storage`] if a store fails.
pub(super) async fn open_logged(
    tables: Vec<LakeTable>,
    logged: &BTreeSet<usize>,
    versions: &TableVersions,
) -> Result<(Vec<LakeTable>, Vec<UnreadLog>)> {
    let named = |is_logged: bool| {
        let chosen = tables.iter().enumerate().filter(move |(index, _)| logged.contains(index) == is_logged);
        chosen.map(|(_, table)| table.spec.name).collect::<Vec<_>>()
    };
    versions.check(&named(true), &named(false))?;
    let open_one = |(index, table): (usize, LakeTable)| async move {
        let name = table.spec.name;
        let opened = if logged.contains(&index) { open(table, versions.of(name)).await } else { Ok(table) };
        match opened {
            Ok(table) => Ok(Ok(table)),
            Err(Error::Storage(fault)) => Err(Error::Storage(fault)),
            Err(error) => Ok(Err(UnreadLog { table: name, error })),
        }
    };
    let opened: Vec<_> = tables.into_iter().enumerate().map(open_one).collect();
    let opened: Vec<_> = futures::stream::iter(opened).buffered(CONCURRENT_LOGS).try_collect().await?;
    let (mut readable, mut unread) = (Vec::new(), Vec::new());
    for table in opened {
        match table {
            Ok(table) => readable.push(table),
            Err(table) => unread.push(table),
        }
    }
    Ok((readable, unread))
}

/// The table with the files of `version`.
async fn open(table: LakeTable, version: TableVersion) -> Result<LakeTable> {
    let request = request(table.spec.name, &table.location, Some((table.spec, &table.mapping)), version);
    let Log { snapshot, files, physical, schema, reader } = read_log(request.clone()).await?;
    let history = Some(History { request, reader, version: snapshot.version });
    let listed = ListedFiles { by_date: by_date(files), snapshot: Some(snapshot), schema, history };
    Ok(LakeTable { source: FileSource::Listed(Arc::new(listed)), physical: Arc::new(physical), ..table })
}

/// The files of the latest version of the Delta table `name` at `location`, which Hindcast does not know, and the names of its columns in
/// them.
///
/// # Errors
/// As for [`super::Lake::tables`].
pub async fn delta_files(name: &str, location: &Location) -> Result<(ListedFiles, PhysicalNames)> {
    let log = read_log(request(name, location, None, TableVersion::Latest)).await?;
    let (by_date, snapshot) = (by_date(log.files), Some(log.snapshot));
    Ok((ListedFiles { by_date, snapshot, ..ListedFiles::default() }, log.physical))
}

/// The fault of a file; if the log lists it but the store does not have it, with that reason.
pub(super) async fn explain_missing(table: &LakeTable, file: &LakeFile, fault: InputFault) -> InputFault {
    let Some(Snapshot { version, .. }) = table.snapshot() else { return fault };
    match table.location.store().head(&file.store_path()).await {
        Err(object_store::Error::NotFound { .. }) => {
            let name = table.spec.name;
            let reason = format!(
                "version {version} of {name} lists this file, but the store does not have it: it was deleted, by VACUUM or otherwise. \
                 Scan a newer version, or restore the file"
            );
            InputFault { reason, ..fault }
        }
        _ => fault,
    }
}

async fn read_log(request: LogRequest) -> Result<Log> {
    let request = Arc::new(request);
    with_retries(|| read_blocking(&request)).await
}

fn request(
    name: &str,
    location: &Location,
    known: Option<(&TableSpec, &TableMapping)>,
    version: TableVersion,
) -> LogRequest {
    let (time_columns, columns) = match known {
        Some((spec, mapping)) => {
            let columns = mapping.names_read(spec.columns.iter().map(|column| column.name));
            let time_columns = match mapping.source(spec.time_column) {
                ColumnSource::Path(path) => ways_to(&path),
                _ => Vec::new(),
            };
            (time_columns, columns)
        }
        None => Default::default(),
    };
    LogRequest {
        table: format!("{name} ({})", location.url()),
        location: location.clone(),
        version,
        time_columns,
        columns,
        slack_days: known.map_or(0, |(_, mapping)| mapping.folder_slack_days),
    }
}

/// What a path without elements may mean: a column whose name has dots, or a field of a struct.
fn ways_to(path: &ColumnPath) -> Vec<Vec<String>> {
    let names: Option<Vec<String>> = path
        .steps()
        .iter()
        .map(|step| match step {
            PathStep::Name(name) => Some(name.clone()),
            PathStep::Index(_) | PathStep::Each => None,
        })
        .collect();
    [Some(vec![path.text().to_owned()]), names].into_iter().flatten().collect()
}

/// The date of the file's first row, or the date on which it was written.
fn date_of(file: &LakeFile) -> NaiveDate {
    date_of_us(file.times_us.map_or(file.modified_ms.saturating_mul(1_000), |(first, _)| first))
}

/// Files at the dates of their first rows, or at the dates on which they were written, sorted by path.
fn by_date(files: Vec<LakeFile>) -> BTreeMap<NaiveDate, Vec<LakeFile>> {
    let mut by_date: BTreeMap<NaiveDate, Vec<LakeFile>> = BTreeMap::new();
    for file in files {
        by_date.entry(date_of(&file)).or_default().push(file);
    }
    by_date.values_mut().for_each(|files| files.sort_by(|left, right| left.path.cmp(&right.path)));
    by_date
}
