//! The rows that a Delta table has deleted from a file, as a selection of the rows that remain.

use std::sync::Arc;

use bytes::Bytes;
use datafusion::datasource::physical_plan::parquet::{ParquetAccessPlan, RowGroupAccess};
use delta_kernel::actions::deletion_vector::DeletionVectorDescriptor;
use delta_kernel::{
    FileMeta, FileSlice, KernelError, KernelResult, KernelResultIteratorStatic, StorageHandler,
};
use hindcast_base::catch_panic::catch_panic_sync;
use hindcast_base::retry::with_retries;
use hindcast_base::storage_fault::storage_fault;
use hindcast_base::{Error, Result};
use parquet::arrow::arrow_reader::{RowSelection, RowSelector};
use url::Url;

use super::super::lake::LakeTable;
use super::super::lake_file::{DeletionVector, LakeFile};
use super::super::location::Location;
use super::super::row_groups::RowGroups;
use super::super::store_reader::{file_fault, open_file};
use super::engine::ROOT;
use super::paths::object_of;

/// Bytes before and after a vector in its file: its length and its checksum.
const FRAME_BYTES: u64 = 8;

/// The rows of `file` that remain, limited to its `groups` if they are given.
///
/// # Errors
/// [`Error::Input`] if the file or its deletion vector can't be read, [`Error::Storage`] if the store fails.
pub(in super::super) async fn remaining_rows(
    table: &LakeTable,
    file: &LakeFile,
    vector: &DeletionVector,
    groups: Option<&RowGroups>,
) -> Result<ParquetAccessPlan> {
    let metadata = Arc::clone(open_file(table, file).await?.metadata());
    let deleted = deleted_rows(&table.location, file, vector).await?;
    let rows: Vec<u64> = metadata.row_groups().iter().map(|group| group.num_rows().unsigned_abs()).collect();
    access_of(&rows, groups, &deleted).map_err(|reason| fault(file, vector, &reason))
}

/// The access to row groups with so many `rows`, without the `deleted` rows, which are sorted.
fn access_of(rows: &[u64], groups: Option<&RowGroups>, deleted: &[u64]) -> Result<ParquetAccessPlan, String> {
    let (mut start, mut rest) = (0, deleted);
    let mut access = Vec::new();
    for (index, count) in rows.iter().enumerate() {
        let end = start + count;
        let (own, later) = rest.split_at(rest.partition_point(|row| *row < end));
        access.push(match groups.is_none_or(|groups| groups.is_read(index)) {
            true if own.is_empty() => RowGroupAccess::Scan,
            true if own.len() as u64 == *count => RowGroupAccess::Skip,
            true => RowGroupAccess::Selection(selection(start, end, own)),
            false => RowGroupAccess::Skip,
        });
        (start, rest) = (end, later);
    }
    match rest.first() {
        Some(row) => Err(format!("it deletes row {row} of {start}")),
        None => Ok(ParquetAccessPlan::new(access)),
    }
}

/// The rows from `start` to `end` without the `deleted` ones, which are sorted.
fn selection(start: u64, end: u64, deleted: &[u64]) -> RowSelection {
    let mut selectors: Vec<RowSelector> = Vec::new();
    let mut next = start;
    for row in deleted {
        if *row > next {
            selectors.push(RowSelector::select((*row - next) as usize));
        }
        match selectors.last_mut() {
            Some(last) if last.skip => last.row_count += 1,
            _ => selectors.push(RowSelector::skip(1)),
        }
        next = row + 1;
    }
    if end > next {
        selectors.push(RowSelector::select((end - next) as usize));
    }
    selectors.into()
}

/// The positions of the deleted rows, sorted.
async fn deleted_rows(table: &Location, file: &LakeFile, vector: &DeletionVector) -> Result<Vec<u64>> {
    let failed = |error: &dyn std::fmt::Display| fault(file, vector, &error.to_string());
    let root = Url::parse(ROOT).map_err(|error| failed(&error))?;
    let descriptor = descriptor(vector).map_err(|error| failed(&error))?;
    let stored = match descriptor.absolute_path(&root).map_err(|error| failed(&error))? {
        Some(url) => read(table, file, vector, &url).await?,
        None => Bytes::new(),
    };
    let storage: Arc<dyn StorageHandler> = Arc::new(InMemory(stored));
    let rows = catch_panic_sync(|| descriptor.row_indexes(storage, &root)).map_err(|panic| failed(&panic))?;
    let rows = rows.map_err(|error| failed(&error))?;
    if rows.len() as i64 != vector.cardinality {
        return Err(failed(&format!(
            "it deletes {} rows, and the log says {}",
            rows.len(),
            vector.cardinality
        )));
    }
    Ok(rows)
}

