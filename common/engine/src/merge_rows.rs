//! Rows of several analyses in one stream: the columns of all, a first column with the analysis of the row, and a column with the
//! fault of a shard, in rows that belong to no analysis.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch, StringArray, new_null_array};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::common::{Result, internal_datafusion_err, internal_err};
use datafusion::prelude::SessionContext;

use super::stage::{MergeFault, MergeStage, json_error};
use hindcast_detections::analyses::{ANALYSIS_COLUMN, Available, FAULT_COLUMN, analysis};

/// The analysis of rows that report a fault.
const NO_ANALYSIS: &str = "";

/// The columns of the analyses of a merge stage.
#[derive(Debug)]
pub struct MergeRows {
    columns_of: Vec<(String, SchemaRef)>,
    schema: SchemaRef,
}

impl MergeRows {
    /// The columns each analysis's own plan has, over state without rows.
    ///
    /// # Errors
    /// Where the stage names an analysis or rollup there is none of, or two analyses differ in a column's type.
    pub fn of(stage: &MergeStage) -> Result<Self> {
        let available = Available {
            session: SessionContext::new(),
            config: &stage.config,
            columns: &stage.columns,
            has_state: &|id, scope| stage.states(scope).contains_key(id),
            has_side_table: &|name| stage.side_tables.contains_key(name),
            window: stage.window,
            investigated: stage.investigated,
        };
        let mut columns_of = Vec::new();
        let mut all: Vec<FieldRef> = vec![
            Arc::new(Field::new(ANALYSIS_COLUMN, DataType::Utf8, false)),
            Arc::new(Field::new(FAULT_COLUMN, DataType::Utf8, true)),
        ];
        for id in &stage.analyses {
            let columns = available.columns_of(analysis(&stage.config, id)?)?;
            for field in columns.fields() {
                match all.iter().find(|known| known.name() == field.name()) {
                    None => all.push(Arc::new(field.as_ref().clone().with_nullable(true))),
                    Some(known) if known.data_type() == field.data_type() => {}
                    Some(_) => {
                        return internal_err!(
                            "analyses that share state differ in the type of {}",
                            field.name()
                        );
                    }
                }
            }
            columns_of.push((id.clone(), columns));
        }
        Ok(Self { columns_of, schema: Arc::new(Schema::new(all)) })
    }

    /// The columns of all.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// Adds the columns of all analyses to rows of `analysis`.
    pub(super) fn widen(schema: &SchemaRef, analysis: &str, rows: &RecordBatch) -> Result<RecordBatch> {
        let count = rows.num_rows();
        let mut columns: Vec<ArrayRef> = vec![Arc::new(StringArray::from(vec![analysis; count]))];
        for field in schema.fields().iter().skip(1) {
            columns.push(match rows.column_by_name(field.name()) {
                Some(column) => Arc::clone(column),
                None => new_null_array(field.data_type(), count),
            });
        }
        Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
    }

    /// A row that reports the fault of a shard.
    pub(super) fn fault_row(schema: &SchemaRef, fault: &MergeFault) -> Result<RecordBatch> {
        let texts = StringArray::from(vec![serde_json::to_string(fault).map_err(json_error)?]);
        let rows = RecordBatch::try_from_iter([(FAULT_COLUMN, Arc::new(texts) as ArrayRef)])?;
        Self::widen(schema, NO_ANALYSIS, &rows)
    }

    /// The faults of shards. With any of them, the rows are not complete.
    ///
    /// # Errors
    /// If a batch does not belong to a merge stage.
    pub fn faults(batches: &[RecordBatch]) -> Result<Vec<MergeFault>> {
        let mut faults = Vec::new();
        for batch in batches {
            let texts = batch.column_by_name(FAULT_COLUMN).and_then(|column| column.as_string_opt::<i32>());
            let texts =
                texts.ok_or_else(|| internal_datafusion_err!("a batch does not belong to a merge stage"))?;
            for text in texts.iter().flatten() {
                faults.push(serde_json::from_str(text).map_err(json_error)?);
            }
        }
        Ok(faults)
    }

    /// The rows of each analysis among `batches`, with its own columns. An engine may have joined or split batches.
    ///
    /// # Errors
    /// If a batch does not belong to this stage.
    pub fn split(&self, batches: &[RecordBatch]) -> Result<Vec<(String, SchemaRef, Vec<RecordBatch>)>> {
        let mut results = Vec::new();
        for (analysis, columns) in &self.columns_of {
            let names: Vec<&str> = columns.fields().iter().map(|field| field.name().as_str()).collect();
            let indices: Vec<usize> =
                names.iter().map(|name| self.schema.index_of(name)).collect::<Result<_, _>>()?;
            let schema = Arc::new(self.schema.project(&indices)?);
            let mut own = Vec::new();
            for batch in batches {
                let owners = batch.column(0).as_string_opt::<i32>().ok_or_else(|| {
                    internal_datafusion_err!(
                        "a batch does not belong to a merge stage: it has no column {ANALYSIS_COLUMN}"
                    )
                })?;
                let is_own: BooleanArray =
                    owners.iter().map(|owner| Some(owner == Some(analysis.as_str()))).collect();
                match is_own.true_count() {
                    0 => {}
                    count if count == batch.num_rows() => own.push(batch.project(&indices)?),
                    _ => own.push(filter_record_batch(&batch.project(&indices)?, &is_own)?),
                }
            }
            results.push((analysis.clone(), schema, own));
        }
        Ok(results)
    }
}
