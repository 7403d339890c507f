//! Merges small files of a table's dates into few, in the lake's layout. Rows do not change.

mod rewrite;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::NaiveDate;
use datafusion::execution::runtime_env::RuntimeEnv;
use futures::{StreamExt, TryStreamExt};
use hindcast_base::error::input_fault;
use hindcast_base::{Error, Result};
use hindcast_lake::{LakeFile, Location, StoredFile, changes};
use hindcast_lake::{TableMapping, Tables};
use object_store::path::Path;
use object_store::{Error as StoreError, ObjectStoreExt};
use serde::Serialize;

use crate::inventory;
use crate::layout::WRITTEN_BY;
use crate::merge::{Columns, Group, UnmergedFile, groups};

use rewrite::merge_group;

/// Files that are inspected at the same time.
const CONCURRENT_CHECKS: usize = 16;
/// Prefixes of the names of files that Hindcast writes into a lake.
const OWN_PREFIXES: [&str; 2] = ["import-", "compact-"];

/// Which files to merge.
pub struct CompactOptions<'a> {
    /// Merge files smaller than this.
    pub small_bytes: u64,
    /// Merge files of these dates.
    pub dates: &'a dyn Fn(NaiveDate) -> bool,
    /// Merge only files that Hindcast wrote, because the user did not request a change of other files.
    pub is_own_only: bool,
    /// The known tables.
    pub tables: Tables,
    /// Names of the table's columns.
    pub mapping: &'a TableMapping,
}

/// The result of a compaction.
#[derive(Debug, Default, Clone, Serialize)]
pub struct Compacted {
    /// Dates with small files that were merged.
    pub dates: u64,
    /// Files that were replaced.
    pub files_before: u64,
    /// Files that replace them.
    pub files_after: u64,
    /// Bytes of the replaced files.
    pub bytes_before: u64,
    /// Bytes of the files that replace them.
    pub bytes_after: u64,
    /// Rows in them.
    pub rows: u64,
    /// Merges that were skipped because another process changes the same files.
    pub left_to_others: u64,
    /// Small files that could not be merged with others, and why.
    pub left_alone: Vec<UnmergedFile>,
}

impl Compacted {
    /// Records files that can't be merged. Files that no longer exist were merged by another process.
    async fn add_unmerged(&mut self, lake: &Location, files: Vec<UnmergedFile>) -> Result<()> {
        for left in files {
            let path = Path::parse(&left.file).unwrap_or_else(|_| left.file.as_str().into());
            match lake.store().head(&path).await {
                Err(StoreError::NotFound { .. }) => self.left_to_others += 1,
                Err(error) => return Err(Error::reading(&left.file)(error)),
                Ok(_) => self.left_alone.push(left),
            }
        }
        Ok(())
    }
}

/// Merges small files date by date, if no value, row, column or partition folder is lost. A scan sees either the old
/// files or the new ones. Of two processes that would merge the same file, one skips it.
///
/// # Errors
/// [`Error::NotFound`] if the table does not exist, [`Error::Conflict`] if a file changed during the merge, [`Error::Storage`] if
/// the store fails, [`Error::Internal`] if the merged rows differ from the original ones: that merge then has no effect. Earlier
/// merges stay.
pub async fn compact(
    lake: &Location,
    table: &str,
    options: &CompactOptions<'_>,
    runtime: &Arc<RuntimeEnv>,
) -> Result<Compacted> {
    changes::recover(lake).await?;
    let columns = Columns::of(options.tables.by_name(table), options.mapping);
    let mut compacted = Compacted::default();
    for (date, files) in inventory::existing(lake, table).await? {
        if !(options.dates)(date) {
            continue;
        }
        let date_folder = lake.child(&format!("{table}/date={date}"));
        let small = files.into_iter().filter(|file| file.bytes < options.small_bytes);
        let mut is_merged = false;
        for (folder, files) in by_partition(&date_folder, small.collect()) {
            let files = if options.is_own_only { only_own(lake, &folder, files).await? } else { files };
            let (groups, left_alone) = groups(lake, &files, &columns).await?;
            compacted.add_unmerged(lake, left_alone).await?;
            for group in groups {
                is_merged |= merge_readable(lake, &folder, group, &columns, runtime, &mut compacted).await?;
            }
        }
        compacted.dates += u64::from(is_merged);
    }
    Ok(compacted)
}

/// Groups files by partition folder: `hour=05` is a value of all rows below it, and is not stored in the files.
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

/// Those of `files` that Hindcast wrote to `folder`, according to their names and footers.
async fn only_own(lake: &Location, folder: &Path, files: Vec<LakeFile>) -> Result<Vec<LakeFile>> {
    let named = files.into_iter().filter(|file| {
        let path = file.store_path();
        let name = path.filename().unwrap_or_default();
        let id = OWN_PREFIXES.iter().find_map(|start| name.strip_prefix(start)?.get(..36));
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
        .buffered(CONCURRENT_CHECKS)
        .try_filter_map(|file| async move { Ok(file) })
        .try_collect()
        .await
}

/// Merges a group without its damaged files. Returns whether files were merged.
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
        compacted.add_unmerged(lake, vec![UnmergedFile { file, reason }]).await?;
    }
    Ok(false)
}