/// The vector as the kernel reads it: at the start of its file, of which only this vector is read.
fn descriptor(vector: &DeletionVector) -> KernelResult<DeletionVectorDescriptor> {
    let is_inline = vector.storage_type == "i";
    DeletionVectorDescriptor::try_new(
        vector.storage_type.parse()?,
        vector.path_or_inline.clone(),
        (!is_inline).then_some(1),
        vector.size_in_bytes,
        vector.cardinality,
    )
}

/// The first byte of the vectors' file, which is its version, and the part with the vector.
async fn read(table: &Location, file: &LakeFile, vector: &DeletionVector, url: &Url) -> Result<Bytes> {
    let path = match url.scheme() {
        // Relative to the table: its name is not encoded in the log, but it is in the URL.
        "memory" => object_of(table, url.path().trim_start_matches('/')),
        _ => object_of(table, url.as_str()),
    };
    let path = path.map_err(|reason| fault(file, vector, &reason))?;
    let start = u64::from(vector.offset.unwrap_or(1).unsigned_abs());
    let end = start + u64::from(vector.size_in_bytes.unsigned_abs()) + FRAME_BYTES;
    with_retries(|| async {
        let parts = table.store().get_ranges(&path, &[0..1, start..end]).await;
        let parts = parts.map_err(|error| match storage_fault(&table.name_of(&path), &error) {
            Some(fault) => Error::Storage(fault),
            None => fault(file, vector, &error.to_string()),
        })?;
        Ok(Bytes::from(parts.concat()))
    })
    .await
}

/// The fault of a file whose deletion vector can't be read: without it, deleted rows would count.
fn fault(file: &LakeFile, vector: &DeletionVector, reason: &str) -> Error {
    let place = match vector.storage_type.as_str() {
        "i" => "in the log".to_owned(),
        _ => vector.path_or_inline.clone(),
    };
    file_fault(file, format!("its deletion vector ({place}) can't be read: {reason}"))
}

/// A storage in which every path has the same content.
struct InMemory(Bytes);

impl StorageHandler for InMemory {
    fn read_files(&self, files: Vec<FileSlice>) -> KernelResult<KernelResultIteratorStatic<Bytes>> {
        let content = self.0.clone();
        Ok(Box::new(files.into_iter().map(move |_| Ok(content.clone()))))
    }

    fn list_from(&self, path: &Url) -> KernelResult<KernelResultIteratorStatic<FileMeta>> {
        Err(not_there(path))
    }

    fn copy_atomic(&self, source: &Url, _: &Url) -> KernelResult<()> {
        Err(not_there(source))
    }

    fn put(&self, path: &Url, _: Bytes, _: bool) -> KernelResult<()> {
        Err(not_there(path))
    }

    fn head(&self, path: &Url) -> KernelResult<FileMeta> {
        Err(not_there(path))
    }

    fn delete(&self, path: &Url) -> KernelResult<()> {
        Err(not_there(path))
    }
}

fn not_there(path: &Url) -> KernelError {
    KernelError::FileNotFound(path.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selected(rows: &[u64], deleted: &[u64]) -> Vec<Vec<(bool, usize)>> {
        let plan = access_of(rows, None, deleted).unwrap();
        let selectors = |access: &RowGroupAccess| match access {
            RowGroupAccess::Skip => vec![(true, 0)],
            RowGroupAccess::Scan => vec![(false, 0)],
            RowGroupAccess::Selection(selection) => {
                selection.iter().map(|selector| (selector.skip, selector.row_count)).collect()
            }
        };
        plan.inner().iter().map(selectors).collect()
    }

    #[test]
    fn a_selection_has_all_rows_of_its_group_but_the_deleted_ones() {
        let (skip, select) = (|count| (true, count), |count| (false, count));
        assert_eq!(
            selected(&[5, 3, 2, 4], &[0, 2, 3, 7, 8, 9]),
            [
                vec![skip(1), select(1), skip(2), select(1)],
                vec![select(2), skip(1)],
                vec![skip(0)],
                vec![select(0)]
            ]
        );
        assert_eq!(selected(&[2], &[]), [vec![select(0)]]);
        assert!(access_of(&[5, 3], None, &[8]).unwrap_err().contains("row 8 of 8"));
    }
}
