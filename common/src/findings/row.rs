//! One row of a result table, read by column name.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType};
use serde_json::Value;

use crate::Result;
use crate::analyses::HIDDEN_PREFIX;

/// A row of a batch.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    batch: &'a RecordBatch,
    index: usize,
}

impl<'a> Row<'a> {
    /// The `index`-th row of `batch`.
    pub fn new(batch: &'a RecordBatch, index: usize) -> Self {
        Self { batch, index }
    }

    /// Text of a text column; `None` where it is null, absent or no text.
    pub fn text(&self, column: &str) -> Option<String> {
        let array = self.value(column)?;
        let text = match array.data_type() {
            DataType::Utf8View => array.as_string_view().value(self.index),
            DataType::Utf8 => array.as_string::<i32>().value(self.index),
            _ => return None,
        };
        Some(text.to_owned())
    }

    /// A whole number; `None` where it is null, absent or no whole number.
    pub fn integer(&self, column: &str) -> Option<i64> {
        let array = self.value(column)?;
        (*array.data_type() == DataType::Int64).then(|| array.as_primitive::<Int64Type>().value(self.index))
    }

    /// A number of any type.
    pub fn number(&self, column: &str) -> Option<f64> {
        let array = self.value(column)?;
        match array.data_type() {
            DataType::Float64 => Some(array.as_primitive::<Float64Type>().value(self.index)),
            DataType::Int64 => Some(array.as_primitive::<Int64Type>().value(self.index) as f64),
            _ => None,
        }
    }

    /// Microseconds of a time column.
    pub fn micros(&self, column: &str) -> Option<i64> {
        let array = self.value(column)?;
        matches!(array.data_type(), DataType::Timestamp(TimeUnit::Microsecond, _))
            .then(|| array.as_primitive::<TimestampMicrosecondType>().value(self.index))
    }

    /// The row as a JSON object, without hidden columns.
    ///
    /// # Errors
    /// [`crate::Error::Engine`] where a value can't be written as JSON.
    pub fn to_json(&self) -> Result<Value> {
        let shown: Vec<usize> = (0..self.batch.num_columns())
            .filter(|column| !self.batch.schema().field(*column).name().starts_with(HIDDEN_PREFIX))
            .collect();
        let row = self.batch.slice(self.index, 1).project(&shown).map_err(datafusion::error::DataFusionError::from)?;
        Ok(super::json_rows(&row)?.pop().unwrap_or(Value::Null))
    }

    fn value(&self, column: &str) -> Option<&'a ArrayRef> {
        self.batch.column_by_name(column).filter(|array| array.is_valid(self.index))
    }
}
