//! One merge: writes the rows of a group of files to new files, and compares both before the old files are deleted.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::datatypes::SchemaRef;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::execution::TaskContext;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::logical_expr::ident;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::prelude::DataFrame;
use futures::{StreamExt, TryStreamExt};
use hindcast_base::{Error, Result};
use hindcast_lake::changes::{self, Change, Made};
use hindcast_lake::task_session;
use hindcast_lake::{LakeFile, Location, StoredFile};
use object_store::ObjectStoreExt;
use object_store::path::Path;

use super::{CONCURRENT_CHECKS, Compacted};
use crate::layout::{TARGET_FILE_BYTES, writer};
use crate::merge::{Columns, Group, Sums, widen_batch};

/// Writes the rows of a group to new files in `folder`, compares them, and replaces the old files. False if another process
/// changes one of them.
pub(super) async fn merge_group(
    lake: &Location,
    folder: &Path,
    group: &Group,
    columns: &Columns,
    runtime: &Arc<RuntimeEnv>,
    compacted: &mut Compacted,
) -> Result<bool> {
    let id = format!("compact-{}", uuid::Uuid::now_v7());
    let old: Vec<&LakeFile> = group.files.iter().map(StoredFile::file).collect();
    let bytes_before = old.iter().map(|file| file.bytes).sum::<u64>();
    // The number of new files is not known yet. The bytes of the old files limit it.
    let most = bytes_before / (TARGET_FILE_BYTES / 2) + 2;
    let targets: Vec<Path> =
        (0..most).map(|number| folder.clone().join(format!("{id}-{number:04}.parquet"))).collect();
    let replaced: Vec<Path> = old.iter().map(|file| file.store_path()).collect();
    let change = Change::of(lake, &id, &targets, &replaced)?;
    let merged = async {
        let (new, before) = write(lake, group, &targets, columns, runtime).await?;
        let after = sums_of(lake, &new, &group.schema).await?;
        compare(group, &before, &after)?;
        check_unchanged(lake, &old).await?;
        Ok(Some((new, before.rows())))
    };
    match changes::make(lake, &change, merged).await? {
        Made::Done((new, rows)) => {
            compacted.files_before += old.len() as u64;
            compacted.files_after += new.len() as u64;
            compacted.bytes_before += bytes_before;
            compacted.bytes_after += new.iter().map(|file| file.bytes).sum::<u64>();
            compacted.rows += rows;
            Ok(true)
        }
        Made::Lost(conflicting) => {
            tracing::info!(%folder, ?conflicting, "merge skipped: another process changes the same files");
            compacted.left_to_others += 1;
            Ok(false)
        }
    }
}

/// Writes the sorted rows of `group` to as few of `targets` as possible. Returns the files, and the sums of the rows
/// that were read.
async fn write(
    lake: &Location,
    group: &Group,
    targets: &[Path],
    columns: &Columns,
    runtime: &Arc<RuntimeEnv>,
) -> Result<(Vec<LakeFile>, Sums)> {
    let schema = &group.schema;
    let sums = Arc::new(Mutex::new(Sums::default()));
    let feed = GroupFeed { schema: Arc::clone(schema), files: group.files.clone(), sums: Arc::clone(&sums) };
    let rows = StreamingTable::try_new(Arc::clone(schema), vec![Arc::new(feed)])?;
    let order = sortable(columns, schema);
    let rows = task_session(Arc::clone(runtime)).read_table(Arc::new(rows))?;
    let mut batches = ordered(rows, &order)?.execute_stream().await?;
    let mut files = Vec::new();
    // Opened early, so that files without rows become a file with their columns.
    let mut open = Some(writer(Vec::new(), schema, &order)?);
    loop {
        let batch = batches.next().await.transpose()?;
        let is_full = open.as_ref().is_some_and(|open: &parquet::arrow::ArrowWriter<Vec<u8>>| {
            open.bytes_written() as u64 >= TARGET_FILE_BYTES && files.len() + 1 < targets.len()
        });
        if (is_full || batch.is_none())
            && let Some(done) = open.take()
        {
            let content = done.into_inner().map_err(|error| Error::Engine(error.into()))?;
            let (path, bytes) = (&targets[files.len()], content.len() as u64);
            lake.put(path, content).await?;
            files.push(LakeFile::new(lake.name_of(path), bytes, None));
        }
        let Some(batch) = batch else { break };
        let open = match &mut open {
            Some(open) => open,
            None => open.insert(writer(Vec::new(), schema, &order)?),
        };
        open.write(&batch).map_err(|error| Error::Engine(error.into()))?;
    }
    let sums = sums.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Ok((files, sums))
}

