//! One row of a result table, read by column name.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType};
use serde_json::{Map, Value};

use crate::analyses::HIDDEN_PREFIX;
use hindcast_base::time::format_micros;

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

    /// The text in a column; `None` if it is null, absent or not a text.
    pub fn text(&self, column: &str) -> Option<&'a str> {
        let array = self.value(column)?;
        match array.data_type() {
            DataType::Utf8View => Some(array.as_string_view().value(self.index)),
            DataType::Utf8 => Some(array.as_string::<i32>().value(self.index)),
            _ => None,
        }
    }

    /// A whole number; `None` if it is null, absent or not a whole number.
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

    /// True or false; `None` if it is null, absent or neither.
    pub fn boolean(&self, column: &str) -> Option<bool> {
        let array = self.value(column)?;
        array.as_boolean_opt().map(|values| values.value(self.index))
    }

    /// The names of all columns, including hidden ones.
    pub fn columns(&self) -> impl Iterator<Item = &'a str> {
        self.batch.schema_ref().fields().iter().map(|field| field.name().as_str())
    }

    /// The names of the columns with times, including hidden ones.
    pub fn time_columns(&self) -> impl Iterator<Item = &'a str> {
        let fields = self.batch.schema_ref().fields().iter();
        fields.filter(|field| field.data_type().is_temporal()).map(|field| field.name().as_str())
    }

    /// Microseconds of a time column.
    pub fn micros(&self, column: &str) -> Option<i64> {
        let array = self.value(column)?;
        matches!(array.data_type(), DataType::Timestamp(TimeUnit::Microsecond, _))
            .then(|| array.as_primitive::<TimestampMicrosecondType>().value(self.index))
    }

    /// The row as a JSON object, without hidden columns; times are RFC 3339.
    pub fn to_json(&self) -> Value {
        let schema = self.batch.schema_ref();
        let shown = schema.fields().iter().filter(|field| !field.name().starts_with(HIDDEN_PREFIX));
        let entries = shown.map(|field| (field.name().clone(), self.json_of(field.name())));
        Value::Object(entries.collect::<Map<_, _>>())
    }

    /// The value of a column, hidden or not, as JSON; times are RFC 3339.
    pub fn json_of(&self, column: &str) -> Value {
        if let Some(text) = self.text(column) {
            Value::from(text)
        } else if let Some(is_true) = self.boolean(column) {
            Value::from(is_true)
        } else if let Some(micros) = self.micros(column) {
            Value::from(format_micros(micros))
        } else if let Some(whole) = self.integer(column) {
            Value::from(whole)
        } else {
            // JSON has no form for infinity and NaN.
            self.number(column).map_or(Value::Null, Value::from)
        }
    }

    fn value(&self, column: &str) -> Option<&'a ArrayRef> {
        self.batch.column_by_name(column).filter(|array| array.is_valid(self.index))
    }
}
