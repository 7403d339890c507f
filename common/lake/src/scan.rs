//! Parquet scans: those of DataFusion, with each column read as its table's type.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::common::config::TableParquetOptions;
use datafusion::common::{Result, exec_err};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::TaskContext;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, Column, lit};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, SendableRecordBatchStream};
use datafusion::scalar::ScalarValue;
use futures::StreamExt;

use super::delta::remaining_rows;
use super::lake::LakeTable;
use super::lake_file::LakeFile;
use super::location::Location;
use super::normalise::{NormaliserFactory, UnreadableCounts};
use super::row_groups::RowGroups;
use super::sealed::StateFile;
use super::sealed_reader::SealedReaders;
use super::store_reader::{LakeReaders, decoder_panic_reason, stored_schema};
use super::tables::{ColumnKind, TableSpec};
use hindcast_base::catch_panic::panic_text;
use hindcast_base::time::{MICROS_PER_SECOND, Window};

/// Prefix of the store URL of the local file system.
const LOCAL_STORE: &str = "file:";
/// State files that are read at once from other stores: most of the time is spent waiting for the store.
const CONCURRENT_STATE_FILES: usize = 4;

/// The Arrow type in which a column is read.
pub fn canonical_type(kind: ColumnKind) -> DataType {
    match kind {
        ColumnKind::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        ColumnKind::Text => DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
        ColumnKind::Integer => DataType::Int64,
    }
}

/// Schema of the named columns of a table, as a scan returns them.
pub fn canonical_schema(spec: &TableSpec, columns: &[&str]) -> SchemaRef {
    let chosen = spec.columns.iter().filter(|column| columns.contains(&column.name));
    let fields: Vec<Field> =
        chosen.map(|column| Field::new(column.name, canonical_type(column.kind), true)).collect();
    Arc::new(Schema::new(fields))
}

/// A scan of one file.
#[derive(Debug)]
pub struct FileScan(Arc<dyn ExecutionPlan>);

impl FileScan {
    /// The columns that it returns.
    pub fn schema(&self) -> SchemaRef {
        self.0.schema()
    }

    /// Starts reading. A panic of the decoder becomes an error of the stream.
    ///
    /// # Errors
    /// If the scan can't be started.
    pub fn execute(&self, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let rows = AssertUnwindSafe(self.0.execute(0, context)?).catch_unwind();
        let rows = rows.map(|batch| {
            batch.unwrap_or_else(|panic| exec_err!("it {}", decoder_panic_reason(panic_text(&*panic))))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows)))
    }
}

/// A scan of one file with [`canonical_schema`], without its deleted rows, limited to its `groups` if they are given. A `clip` prunes row groups and pages
/// outside it by their statistics; rows outside it can remain.
///
/// # Errors
/// [`hindcast_base::Error::Input`] if the file is not a complete Parquet file.
pub async fn file_scan(
    table: &LakeTable,
    columns: &[&str],
    file: &LakeFile,
    clip: Option<&Window>,
    groups: Option<&RowGroups>,
    unreadable: &UnreadableCounts,
) -> hindcast_base::Result<FileScan> {
    let schema = canonical_schema(table.spec, columns);
    let readers = Arc::new(LakeReaders(Arc::clone(table.location.store())));
    let mut source = parquet_source(&schema).with_parquet_file_reader_factory(readers);
    if let Some(clip) = clip {
        source = source.with_predicate(within(&schema, table.spec.time_column, clip)?);
    }
    let mut partitioned = partitioned_file(file);
    if let Some(vector) = &file.deleted {
        let remaining = remaining_rows(table, file, vector, groups).await?;
        partitioned = partitioned.with_extension(remaining);
    } else if let Some(groups) = groups {
        partitioned = partitioned.with_extension(groups.access_plan());
    }
    let factory = NormaliserFactory::new(table, unreadable.clone());
    let config = FileScanConfigBuilder::new(table.location.store_url()?, Arc::new(source))
        .with_file(partitioned.with_arrow_schema(stored_schema(table, columns, file).await?))
        .with_expr_adapter(Some(Arc::new(factory)))
        .build();
    Ok(FileScan(DataSourceExec::from_data_source(config)))
}

