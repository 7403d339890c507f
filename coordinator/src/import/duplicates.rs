//! Rows whose record id a row of the same table and date has already, in the lake or in the import.

use std::collections::{HashMap, HashSet};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimestampMicrosecondType};
use chrono::NaiveDate;
use hindcast_common::catalog::{Location, column_texts, date_files};
use hindcast_common::time::date_of_us;
use hindcast_common::{Error, Result};
use tokio::runtime::Handle;

use super::source::time_column;

/// The record ids seen. A date's are 16 bytes each, as long as the import runs.
pub(super) struct Duplicates {
    lake: Location,
    column: String,
    seen: HashMap<(String, NaiveDate), HashSet<u128>>,
    handle: Handle,
}

impl Duplicates {
    /// None seen yet; those of a date in the lake are read when a row of that date comes.
    pub(super) fn new(lake: Location, column: String) -> Self {
        Self { lake, column, seen: HashMap::new(), handle: Handle::current() }
    }

    /// Which rows are the first with their id; rows without one are.
    ///
    /// # Errors
    /// [`Error::Config`] where the table has no such column; those of reading the lake.
    pub(super) fn first_of_each(&mut self, table: &str, rows: &RecordBatch) -> Result<Vec<bool>> {
        let ids = rows.column_by_name(&self.column).ok_or_else(|| {
            Error::Config(format!(
                "rows of {table} have no column {}, by which to tell duplicates",
                self.column
            ))
        })?;
        let ids = as_text(ids)?;
        let ids = ids.as_string::<i32>();
        let times = rows
            .column_by_name(time_column(table))
            .and_then(|column| column.as_primitive_opt::<TimestampMicrosecondType>())
            .ok_or_else(|| Error::Internal(format!("rows of {table} without a time")))?;
        let mut keep = Vec::with_capacity(rows.num_rows());
        for row in 0..rows.num_rows() {
            if ids.is_null(row) {
                keep.push(true);
                continue;
            }
            let key = (table.to_owned(), date_of_us(times.value(row)));
            if !self.seen.contains_key(&key) {
                let in_lake = self.handle.block_on(self.ids_in_lake(table, key.1))?;
                self.seen.insert(key.clone(), in_lake);
            }
            let seen = self.seen.entry(key).or_default();
            keep.push(seen.insert(digest(ids.value(row))));
        }
        Ok(keep)
    }

    async fn ids_in_lake(&self, table: &str, date: NaiveDate) -> Result<HashSet<u128>> {
        let folder = self.lake.join(table);
        let (_, files) = date_files(&folder, &[date], None).await?;
        let mut seen = HashSet::new();
        for file in files.into_iter().flatten() {
            column_texts(&folder, &file, &self.column, |id| {
                seen.insert(digest(id));
            })
            .await?;
        }
        Ok(seen)
    }
}

fn as_text(column: &ArrayRef) -> Result<ArrayRef> {
    cast(column, &DataType::Utf8).map_err(|error| Error::Internal(error.to_string()))
}

/// Half of a BLAKE3 hash: that two ids share one is out of the question.
fn digest(id: &str) -> u128 {
    let hash = blake3::hash(id.as_bytes());
    let mut half = [0; 16];
    half.copy_from_slice(&hash.as_bytes()[..16]);
    u128::from_le_bytes(half)
}
