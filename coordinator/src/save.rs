//! Saves the firewall suite's rows, enriched, as a lake table by date; then reads it back and counts.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use chrono::NaiveDate;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::execution::TaskContext;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::logical_expr::{ident, lit};
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::prelude::DataFrame;
use datafusion::scalar::ScalarValue;
use futures::StreamExt;
use hindcast_common::catalog::{
    FileScan, Lake, LakeFile, LakeTable, Location, TableSpec, UnreadableCounts, file_scan, parquet_footer,
    refuse_log,
};
use hindcast_common::config::Config;
use hindcast_common::engine::task_session;
use hindcast_common::functions::is_external;
use hindcast_common::time::{MICROS_PER_DAY, Window, date_start_us};
use hindcast_common::{Error, Result};
use object_store::buffered::BufWriter;
use parquet::arrow::AsyncArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

const SOURCE_TABLE: &str = "CommonSecurityLog";

/// What was saved.
#[derive(Debug)]
pub struct Saved {
    /// Rows written now.
    pub rows_written: u64,
    /// Files written now.
    pub files_written: u64,
    /// Rows of the whole table, read back.
    pub rows_in_table: u64,
}

/// Appends the vendor's rows in `window` to the table `name`, with `TotalBytes` and `IsExternal`.
///
/// A file's name is made of the source file, of what of its dates the window holds, and of the vendor: saving the same rows again,
/// in a longer window too, replaces them and doubles none. Rows are doubled where one window cuts a date and another holds more
/// of it, and where the source's files were put together in between.
///
/// # Errors
/// [`Error::Config`] for a name without the suffix, where the lake has no firewall table, and where either table has a log.
pub async fn save(
    lake: &Lake,
    config: &Config,
    runtime: &Arc<RuntimeEnv>,
    name: &str,
    window: Option<Window>,
) -> Result<Saved> {
    check_name(name, config)?;
    let target = lake.root().join(name);
    refuse_log(&target, name).await?;
    let found = lake.tables(|table| table == SOURCE_TABLE).await?;
    let tables = found.all_readable(|_| String::new())?;
    let Some(source) = tables.first() else {
        return Err(Error::Config(format!("the lake has no table {SOURCE_TABLE}")));
    };
    let window = match (window, source.dates.first(), source.dates.last()) {
        (Some(window), _, _) => window,
        (None, Some(first), Some(last)) => {
            Window::new(date_start_us(*first), date_start_us(*last) + MICROS_PER_DAY)?
        }
        _ => return Err(Error::Config(format!("{SOURCE_TABLE} has no date"))),
    };
    let mut saved = Saved { rows_written: 0, files_written: 0, rows_in_table: 0 };
    for folder in source.folders(&window).await? {
        for file in &folder.files {
            let rows = save_file(source, file, folder.date, &window, config, runtime, &target).await?;
            saved.rows_written += rows;
            saved.files_written += u64::from(rows > 0);
        }
    }
    for (_, files) in crate::inventory::existing(lake.root(), name).await? {
        for file in &files {
            saved.rows_in_table += parquet_footer(&target, file).await?.rows;
        }
    }
    Ok(saved)
}

/// Fails for a name that can't be one of a saved table.
///
/// # Errors
/// [`Error::Config`] then.
fn check_name(name: &str, config: &Config) -> Result<()> {
    let suffix = &config.save.suffix;
    let is_plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !is_plain || !name.ends_with(suffix.as_str()) || name.len() == suffix.len() {
        return Err(Error::Config(format!(
            "{name:?} can't be the name of a saved table: it takes letters, digits and _, and ends in {suffix}"
        )));
    }
    if TableSpec::by_name(name).is_some() {
        return Err(Error::Config(format!("{name} is a table that is read, not one to save to")));
    }
    Ok(())
}

async fn save_file(
    source: &LakeTable,
    file: &LakeFile,
    date: NaiveDate,
    window: &Window,
    config: &Config,
    runtime: &Arc<RuntimeEnv>,
    target: &Location,
) -> Result<u64> {
    let columns: Vec<&str> = source.spec.columns.iter().map(|column| column.name).collect();
    let unreadable = UnreadableCounts::of(source.spec);
    let scan = file_scan(source, &columns, file, None, None, &unreadable).await?;
    let session = task_session(Arc::clone(runtime));
    let table = StreamingTable::try_new(scan.schema(), vec![Arc::new(ScanFeed::new(scan))])?;
    let rows = enriched(session.read_table(Arc::new(table))?, window, config)?;
    let mut batches = rows.execute_stream().await?;
    let mut first = None;
    while let Some(batch) = batches.next().await.transpose()? {
        if batch.num_rows() > 0 {
            first = Some(batch);
            break;
        }
    }
    let Some(first) = first else { return Ok(0) };

    let origin = serde_json::to_vec(&(file, held_of(source, date, window), &config.firewall.vendor))
        .map_err(|error| Error::Internal(error.to_string()))?;
    let path = target.child(&format!("date={date}/part-{}.parquet", &blake3::hash(&origin).to_hex()[..16]));
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1).map_err(as_engine)?))
        .build();
    let sink = BufWriter::new(Arc::clone(target.store()), path);
    let mut writer = AsyncArrowWriter::try_new(sink, first.schema(), Some(properties)).map_err(as_engine)?;
    let mut count = first.num_rows() as u64;
    writer.write(&first).await.map_err(as_engine)?;
    while let Some(batch) = batches.next().await.transpose()? {
        count += batch.num_rows() as u64;
        writer.write(&batch).await.map_err(as_engine)?;
    }
    writer.close().await.map_err(as_engine)?;
    Ok(count)
}

/// What `window` holds of the days whose rows a folder of `date` may have.
fn held_of(source: &LakeTable, date: NaiveDate, window: &Window) -> (i64, i64) {
    let slack_us = i64::from(source.mapping.folder_slack_days) * MICROS_PER_DAY;
    let start_us = date_start_us(date);
    (window.from_us.max(start_us - slack_us), window.to_us.min(start_us + MICROS_PER_DAY + slack_us))
}

/// A scan of one file as a table.
#[derive(Debug)]
pub(crate) struct ScanFeed {
    schema: SchemaRef,
    scan: FileScan,
}

impl ScanFeed {
    /// The rows of `scan`.
    pub(crate) fn new(scan: FileScan) -> Self {
        Self { schema: scan.schema(), scan }
    }
}

impl PartitionStream for ScanFeed {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        match self.scan.execute(context) {
            Ok(batches) => batches,
            Err(error) => Box::pin(RecordBatchStreamAdapter::new(
                Arc::clone(&self.schema),
                futures::stream::once(async { Err(error) }),
            )),
        }
    }
}

fn as_engine(error: parquet::errors::ParquetError) -> Error {
    Error::Engine(error.into())
}

/// The vendor's rows of the window, with the notebook's derived columns.
fn enriched(rows: DataFrame, window: &Window, config: &Config) -> Result<DataFrame> {
    let bound = |micros| lit(ScalarValue::TimestampMicrosecond(Some(micros), Some("UTC".into())));
    let time = ident("TimeGenerated");
    let in_window = time.clone().gt_eq(bound(window.from_us)).and(time.lt(bound(window.to_us)));
    let of_vendor = ident("DeviceVendor").eq(lit(config.firewall.vendor.as_str()));
    Ok(rows
        .filter(in_window.and(of_vendor))?
        .with_column("TotalBytes", ident("SentBytes") + ident("ReceivedBytes"))?
        .with_column("IsExternal", is_external(ident("DestinationIP"), &config.network))?)
}