/// A scan of state files of one schema below `state`, in one partition and without an order, with the columns of `projection`. A
/// file that has changed since it was written is an error.
///
/// # Errors
/// If the state's URL has no usable root, or the projection names no column.
pub fn state_scan(
    state: &Location,
    schema: &SchemaRef,
    files: &[StateFile],
    projection: Option<&Vec<usize>>,
    predicate: Option<Arc<dyn PhysicalExpr>>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let url = state.store_url()?;
    let readers = Arc::new(SealedReaders(Arc::clone(state.store())));
    let mut source = parquet_source(schema).with_parquet_file_reader_factory(readers);
    if let Some(predicate) = predicate {
        source = source.with_predicate(predicate);
    }
    let at_once = if url.as_str().starts_with(LOCAL_STORE) { 1 } else { CONCURRENT_STATE_FILES };
    let groups =
        FileGroup::new(files.iter().map(|file| sealed_file(state, file)).collect()).split_files(at_once);
    let config = FileScanConfigBuilder::new(url, Arc::new(source))
        .with_file_groups(groups)
        .with_projection_indices(projection.cloned())?
        .build();
    let scan: Arc<dyn ExecutionPlan> = DataSourceExec::from_data_source(config);
    let parts = scan.output_partitioning().partition_count();
    Ok(if parts == 1 { scan } else { Arc::new(CoalescePartitionsExec::new(scan)) })
}

fn parquet_source(schema: &SchemaRef) -> ParquetSource {
    let mut options = TableParquetOptions::default();
    options.global.coerce_int96 = Some("us".into());
    options.global.pushdown_filters = false;
    ParquetSource::new(TableSchema::from(Arc::clone(schema))).with_table_parquet_options(options)
}

fn sealed_file(state: &Location, file: &StateFile) -> PartitionedFile {
    let mut partitioned = PartitionedFile::new(String::new(), file.bytes);
    partitioned.object_meta.location = state.child(&file.path);
    partitioned.with_extension(file.clone())
}

fn partitioned_file(file: &LakeFile) -> PartitionedFile {
    let mut partitioned = PartitionedFile::new(String::new(), file.bytes);
    partitioned.object_meta.location = file.store_path();
    partitioned.object_meta.e_tag = file.etag.clone();
    match file.range {
        Some((start, end)) => partitioned.with_range(start as i64, end as i64),
        None => partitioned,
    }
}

/// A predicate for pruning that is true for all rows in `clip` and few others. A file with coarser times compares them with
/// bounds that are cut to its unit, so the bounds are rounded outwards, to whole seconds.
fn within(
    schema: &SchemaRef,
    time_column: &str,
    clip: &Window,
) -> hindcast_base::Result<Arc<dyn PhysicalExpr>> {
    let time: Arc<dyn PhysicalExpr> = Arc::new(Column::new_with_schema(time_column, schema)?);
    let bound = |seconds: i64| {
        let micros = seconds.saturating_mul(MICROS_PER_SECOND);
        lit(ScalarValue::TimestampMicrosecond(Some(micros), Some("UTC".into())))
    };
    let first = clip.from_us.div_euclid(MICROS_PER_SECOND);
    let end = clip.to_us.saturating_add(MICROS_PER_SECOND - 1).div_euclid(MICROS_PER_SECOND);
    let from = Arc::new(BinaryExpr::new(Arc::clone(&time), Operator::GtEq, bound(first)));
    let to = Arc::new(BinaryExpr::new(time, Operator::Lt, bound(end)));
    Ok(Arc::new(BinaryExpr::new(from, Operator::And, to)))
}
