//! Arrow rows as JSON values, by Arrow's own writer; nulls stay, times are RFC 3339.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{Field, Schema};
use arrow::json::WriterBuilder;
use arrow::json::writer::LineDelimited;
use datafusion::error::{DataFusionError, Result};
use serde_json::Value;

/// One object a row.
///
/// # Errors
/// Where Arrow can't write a column's type as JSON.
pub fn json_rows(batch: &RecordBatch) -> Result<Vec<Value>> {
    let mut lines = Vec::new();
    let mut writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(&mut lines);
    writer.write(batch)?;
    writer.finish()?;
    serde_json::Deserializer::from_slice(&lines)
        .into_iter()
        .collect::<Result<_, _>>()
        .map_err(|error| DataFusionError::External(Box::new(error)))
}

/// One value an element.
///
/// # Errors
/// Where Arrow can't write the type as JSON.
pub fn json_values(array: &ArrayRef) -> Result<Vec<Value>> {
    let schema = Schema::new(vec![Field::new("value", array.data_type().clone(), true)]);
    let batch = RecordBatch::try_new(Arc::new(schema), vec![Arc::clone(array)])?;
    let take = |mut row: Value| row.get_mut("value").map_or(Value::Null, Value::take);
    Ok(json_rows(&batch)?.into_iter().map(take).collect())
}
