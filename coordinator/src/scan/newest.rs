//! The newest row of a lake, from which windows are counted back.

use std::sync::Arc;

use chrono::NaiveDate;
use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::TimestampMicrosecondType;
use datafusion::execution::runtime_env::RuntimeEnv;
use futures::StreamExt;
use hindcast_common::Result;
use hindcast_common::catalog::task_session;
use hindcast_common::catalog::{LakeFile, LakeTable, UnreadableCounts, file_scan};
use hindcast_common::time::{MICROS_PER_DAY, format_micros, now};

/// How far ahead of this clock a row's may be, which need not be set to UTC.
const CLOCK_SLACK_US: i64 = MICROS_PER_DAY;

/// The newest row, and what could not be read on the way to it.
#[derive(Debug, Default)]
pub(super) struct Newest {
    /// Its time, in microseconds since 1970; none where no row can be read.
    pub(super) time_us: Option<i64>,
    /// Dates of tables, at or after the newest that could be read, of which something could not.
    pub(super) unread: Vec<UnreadNewest>,
}

/// A newest date of a table that could not be read whole.
#[derive(Debug)]
pub(super) struct UnreadNewest {
    /// The table.
    pub(super) table: &'static str,
    /// The date of its folder.
    pub(super) date: NaiveDate,
    /// Why.
    pub(super) reason: String,
}

/// Newest times, in microseconds since 1970: of what has happened by now, and of what has not.
#[derive(Debug, Clone, Copy, Default)]
struct Times {
    past: Option<i64>,
    future: Option<i64>,
}

/// The newest instant in the lake: that of the newest folder of each table that has one. Rows later than tomorrow are passed over,
/// with a warning: one from a clock that is years ahead would leave all others out of the window. Where all are later, the newest of all.
///
/// # Errors
/// [`hindcast_common::Error::Storage`] where a listing fails.
pub(super) async fn newest_row(tables: &[LakeTable], runtime: &Arc<RuntimeEnv>) -> Result<Newest> {
    let latest_us = now().timestamp_micros() + CLOCK_SLACK_US;
    let mut times = Times::default();
    let mut unread = Vec::new();
    for table in tables {
        for date in table.dates.iter().rev() {
            let mut in_folder = Times::default();
            let mut faults = Vec::new();
            for file in &table.files_of(*date).await? {
                match newest_in(table, file, runtime, latest_us).await {
                    Ok(newest) => in_folder = in_folder.or_later(newest),
                    Err(fault) => faults.push(fault),
                }
            }
            if !faults.is_empty() {
                unread.push(UnreadNewest { table: table.spec.name, date: *date, reason: faults.join("; ") });
            }
            times = times.or_later(in_folder);
            if in_folder.past.is_some() {
                break;
            }
        }
    }
    if let (Some(_), Some(future)) = (times.past, times.future) {
        tracing::warn!(
            target: "lake",
            newest = format_micros(future),
            "the lake has rows later than tomorrow: the window does not reach to them"
        );
    }
    Ok(Newest { time_us: times.past.or(times.future), unread })
}

impl Times {
    fn or_later(self, other: Self) -> Self {
        Self { past: self.past.max(other.past), future: self.future.max(other.future) }
    }
}

/// Of a file's rows. What is wrong with it, in words, where it can't be read, or has rows and the time of none can be.
async fn newest_in(
    table: &LakeTable,
    file: &LakeFile,
    runtime: &Arc<RuntimeEnv>,
    latest_us: i64,
) -> std::result::Result<Times, String> {
    let unreadable = UnreadableCounts::of(table.spec);
    let mut newest = Times::default();
    let mut rows = 0;
    let scan = file_scan(table, &[table.spec.time_column], file, None, None, &unreadable).await;
    let scan = scan.map_err(|error| error.to_string())?;
    let failed = |error: datafusion::error::DataFusionError| format!("file {}: {error}", file.path);
    let mut batches = scan.execute(task_session(Arc::clone(runtime)).task_ctx()).map_err(failed)?;
    while let Some(batch) = batches.next().await.transpose().map_err(failed)? {
        rows += batch.num_rows();
        for time_us in batch.column(0).as_primitive::<TimestampMicrosecondType>().iter().flatten() {
            let place = if time_us <= latest_us { &mut newest.past } else { &mut newest.future };
            *place = (*place).max(Some(time_us));
        }
    }
    match newest.past.or(newest.future) {
        None if rows > 0 => Err(format!("file {}: none of its {rows} rows has a readable time", file.path)),
        _ => Ok(newest),
    }
}
