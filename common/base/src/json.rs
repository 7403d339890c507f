//! Converts nested Arrow values to JSON, with Arrow's writer.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{Field, Schema};
use arrow::json::WriterBuilder;
use arrow::json::writer::LineDelimited;
use datafusion::error::{DataFusionError, Result};
use serde_json::Value;

/// One JSON value per element.
///
/// # Errors
/// If Arrow can't write the type as JSON.
pub fn json_values(array: &ArrayRef) -> Result<Vec<Value>> {
    let schema = Schema::new(vec![Field::new("value", array.data_type().clone(), true)]);
    let batch = RecordBatch::try_new(Arc::new(schema), vec![Arc::clone(array)])?;
    let mut lines = Vec::new();
    let mut writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(&mut lines);
    writer.write(&batch)?;
    writer.finish()?;
    let rows = serde_json::Deserializer::from_slice(&lines).into_iter::<Value>();
    let take =
        |row: Result<Value, _>| row.map(|mut row| row.get_mut("value").map_or(Value::Null, Value::take));
    rows.map(take).collect::<Result<_, _>>().map_err(|error| DataFusionError::External(Box::new(error)))
}
