//! Small files of a table's dates become few, in the lake's layout; the rows stay what they are.

use std::sync::Arc;

use chrono::NaiveDate;
use datafusion::datasource::file_format::options::ParquetReadOptions;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::logical_expr::ident;
use datafusion::prelude::SessionContext;
use futures::StreamExt;
use hindcast_common::catalog::changes::{self, Change};
use hindcast_common::catalog::{LakeFile, Location};
use hindcast_common::engine::task_session;
use hindcast_common::{Error, Result};
use object_store::path::Path;
use serde::Serialize;

use crate::import::{TARGET_FILE_BYTES, cluster_column, time_column, writer};
use crate::inventory;

/// What compaction did.
#[derive(Debug, Default, Clone, Copy, Serialize)]
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
}

/// Merges the files of less than `small_bytes` of the dates that `wanted` takes, date by date. A scan sees the old files or
/// the new ones.
///
/// # Errors
/// [`Error::Config`] where there is no such table or two files store a column as types that do not fit together;
/// [`Error::Storage`] where the store fails. Dates done before stay done.
pub async fn compact(
    lake: &Location,
    table: &str,
    small_bytes: u64,
    wanted: impl Fn(NaiveDate) -> bool,
    runtime: &Arc<RuntimeEnv>,
) -> Result<Compacted> {
    let mut compacted = Compacted::default();
    for (date, files) in inventory::existing(lake, table).await? {
        let small: Vec<LakeFile> = files.into_iter().filter(|file| file.bytes < small_bytes).collect();
        if small.len() > 1 && wanted(date) {
            compact_date(lake, table, date, &small, runtime, &mut compacted).await?;
        }
    }
    Ok(compacted)
}

async fn compact_date(
    lake: &Location,
    table: &str,
    date: NaiveDate,
    small: &[LakeFile],
    runtime: &Arc<RuntimeEnv>,
    compacted: &mut Compacted,
) -> Result<()> {
    let id = format!("compact-{}", uuid::Uuid::now_v7());
    // How many there will be is not known beforehand: more than the old ones have bytes for there can't be.
    let most = small.iter().map(|file| file.bytes).sum::<u64>() / (TARGET_FILE_BYTES / 2) + 2;
    let target = |number: u64| lake.child(&format!("{table}/date={date}/{id}-{number:04}.parquet"));
    let change = Change {
        id: id.clone(),
        adds: (0..most).map(|number| target(number).to_string()).collect(),
        replaces: small.iter().map(|file| file.store_path().to_string()).collect(),
    };
    let session = task_session(Arc::clone(runtime));
    changes::begin(lake, &change).await?;
    match merge(&session, lake, table, small, most, target).await {
        Ok((files, rows, bytes)) => {
            changes::commit(lake, &change).await?;
            compacted.dates += 1;
            compacted.files_before += small.len() as u64;
            compacted.files_after += files;
            compacted.bytes_before += small.iter().map(|file| file.bytes).sum::<u64>();
            compacted.bytes_after += bytes;
            compacted.rows += rows;
            Ok(())
        }
        Err(error) => {
            changes::abort(lake, &change).await?;
            Err(error)
        }
    }
}

/// Writes the rows of `small` in order to at most `most` files; gives files, rows and bytes.
async fn merge(
    session: &SessionContext,
    lake: &Location,
    table: &str,
    small: &[LakeFile],
    most: u64,
    target: impl Fn(u64) -> Path,
) -> Result<(u64, u64, u64)> {
    let root = lake.store_url()?;
    let root = root.as_str().trim_end_matches('/');
    let urls: Vec<String> = small.iter().map(|file| format!("{root}/{}", file.store_path())).collect();
    let rows = session.read_parquet(urls, ParquetReadOptions::default()).await?;
    let schema = Arc::new(rows.schema().as_arrow().clone());
    let cluster = cluster_column(table, None).filter(|name| schema.index_of(name).is_ok());
    let order = cluster.into_iter().chain([time_column(table)]).filter(|name| schema.index_of(name).is_ok());
    let order = order.map(|name| ident(name).sort(true, true)).collect();
    let mut batches = rows.sort(order)?.execute_stream().await?;
    let (mut files, mut count, mut bytes) = (0, 0, 0);
    let mut open = None;
    loop {
        let batch = batches.next().await.transpose()?;
        let is_full = open.as_ref().is_some_and(|open: &parquet::arrow::ArrowWriter<Vec<u8>>| {
            open.bytes_written() as u64 >= TARGET_FILE_BYTES && files + 1 < most
        });
        if (is_full || batch.is_none())
            && let Some(done) = open.take()
        {
            let content = done.into_inner().map_err(|error| Error::Engine(error.into()))?;
            bytes += content.len() as u64;
            lake.put(&target(files), content).await?;
            files += 1;
        }
        let Some(batch) = batch else { return Ok((files, count, bytes)) };
        count += batch.num_rows() as u64;
        let open = match &mut open {
            Some(open) => open,
            None => open.insert(writer(Vec::new(), &schema, table, cluster)?),
        };
        open.write(&batch).map_err(|error| Error::Engine(error.into()))?;
    }
}
