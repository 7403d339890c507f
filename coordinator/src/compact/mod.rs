//! Small files of a table's dates become few, in the lake's layout; the rows stay what they are.

mod rewrite;

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::NaiveDate;
use datafusion::execution::runtime_env::RuntimeEnv;
use futures::{StreamExt, TryStreamExt};
use hindcast_common::catalog::TableMapping;
use hindcast_common::catalog::{LakeFile, Location, StoredFile, changes};
use hindcast_common::error::InputFault;
use hindcast_common::{Error, Result};
use object_store::path::Path;
use object_store::{Error as StoreError, ObjectStoreExt};
use serde::Serialize;

use crate::import::WRITTEN_BY;
use crate::inventory;
use crate::merge::{Columns, Group, UnmergedFile, groups};

use rewrite::merge_group;

/// Files that are looked at at once.
const CONCURRENT_LOOKS: usize = 16;
/// How the names of files begin that Hindcast writes into a lake.
const OWN_NAMES: [&str; 2] = ["import-", "compact-"];

/// Which files are merged.
pub struct CompactOptions<'a> {
    /// Files of fewer bytes than this.
    pub small_bytes: u64,
    /// The dates.
    pub dates: &'a dyn Fn(NaiveDate) -> bool,
    /// Only what Hindcast itself wrote: nobody asked for a change of other files.
    pub is_own_only: bool,
    /// What the table's columns are called.
    pub mapping: &'a TableMapping,
}

/// What compaction did.
#[derive(Debug, Default, Clone, Serialize)]
pub struct Compacted {
    /// Dates with small files that were merged.
    pub dates: u64,
    /// Files that were replaced.
    pub files_before: u64,
    /// Files in their place.
    pub files_after: u64,
    /// Bytes of the replaced files.
    pub bytes_before: u64,
    /// Bytes of those in their place.
    pub bytes_after: u64,
    /// Rows in them.
    pub rows: u64,
    /// Merges that were left, as another process changes files of theirs at the same time.
    pub left_to_others: u64,
    /// Small files that could not become one with others, and why.
    pub left_alone: Vec<UnmergedFile>,
}

impl Compacted {
    /// Files that can't become one with others; those that are gone another process has merged.
    async fn leave(&mut self, lake: &Location, files: Vec<UnmergedFile>) -> Result<()> {
        for left in files {
            let path = Path::parse(&left.file).unwrap_or_else(|_| left.file.as_str().into());
            match lake.store().head(&path).await {
                Err(StoreError::NotFound { .. }) => self.left_to_others += 1,
                Err(error) => return Err(Error::storage(format!("reading {}", left.file))(error)),
                Ok(_) => self.left_alone.push(left),
            }
        }
        Ok(())
    }
}

/// Merges small files of the dates options, date by date, where no value, row, column or folder of a partition is lost by it.
/// A scan sees the old files or the new ones. Of two processes that would merge the same file one leaves it.
///
/// # Errors
/// [`Error::Config`] where there is no such table or a file changed meanwhile, [`Error::Storage`] where the store fails,
/// [`Error::Internal`] where the merged rows do not add up to those before: nothing of that merge is then kept. What was
/// merged before stays merged.
pub async fn compact(
    lake: &Location,
    table: &str,
    options: &CompactOptions<'_>,
    runtime: &Arc<RuntimeEnv>,
) -> Result<Compacted> {
    changes::recover(lake).await?;
    let columns = Columns::of(table, options.mapping);
    let mut compacted = Compacted::default();
    for (date, files) in inventory::existing(lake, table).await? {
        if !(options.dates)(date) {
            continue;
        }
        let date_folder = lake.child(&format!("{table}/date={date}"));
        let small = files.into_iter().filter(|file| file.bytes < options.small_bytes);
        let mut is_merged = false;
        for (folder, files) in by_partition(&date_folder, small.collect()) {
            let files = if options.is_own_only { own(lake, &folder, files).await? } else { files };
            let (groups, left_alone) = groups(lake, &files, &columns).await?;
            compacted.leave(lake, left_alone).await?;
            for group in groups {
                is_merged |= merge_readable(lake, &folder, group, &columns, runtime, &mut compacted).await?;
            }
        }
        compacted.dates += u64::from(is_merged);
    }
    Ok(compacted)
}

