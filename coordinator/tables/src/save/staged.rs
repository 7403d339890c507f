//! Stages rows in a temporary folder, in files by date.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::PathBuf;

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{SchemaRef, TimestampMicrosecondType};
use chrono::NaiveDate;
use hindcast_base::time::date_of_us;
use hindcast_base::{Error, Result};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use crate::layout::TARGET_FILE_BYTES;

/// Rows per row group.
const ROW_GROUP_ROWS: usize = 128 << 10;

/// A file to be uploaded.
#[derive(Debug)]
pub(super) struct StagedFile {
    /// Its path.
    pub(super) path: PathBuf,
    /// Its rows.
    pub(super) rows: u64,
}

/// The staged files, and their folder.
pub(super) struct Staged {
    _folder: tempfile::TempDir,
    /// Files by the date of their rows.
    pub(super) by_date: BTreeMap<NaiveDate, Vec<StagedFile>>,
}

/// Writes rows to files by date.
pub(super) struct Staging {
    folder: tempfile::TempDir,
    open: BTreeMap<NaiveDate, Open>,
    done: BTreeMap<NaiveDate, Vec<StagedFile>>,
    files: usize,
}

struct Open {
    path: PathBuf,
    rows: u64,
    writer: ArrowWriter<File>,
}

impl Staging {
    /// Creates the temporary folder.
    ///
    /// # Errors
    /// [`Error::Io`] if the folder can't be created.
    pub(super) fn new() -> Result<Self> {
        let folder = tempfile::tempdir().map_err(Error::io("making a temporary folder"))?;
        Ok(Self { folder, open: BTreeMap::new(), done: BTreeMap::new(), files: 0 })
    }

    /// Adds each row to the file of its date, except rows of dates that are `done`.
    ///
    /// # Errors
    /// [`Error::Internal`] if the rows have no such time in microseconds, [`Error::Io`] if a file can't be written.
    pub(super) fn write(
        &mut self,
        rows: &RecordBatch,
        time_column: &str,
        done: &BTreeSet<NaiveDate>,
    ) -> Result<()> {
        let times = rows
            .column_by_name(time_column)
            .and_then(|column| column.as_primitive_opt::<TimestampMicrosecondType>())
            .ok_or_else(|| Error::Internal(format!("rows without {time_column}")))?;
        let dates: Vec<NaiveDate> = times.values().iter().map(|time_us| date_of_us(*time_us)).collect();
        let distinct: BTreeSet<NaiveDate> = dates.iter().copied().collect();
        for date in distinct.difference(done).copied() {
            let is_of_date: BooleanArray = dates.iter().map(|other| Some(*other == date)).collect();
            let of_date =
                filter_record_batch(rows, &is_of_date).map_err(|error| Error::Internal(error.to_string()))?;
            self.write_date(date, &of_date)?;
        }
        Ok(())
    }

    fn write_date(&mut self, date: NaiveDate, rows: &RecordBatch) -> Result<()> {
        let open = match self.open.remove(&date) {
            Some(open) => open,
            None => {
                let path = self.folder.path().join(format!("{}.parquet", self.files));
                self.files += 1;
                Open { rows: 0, writer: writer(&path, rows.schema())?, path }
            }
        };
        let open = self.open.entry(date).or_insert(open);
        open.writer.write(rows).map_err(|error| Error::Engine(error.into()))?;
        open.rows += rows.num_rows() as u64;
        if open.writer.bytes_written() as u64 >= TARGET_FILE_BYTES {
            self.close(date)?;
        }
        Ok(())
    }

    /// Writes the rows in memory, of which each date has a row group.
    ///
    /// # Errors
    /// [`Error::Engine`] if a file can't be written.
    pub(super) fn flush(&mut self) -> Result<()> {
        for open in self.open.values_mut() {
            open.writer.flush().map_err(|error| Error::Engine(error.into()))?;
        }
        Ok(())
    }

    fn close(&mut self, date: NaiveDate) -> Result<()> {
        if let Some(Open { path, rows, writer }) = self.open.remove(&date) {
            writer.close().map_err(|error| Error::Engine(error.into()))?;
            self.done.entry(date).or_default().push(StagedFile { path, rows });
        }
        Ok(())
    }

    /// Closes all files.
    ///
    /// # Errors
    /// [`Error::Engine`] if a file can't be written.
    pub(super) fn finish(mut self) -> Result<Staged> {
        for date in self.open.keys().copied().collect::<Vec<_>>() {
            self.close(date)?;
        }
        Ok(Staged { _folder: self.folder, by_date: self.done })
    }
}

/// A writer of a file of saved rows, in the order of the source.
///
/// # Errors
/// [`Error::Io`] if the file can't be created.
pub(super) fn writer(path: &std::path::Path, schema: SchemaRef) -> Result<ArrowWriter<File>> {
    let file = File::create(path).map_err(Error::io(format!("creating {}", path.display())))?;
    let level = ZstdLevel::try_new(1).map_err(|error| Error::Engine(error.into()))?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .build();
    ArrowWriter::try_new(file, schema, Some(properties)).map_err(|error| Error::Engine(error.into()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, TimestampMicrosecondArray};
    use hindcast_base::time::MICROS_PER_DAY;

    use super::*;

    #[test]
    fn rows_are_staged_by_date() {
        let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![
            0,
            MICROS_PER_DAY,
            MICROS_PER_DAY - 1,
            3 * MICROS_PER_DAY,
        ]));
        let rows = RecordBatch::try_from_iter([("t", times)]).unwrap();
        let mut staging = Staging::new().unwrap();
        staging.write(&rows, "t", &BTreeSet::new()).unwrap();
        staging.flush().unwrap();
        staging.write(&rows, "t", &BTreeSet::from([date_of_us(3 * MICROS_PER_DAY)])).unwrap();
        let staged = staging.finish().unwrap();
        let counts: Vec<(String, u64)> =
            staged.by_date.iter().map(|(date, files)| (date.to_string(), files[0].rows)).collect();
        assert_eq!(
            counts,
            [("1970-01-01", 4), ("1970-01-02", 2), ("1970-01-04", 1)].map(|(d, n)| (d.to_owned(), n))
        );
        assert!(staged.by_date.values().all(|files| files.len() == 1));
    }
}