/// The columns by which rows are sorted.
fn sortable<'a>(columns: &Columns, schema: &'a SchemaRef) -> Vec<&'a str> {
    let is_flat = |name: &&str| {
        schema
            .field_with_name(name)
            .is_ok_and(|field| !field.data_type().is_nested() && !field.data_type().is_null())
    };
    columns.cluster(schema).into_iter().chain(columns.time(schema)).filter(is_flat).collect()
}

fn ordered(rows: DataFrame, order: &[&str]) -> Result<DataFrame> {
    if order.is_empty() {
        return Ok(rows);
    }
    Ok(rows.sort(order.iter().map(|name| ident(*name).sort(true, true)).collect())?)
}

/// The sums of the rows of `files`, read back from the store.
async fn sums_of(lake: &Location, files: &[LakeFile], schema: &SchemaRef) -> Result<Sums> {
    let mut sums = Sums::default();
    for file in files {
        let stored = StoredFile::open(lake, file).await?;
        let mut batches = std::pin::pin!(stored.read(None)?);
        while let Some(batch) = batches.try_next().await? {
            let batch = widen_batch(&batch, schema).map_err(|error| Error::Engine(error.into()))?;
            sums.add(&batch)?;
        }
    }
    Ok(sums)
}

/// Fails if the merged rows are not those of the group's files.
fn compare(group: &Group, before: &Sums, after: &Sums) -> Result<()> {
    let stored: u64 = group.files.iter().map(StoredFile::rows).sum();
    let names = group.schema.fields().iter().map(|field| field.name().as_str());
    let difference = match before.rows() == stored {
        true => before.difference(after, names),
        false => Some(format!("{} of {stored} rows were read", before.rows())),
    };
    let first = group.files.first().map_or("", |stored| stored.file().path.as_str());
    match difference {
        None => Ok(()),
        Some(difference) => Err(Error::Internal(format!(
            "merging {first} with {} others: {difference}; the files were not changed",
            group.files.len() - 1
        ))),
    }
}

/// Fails if a file changed since it was listed: its new rows would be deleted with it.
async fn check_unchanged(lake: &Location, files: &[&LakeFile]) -> Result<()> {
    let looks = files.iter().map(|file| async move {
        let found = lake.store().head(&file.store_path()).await;
        let found = found.map_err(Error::reading(&file.path))?;
        let tags = found.e_tag.as_ref().zip(file.etag.as_ref());
        if found.size == file.bytes && tags.is_none_or(|(found, listed)| found == listed) {
            return Ok(());
        }
        Err(Error::Conflict(format!(
            "{} changed while it was merged: nothing was changed; try again",
            file.path
        )))
    });
    futures::stream::iter(looks).buffer_unordered(CONCURRENT_CHECKS).try_collect().await
}

/// Feeds the rows of a group's files, one file after the other, in their common types.
#[derive(Debug)]
struct GroupFeed {
    schema: SchemaRef,
    files: Vec<StoredFile>,
    /// Sums of the rows that were read.
    sums: Arc<Mutex<Sums>>,
}

impl PartitionStream for GroupFeed {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (schema, sums) = (Arc::clone(&self.schema), Arc::clone(&self.sums));
        let files = futures::stream::iter(self.files.clone()).map(|file| file.read(None));
        let batches = files.try_flatten().map(move |batch| {
            let batch = widen_batch(&batch?, &schema)?;
            sums.lock().unwrap_or_else(PoisonError::into_inner).add(&batch)?;
            Ok(batch)
        });
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), batches))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use hindcast_base::ErrorKind;

    use super::*;
    use crate::inventory;

    #[tokio::test]
    async fn a_changed_file_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let lake = Location::parse(&folder.path().display().to_string()).unwrap();
        let path = folder.path().join("T/date=2026-01-05/a.parquet");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "old").unwrap();
        let files = inventory::existing(&lake, "T").await.unwrap().remove(0).1;
        let listed: Vec<&LakeFile> = files.iter().collect();
        check_unchanged(&lake, &listed).await.unwrap();
        fs::write(&path, "newer").unwrap();
        let error = check_unchanged(&lake, &listed).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
        assert!(error.to_string().contains("a.parquet changed while it was merged"), "{error}");
    }
}
