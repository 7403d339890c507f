//! The newest row of a lake, from which windows are counted back.

use std::sync::Arc;

use chrono::NaiveDate;
use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::TimestampMicrosecondType;
use datafusion::execution::runtime_env::RuntimeEnv;
use futures::StreamExt;
use hindcast_base::Result;
use hindcast_base::time::{MICROS_PER_DAY, date_of_us, format_micros, now};
use hindcast_lake::task_session;
use hindcast_lake::{LakeFile, LakeTable, UnreadableCounts, file_scan};

use super::gap::NewestFault;

/// How far a row may be ahead of this clock, which may not be set to UTC.
const CLOCK_SLACK_US: i64 = MICROS_PER_DAY;

/// The newest row, and what could not be read on the way to it.
#[derive(Debug, Default)]
pub(super) struct Newest {
    /// Its time, in microseconds since 1970; none if no row can be read.
    pub(super) time_us: Option<i64>,
    /// Dates that could not be read completely, none older than the newest date that could.
    pub(super) unread: Vec<UnreadNewest>,
}

/// A newest date of a table that could not be read completely.
#[derive(Debug)]
pub(super) struct UnreadNewest {
    /// The table.
    pub(super) table: &'static str,
    /// Its root, if the lake has several.
    pub(super) root: Option<Arc<str>>,
    /// The date of its folder.
    pub(super) date: NaiveDate,
    /// The reasons.
    pub(super) faults: Vec<NewestFault>,
}

/// Newest times, in microseconds since 1970: of rows up to now, and of later ones.
#[derive(Debug, Clone, Copy, Default)]
struct Times {
    past: Option<i64>,
    future: Option<i64>,
}

/// The newest instant in the lake: the latest one in the newest folder of each table that has rows. Rows later than tomorrow are
/// skipped with a warning, because one row from a clock that is years ahead would exclude all others from the window. If all rows
/// are later, the newest of all counts.
///
/// # Errors
/// [`hindcast_base::Error::Storage`] if a listing fails.
pub(super) async fn newest_row(tables: &[LakeTable], runtime: &Arc<RuntimeEnv>) -> Result<Newest> {
    let latest_us = now().timestamp_micros() + CLOCK_SLACK_US;
    let mut times = Times::default();
    let mut unread = Vec::new();
    for table in tables {
        let of_table = newest_of(table, runtime, latest_us, &mut unread).await?;
        times = times.or_later(of_table);
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

/// The newest times of a table. Dates that can't be read completely are added to `unread`.
async fn newest_of(
    table: &LakeTable,
    runtime: &Arc<RuntimeEnv>,
    latest_us: i64,
    unread: &mut Vec<UnreadNewest>,
) -> Result<Times> {
    let mut times = Times::default();
    for date in table.last_dates() {
        // Statistics may count deleted rows: the remaining ones of a file may be older than all rows of the next date.
        let is_newer = |newest_us: i64| !table.is_listed() || date_of_us(newest_us) > date;
        if times.past.is_some_and(is_newer) {
            break;
        }
        let mut faults = Vec::new();
        for file in &table.files_ending_on(date).await? {
            if file.times_us.is_some_and(|(_, last_us)| Some(last_us) <= times.past) {
                continue;
            }
            match newest_in(table, file, runtime, latest_us).await {
                Ok(newest) => times = times.or_later(newest),
                Err(fault) => faults.push(fault),
            }
        }
        if !faults.is_empty() {
            let (table, root) = (table.spec.name, table.root.clone());
            unread.push(UnreadNewest { table, root, date, faults });
        }
    }
    Ok(times)
}

impl Times {
    fn or_later(self, other: Self) -> Self {
        Self { past: self.past.max(other.past), future: self.future.max(other.future) }
    }
}

/// The newest times in a file; a reason if the file can't be read, or has rows without any readable time.
async fn newest_in(
    table: &LakeTable,
    file: &LakeFile,
    runtime: &Arc<RuntimeEnv>,
    latest_us: i64,
) -> std::result::Result<Times, NewestFault> {
    let unreadable = UnreadableCounts::of(table.spec);
    let mut newest = Times::default();
    let mut rows = 0;
    let scan = file_scan(table, &[table.spec.time_column], file, None, None, &unreadable).await;
    let scan = scan.map_err(|error| NewestFault::Unreadable { error: error.to_string() })?;
    let failed = |error: datafusion::error::DataFusionError| NewestFault::Unreadable {
        error: format!("file {}: {error}", file.path),
    };
    let mut batches = scan.execute(task_session(Arc::clone(runtime)).task_ctx()).map_err(failed)?;
    while let Some(batch) = batches.next().await.transpose().map_err(failed)? {
        rows += batch.num_rows();
        for time_us in batch.column(0).as_primitive::<TimestampMicrosecondType>().iter().flatten() {
            let place = if time_us <= latest_us { &mut newest.past } else { &mut newest.future };
            *place = (*place).max(Some(time_us));
        }
    }
    match newest.past.or(newest.future) {
        None if rows > 0 => Err(NewestFault::NoTime { file: file.path.clone(), rows }),
        _ => Ok(newest),
    }
}
