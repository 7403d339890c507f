//! The newest row of a lake, from which windows are counted back.

use std::sync::Arc;

use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::TimestampMicrosecondType;
use datafusion::execution::runtime_env::RuntimeEnv;
use futures::StreamExt;
use hindcast_common::catalog::{LakeFile, LakeTable, UnreadableCounts, file_scan};
use hindcast_common::engine::task_session;
use hindcast_common::time::{MICROS_PER_DAY, format_micros};
use hindcast_common::{Error, Result};

use crate::jobs::now;

/// How far ahead of this clock a row's may be, which need not be set to UTC.
const CLOCK_SLACK_US: i64 = MICROS_PER_DAY;

/// Newest times, in microseconds since 1970: of what has happened by now, and of what has not.
#[derive(Debug, Clone, Copy, Default)]
struct Newest {
    past: Option<i64>,
    future: Option<i64>,
}

/// The newest instant in the lake: that of the newest folder of each table that has one. Rows later than tomorrow are passed over,
/// with a warning: one from a clock that is years ahead would leave all others out of the window. Where all are later, the newest of all.
///
/// # Errors
/// [`Error::Config`] where no row can be read, [`Error::Storage`] where a listing fails.
pub(super) async fn newest_row(tables: &[LakeTable], runtime: &Arc<RuntimeEnv>) -> Result<i64> {
    let latest_us = now().timestamp_micros() + CLOCK_SLACK_US;
    let mut newest = Newest::default();
    for table in tables {
        for date in table.dates.iter().rev() {
            let mut in_folder = Newest::default();
            for file in &table.files_of(*date).await? {
                in_folder = in_folder.or_later(newest_in(table, file, runtime, latest_us).await?);
            }
            newest = newest.or_later(in_folder);
            if in_folder.past.is_some() {
                break;
            }
        }
    }
    if let (Some(_), Some(future)) = (newest.past, newest.future) {
        tracing::warn!(
            target: "lake",
            newest = format_micros(future),
            "the lake has rows later than tomorrow: the window does not reach to them"
        );
    }
    newest
        .past
        .or(newest.future)
        .ok_or_else(|| Error::Config("the lake has no row to count back from".into()))
}

impl Newest {
    fn or_later(self, other: Self) -> Self {
        Self { past: self.past.max(other.past), future: self.future.max(other.future) }
    }
}

/// Of a file's rows, as far as it can be read: what can't is told when it is scanned.
async fn newest_in(
    table: &LakeTable,
    file: &LakeFile,
    runtime: &Arc<RuntimeEnv>,
    latest_us: i64,
) -> Result<Newest> {
    let unreadable = UnreadableCounts::of(table.spec);
    let mut newest = Newest::default();
    let Ok(scan) = file_scan(table, &[table.spec.time_column], file, None, None, &unreadable).await else {
        return Ok(newest);
    };
    let mut batches = scan.execute(0, task_session(Arc::clone(runtime)).task_ctx())?;
    while let Some(Ok(batch)) = batches.next().await {
        for time_us in batch.column(0).as_primitive::<TimestampMicrosecondType>().iter().flatten() {
            let place = if time_us <= latest_us { &mut newest.past } else { &mut newest.future };
            *place = (*place).max(Some(time_us));
        }
    }
    Ok(newest)
}
