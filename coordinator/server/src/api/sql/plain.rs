//! Converts columns to types that every reader supports: no views, no dictionaries, all nullable.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;

/// The schema in which rows of `schema` are sent. All fields are nullable: the plan of a query and its rows may differ in
/// nullability, and readers refuse rows that differ from the announced schema.
pub(super) fn sent_schema(schema: &Schema) -> SchemaRef {
    let fields: Vec<Field> = schema
        .fields()
        .iter()
        .map(|field| Field::new(field.name(), sent_type(field.data_type()), true))
        .collect();
    Arc::new(Schema::new(fields))
}

fn sent_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        DataType::Dictionary(_, values) => sent_type(values),
        DataType::List(item) => {
            DataType::List(Arc::new(Field::new(item.name(), sent_type(item.data_type()), true)))
        }
        other => other.clone(),
    }
}

/// Converts `batch` to the schema in which it is sent.
///
/// # Errors
/// If a column can't be cast.
pub(super) fn sent(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let columns = batch.columns().iter().zip(schema.fields());
    let columns = columns.map(|(column, field)| cast(column, field.data_type()));
    let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns.collect::<Result<_, _>>()?, &rows)
}
