//! Takes the rows that a rollup stores as they are.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::compute::{cast, take_record_batch};
use arrow::datatypes::{DataType, Int32Type, Schema, SchemaRef};
use datafusion::common::Result;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::utils::{collect_columns, reassign_expr_columns};
use hindcast_detections::rollups::RowExpressions;

use super::grouping::Value;
use super::sheet::{Sheet, SheetRows, rows_where};

/// A rollup's rows.
#[derive(Debug)]
pub(crate) struct MatchingRows {
    filter: Option<Value>,
    /// The columns of a batch that are read of the taken rows.
    read: Vec<usize>,
    /// The columns of the state, over those that are read.
    columns: Vec<Arc<dyn PhysicalExpr>>,
    /// Their types, with dictionaries of texts.
    prepared: SchemaRef,
    bucket: Arc<dyn PhysicalExpr>,
    state: SchemaRef,
    rows: Vec<RecordBatch>,
    bytes: usize,
}

impl MatchingRows {
    /// The rows of a rollup, without any. `bucket` is over columns of the types in `prepared`.
    pub(super) fn new(
        expressions: &RowExpressions,
        (bucket, prepared, state): (Arc<dyn PhysicalExpr>, SchemaRef, SchemaRef),
        sheet: &mut Sheet,
    ) -> Result<Self> {
        let filter = expressions.filter.as_ref().map(|filter| Value::new(filter, sheet)).transpose()?;
        let mut read: Vec<usize> = expressions
            .columns
            .iter()
            .flat_map(|(_, expr)| collect_columns(expr))
            .map(|column| column.index())
            .collect();
        read.sort_unstable();
        read.dedup();
        let of_batch: Schema = sheet.schema().project(&read)?;
        let columns =
            expressions.columns.iter().map(|(_, expr)| reassign_expr_columns(Arc::clone(expr), &of_batch));
        let columns = columns.collect::<Result<_>>()?;
        Ok(Self { filter, read, columns, prepared, bucket, state, rows: Vec::new(), bytes: 0 })
    }

    pub(super) fn filter(&self) -> Option<&Arc<dyn PhysicalExpr>> {
        self.filter.as_ref().map(Value::expr)
    }

    /// Adds the rows of a batch that the filter takes.
    pub(super) fn fold(&mut self, rows: &SheetRows) -> Result<()> {
        let batch = rows.batch();
        let taken = match &self.filter {
            None => None,
            Some(filter) => Some(match rows.rows_where(filter.cell()) {
                Ok(taken) => taken,
                // A part of it may fail for a row that another part decides.
                Err(_) => rows_where(&filter.expr().evaluate(batch)?, batch.num_rows())?,
            }),
        };
        let read = batch.project(&self.read)?;
        let read = match taken {
            Some(taken) if taken.is_empty() => return Ok(()),
            Some(taken) if taken.len() < batch.num_rows() => {
                take_record_batch(&read, &UInt32Array::from(taken))?
            }
            _ => read,
        };
        let state = self.state_of(&read)?;
        self.bytes += state.get_array_memory_size();
        self.rows.push(state);
        Ok(())
    }

    fn state_of(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        let count = rows.num_rows();
        let columns = self.columns.iter().map(|column| column.evaluate(rows)?.into_array(count));
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let prepared = RecordBatch::try_new_with_options(Arc::clone(&self.prepared), columns, &options)?;
        let bucket = self.bucket.evaluate(&prepared)?.into_array(count)?;
        let stored = prepared.columns().iter().map(plain).chain([Ok(bucket)]);
        Ok(RecordBatch::try_new(Arc::clone(&self.state), stored.collect::<Result<_>>()?)?)
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The state, in the order of the rows.
    pub(super) fn finish(self) -> Vec<RecordBatch> {
        self.rows
    }
}

/// A dictionary as texts, which hold no more than the texts of these rows; any other column as it is.
fn plain(column: &ArrayRef) -> Result<ArrayRef> {
    let Some(dictionary) = column.as_dictionary_opt::<Int32Type>() else { return Ok(Arc::clone(column)) };
    let texts = cast(column, &DataType::Utf8View)?;
    let is_part = dictionary.len() < dictionary.values().len();
    Ok(if is_part { Arc::new(texts.as_string_view().gc()) } else { texts })
}
