//! Finds the rows of a saved table's files that remain when rows of a window are saved again.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};
use chrono::NaiveDate;
use futures::TryStreamExt;
use hindcast_base::time::{Window, date_of_us};
use hindcast_base::{Error, Result};
use hindcast_detections::config::Firewall;
use hindcast_lake::{LakeFile, Location, StoredFile};
use object_store::path::Path;

use super::staged::writer;

/// The saved rows to replace: those of the suite's vendors in a window, on dates that have new rows.
pub(super) struct Replaced<'a> {
    pub(super) window: Window,
    pub(super) firewall: &'a Firewall,
    pub(super) dates: BTreeSet<NaiveDate>,
}

/// The remaining rows of files with replaced rows.
pub(super) struct Remaining {
    /// Files with rows that are replaced.
    pub(super) replaced: Vec<Path>,
    /// Temporary files with their other rows, one per file.
    pub(super) rewritten: Vec<PathBuf>,
    _folder: tempfile::TempDir,
}

/// Separates the rows of saved files that are replaced. Files without such rows do not change.
///
/// # Errors
/// [`Error::Input`] if a file can't be read, [`Error::Storage`] if the store fails, [`Error::Io`] if a temporary file can't be
/// written.
pub(super) async fn without_replaced(
    table: &Location,
    files: &[LakeFile],
    replaced: &Replaced<'_>,
) -> Result<Remaining> {
    let folder = tempfile::tempdir().map_err(Error::io("making a temporary folder"))?;
    let mut remaining = Remaining { replaced: Vec::new(), rewritten: Vec::new(), _folder: folder };
    for (number, file) in files.iter().enumerate() {
        let rest = remaining._folder.path().join(format!("{number}.parquet"));
        let (gone, left) = write_rest(table, file, replaced, &rest).await?;
        if gone > 0 {
            remaining.replaced.push(file.store_path());
        }
        if gone > 0 && left > 0 {
            remaining.rewritten.push(rest);
        }
    }
    Ok(remaining)
}

/// Writes the remaining rows. Returns how many rows are replaced, and how many remain.
async fn write_rest(
    table: &Location,
    file: &LakeFile,
    replaced: &Replaced<'_>,
    rest: &std::path::Path,
) -> Result<(usize, usize)> {
    let stored = StoredFile::open(table, file).await?;
    let mut batches = std::pin::pin!(stored.read(None)?);
    let mut writer = writer(rest, Arc::clone(stored.schema()))?;
    let (mut gone, mut left) = (0, 0);
    while let Some(batch) = batches.try_next().await? {
        let remaining = filter_record_batch(&batch, &replaced.is_remaining(&batch)?).map_err(internal)?;
        gone += batch.num_rows() - remaining.num_rows();
        left += remaining.num_rows();
        writer.write(&remaining).map_err(|error| Error::Engine(error.into()))?;
    }
    writer.close().map_err(|error| Error::Engine(error.into()))?;
    Ok((gone, left))
}

impl Replaced<'_> {
    /// Which rows of a saved file remain.
    fn is_remaining(&self, rows: &RecordBatch) -> Result<BooleanArray> {
        let as_type = |name: &str, kind: &DataType| {
            rows.column_by_name(name).map(|column| cast(column, kind).map_err(internal)).transpose()
        };
        let times =
            as_type("TimeGenerated", &DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())))?;
        let vendors = as_type("DeviceVendor", &DataType::Utf8)?;
        let (Some(times), Some(vendors)) = (times, vendors) else {
            return Ok(BooleanArray::from(vec![true; rows.num_rows()]));
        };
        let times = times.as_primitive::<TimestampMicrosecondType>();
        let vendors = vendors.as_string::<i32>();
        let is_replaced = |row: usize| {
            let time_us = times.value(row);
            let vendor = vendors.is_valid(row).then(|| vendors.value(row));
            let is_in_window = self.window.from_us <= time_us && time_us < self.window.to_us;
            times.is_valid(row)
                && is_in_window
                && self.firewall.reads(vendor)
                && self.dates.contains(&date_of_us(time_us))
        };
        Ok((0..rows.num_rows()).map(|row| Some(!is_replaced(row))).collect())
    }
}

fn internal(error: arrow::error::ArrowError) -> Error {
    Error::Internal(error.to_string())
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, StringArray, TimestampMillisecondArray};
    use hindcast_base::time::parse_time;

    use super::*;

    fn rows(rows: &[(&str, Option<&str>)]) -> RecordBatch {
        let times = rows.iter().map(|(time, _)| parse_time(time).ok().map(|micros| micros / 1_000));
        let times: ArrayRef = Arc::new(TimestampMillisecondArray::from_iter(times).with_timezone("UTC"));
        let vendors: ArrayRef = Arc::new(StringArray::from_iter(rows.iter().map(|(_, vendor)| *vendor)));
        RecordBatch::try_from_iter_with_nullable([
            ("TimeGenerated", times, true),
            ("DeviceVendor", vendors, true),
        ])
        .unwrap()
    }

    #[test]
    fn rows_of_other_vendors_times_and_dates_remain() {
        let time = |text| parse_time(text).unwrap();
        let firewall = Firewall { vendors: vec!["V".to_owned()], ..Firewall::default() };
        let replaced = Replaced {
            window: Window::new(time("2026-01-05T06:00:00Z"), time("2026-01-07T12:00:00Z")).unwrap(),
            firewall: &firewall,
            dates: ["2026-01-05", "2026-01-07"].map(|date| date.parse().unwrap()).into(),
        };
        let cases = [
            ("2026-01-05T05:59:59.999Z", Some("V"), true),
            ("2026-01-05T06:00:00Z", Some("V"), false),
            ("2026-01-05T06:00:00Z", Some("W"), true),
            ("2026-01-05T06:00:00Z", None, true),
            ("no time", Some("V"), true),
            // No new row is of that date.
            ("2026-01-06T06:00:00Z", Some("V"), true),
            ("2026-01-07T11:59:59.999Z", Some("V"), false),
            ("2026-01-07T12:00:00Z", Some("V"), true),
        ];
        let batch = rows(&cases.map(|(time, vendor, _)| (time, vendor)));
        let remaining = replaced.is_remaining(&batch).unwrap();
        let remaining: Vec<bool> = remaining.values().iter().collect();
        assert_eq!(remaining, cases.map(|(.., remains)| remains));
        let every_vendor = Firewall::default();
        let all = Replaced { firewall: &every_vendor, ..replaced };
        assert!(!all.is_remaining(&batch).unwrap().value(2), "all vendors are replaced");
        let without = batch.project(&[0]).unwrap();
        assert_eq!(all.is_remaining(&without).unwrap().true_count(), cases.len());
    }
}