/// The files by the folder that says what they have in common: `hour=05` is a value of theirs, and written in no file.
fn by_partition(date_folder: &Path, files: Vec<LakeFile>) -> BTreeMap<Path, Vec<LakeFile>> {
    let mut by_folder: BTreeMap<Path, Vec<LakeFile>> = BTreeMap::new();
    for file in files {
        let path = file.store_path();
        let mut folders: Vec<_> = path.prefix_match(date_folder).into_iter().flatten().collect();
        folders.pop();
        let partition = folders.into_iter().filter(|part| part.as_ref().contains('='));
        let folder = partition.fold(date_folder.clone(), Path::join);
        by_folder.entry(folder).or_default().push(file);
    }
    by_folder
}

/// Those of `files` that Hindcast wrote to `folder`, by their names and their footers.
async fn own(lake: &Location, folder: &Path, files: Vec<LakeFile>) -> Result<Vec<LakeFile>> {
    let named = files.into_iter().filter(|file| {
        let path = file.store_path();
        let name = path.filename().unwrap_or_default();
        let id = OWN_NAMES.iter().find_map(|start| name.strip_prefix(start)?.get(..36));
        id.is_some_and(|id| uuid::Uuid::try_parse(id).is_ok()) && path.parent().as_ref() == Some(folder)
    });
    let is_own = |file: LakeFile| async move {
        match StoredFile::open(lake, &file).await {
            Ok(stored) => Ok((stored.written_by() == Some(WRITTEN_BY)).then_some(file)),
            Err(Error::Input(_)) => Ok(None),
            Err(error) => Err(error),
        }
    };
    let looks: Vec<_> = named.map(is_own).collect();
    futures::stream::iter(looks)
        .buffered(CONCURRENT_LOOKS)
        .try_filter_map(|file| async move { Ok(file) })
        .try_collect()
        .await
}

/// Merges a group without the files of it that turn out to be damaged; whether any were merged here.
async fn merge_readable(
    lake: &Location,
    folder: &Path,
    mut group: Group,
    columns: &Columns,
    runtime: &Arc<RuntimeEnv>,
    compacted: &mut Compacted,
) -> Result<bool> {
    while group.files.len() > 1 {
        let error = match merge_group(lake, folder, &group, columns, runtime, compacted).await {
            Ok(is_merged) => return Ok(is_merged),
            Err(error) => error,
        };
        let damaged = input_fault(&error).and_then(|fault| {
            let place = group.files.iter().position(|stored| stored.file().path == fault.file)?;
            Some((place, fault.to_string()))
        });
        let Some((place, reason)) = damaged else { return Err(error) };
        let file = group.files.remove(place).file().path.clone();
        compacted.leave(lake, vec![UnmergedFile { file, reason }]).await?;
    }
    Ok(false)
}

/// What is wrong with an input file, where that is behind an error.
pub(crate) fn input_fault(error: &Error) -> Option<&InputFault> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(current) = cause {
        if let Some(Error::Input(fault)) = current.downcast_ref::<Error>() {
            return Some(fault);
        }
        cause = current.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_partitions_stay_apart_and_others_do_not() {
        let date = Path::parse("lake/T/date=2026-01-05").unwrap();
        let file =
            |name: &str| LakeFile { path: format!("{date}/{name}"), bytes: 1, etag: None, range: None };
        let names = ["a.parquet", "x/b.parquet", "hour=05/c.parquet", "hour=05/x/k=1%3A/d=1.parquet"];
        let by_folder = by_partition(&date, names.map(file).to_vec());
        let folders: Vec<(&str, usize)> =
            by_folder.iter().map(|(folder, files)| (folder.as_ref(), files.len())).collect();
        let expected = [
            ("lake/T/date=2026-01-05", 2),
            ("lake/T/date=2026-01-05/hour=05", 1),
            ("lake/T/date=2026-01-05/hour=05/k=1%3A", 1),
        ];
        assert_eq!(folders, expected);
    }
}
