//! Parquet scans: those of DataFusion, with each column read as its table's type.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch, RecordBatchOptions};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use datafusion::common::config::TableParquetOptions;
use datafusion::common::{Result, exec_err};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::TaskContext;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{BinaryExpr, Column, lit};
use datafusion::physical_expr::{PhysicalExpr, conjunction};
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
use super::scan_input::{ScanInput, scan_input};
use super::sealed::StateFile;
use super::sealed_reader::SealedReaders;
use super::store_reader::{LakeReaders, decoder_panic_reason};
use hindcast_base::catch_panic::panic_text;
use hindcast_base::time::{MICROS_PER_SECOND, Window};
use hindcast_schema::canonical_schema;

/// Prefix of the store URL of the local file system.
const LOCAL_STORE: &str = "file:";
/// State files that are read at once from other stores: most of the time is spent waiting for the store.
const CONCURRENT_STATE_FILES: usize = 4;

/// The column that says whether a row of a file is a row of the table. No column of a lake has such a name.
pub(super) const KEPT: &str = "\0kept";

/// A scan of one file.
#[derive(Debug)]
pub struct FileScan {
    plan: Arc<dyn ExecutionPlan>,
    /// The columns that it returns: those of the plan without [`KEPT`], which is the last one if there is a filter.
    schema: SchemaRef,
}

impl FileScan {
    /// The columns that it returns.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// Starts reading. A panic of the decoder becomes an error of the stream.
    ///
    /// # Errors
    /// If the scan can't be started.
    pub fn execute(&self, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let rows = AssertUnwindSafe(self.plan.execute(0, context)?).catch_unwind();
        let schema = self.schema();
        let rows = rows.map(move |batch| {
            let batch = batch
                .unwrap_or_else(|panic| exec_err!("it {}", decoder_panic_reason(panic_text(&*panic))))?;
            if batch.num_columns() == schema.fields().len() { Ok(batch) } else { kept(&batch, &schema) }
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows)))
    }
}

/// A scan of one file with [`canonical_schema`], of the rows that are rows of the table and not deleted, limited to its `groups` if
/// they are given. A `clip` prunes row groups and pages outside it by their statistics; rows outside it can remain.
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
    let ScanInput { schema: stored, prunes_times, groups } =
        scan_input(table, columns, file, clip, groups).await?;
    let is_filtered = table.mapping.filter.is_some();
    let read = if is_filtered { with_kept(&schema) } else { Arc::clone(&schema) };
    let readers = Arc::new(LakeReaders(Arc::clone(table.location.store())));
    let mut source = parquet_source(&read).with_parquet_file_reader_factory(readers);
    let mut predicates: Vec<Arc<dyn PhysicalExpr>> = Vec::new();
    if let Some(clip) = clip.filter(|_| prunes_times) {
        predicates.push(within(&read, table.spec.time_column, clip)?);
    }
    if is_filtered {
        // A column alone would be taken for one of the scan.
        predicates
            .extend([Arc::new(Column::new_with_schema(KEPT, &read)?) as Arc<dyn PhysicalExpr>, lit(true)]);
    }
    if !predicates.is_empty() {
        source = source.with_predicate(conjunction(predicates));
    }
    let mut partitioned = partitioned_file(file);
    if let Some(vector) = &file.deleted {
        let remaining = remaining_rows(table, file, vector, groups.as_ref()).await?;
        partitioned = partitioned.with_extension(remaining);
    } else if let Some(groups) = groups {
        partitioned = partitioned.with_extension(groups.access_plan());
    }
    let factory = NormaliserFactory::new(table, file, columns, unreadable.clone());
    let config = FileScanConfigBuilder::new(table.location.store_url()?, Arc::new(source))
        .with_file(partitioned.with_arrow_schema(stored))
        .with_expr_adapter(Some(Arc::new(factory)))
        .build();
    Ok(FileScan { plan: DataSourceExec::from_data_source(config), schema })
}

/// The schema with the column [`KEPT`] at its end.
fn with_kept(schema: &Schema) -> SchemaRef {
    let kept = Arc::new(Field::new(KEPT, DataType::Boolean, true));
    Arc::new(Schema::new(schema.fields().iter().cloned().chain([kept]).collect::<Fields>()))
}

/// The rows of a batch for which its last column is true, without that column.
fn kept(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let (columns, is_kept) = batch.columns().split_at(schema.fields().len());
    let Some(is_kept) = is_kept.first().and_then(|is_kept| is_kept.as_boolean_opt()) else {
        return exec_err!("a scan lacks the result of its table's filter");
    };
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let rows = RecordBatch::try_new_with_options(Arc::clone(schema), columns.to_vec(), &options)?;
    Ok(filter_record_batch(&rows, is_kept)?)
}

/// A scan of state files of one schema below `state`, in one partition and without an order, with the columns of `projection`. A
/// file that has changed since it was written is an error. The predicate prunes row groups and pages; if `filters_rows`, it also
/// drops rows, and the columns that it does not name are read only for the others.
///
/// # Errors
/// If the state's URL has no usable root, or the projection names no column.
pub fn state_scan(
    state: &Location,
    schema: &SchemaRef,
    files: &[StateFile],
    projection: Option<&Vec<usize>>,
    predicate: Option<Arc<dyn PhysicalExpr>>,
    filters_rows: bool,
) -> Result<Arc<dyn ExecutionPlan>> {
    let url = state.store_url()?;
    let readers = Arc::new(SealedReaders(Arc::clone(state.store())));
    let mut source = parquet_source(schema).with_parquet_file_reader_factory(readers);
    if let Some(predicate) = predicate {
        source = source.with_predicate(predicate).with_pushdown_filters(filters_rows);
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
