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

    /// The row as a JSON object, with the hidden columns that are named, under their names without the prefix; times are RFC 3339.
    pub fn to_json(&self, hidden: &[String]) -> Value {
        let schema = self.batch.schema_ref();
        let shown = schema.fields().iter().filter(|field| !field.name().starts_with(HIDDEN_PREFIX));
        let entries = shown.map(|field| (field.name().clone(), self.json_of(field.name())));
        let named =
            hidden.iter().map(|name| (name.trim_start_matches(HIDDEN_PREFIX).to_owned(), self.json_of(name)));
        Value::Object(entries.chain(named).collect::<Map<_, _>>())
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        BooleanArray, Float64Array, Int64Array, StringArray, StringViewArray, TimestampMicrosecondArray,
    };
    use serde_json::json;

    use super::*;

    /// A row of values and a row of nulls; the first float is not a number.
    fn batch() -> RecordBatch {
        let columns: [(&str, ArrayRef); 7] = [
            ("view", Arc::new(StringViewArray::from(vec![Some("a"), None]))),
            ("text", Arc::new(StringArray::from(vec![Some("b"), None]))),
            ("whole", Arc::new(Int64Array::from(vec![Some(-7), None]))),
            ("float", Arc::new(Float64Array::from(vec![Some(f64::NAN), None]))),
            ("flag", Arc::new(BooleanArray::from(vec![Some(false), None]))),
            ("time", Arc::new(TimestampMicrosecondArray::from(vec![Some(1), None]).with_timezone("UTC"))),
            ("_hidden", Arc::new(Int64Array::from(vec![Some(1), Some(2)]))),
        ];
        RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true))).unwrap()
    }

    #[test]
    fn values_are_read_by_their_type() {
        let batch = batch();
        let row = Row::new(&batch, 0);
        assert_eq!((row.text("view"), row.text("text"), row.text("whole")), (Some("a"), Some("b"), None));
        assert_eq!((row.integer("whole"), row.integer("float"), row.integer("time")), (Some(-7), None, None));
        assert_eq!((row.number("whole"), row.number("flag")), (Some(-7.0), None));
        assert_eq!((row.boolean("flag"), row.boolean("text")), (Some(false), None));
        assert_eq!((row.micros("time"), row.micros("whole")), (Some(1), None));
        assert_eq!(row.time_columns().collect::<Vec<_>>(), ["time"]);
        assert_eq!(row.columns().last(), Some("_hidden"));
    }

    #[test]
    fn absent_and_null_values_are_none() {
        let batch = batch();
        for (index, column) in [(0, "other"), (1, "view"), (1, "whole"), (1, "flag"), (1, "time")] {
            let row = Row::new(&batch, index);
            assert_eq!((row.text(column), row.integer(column)), (None, None), "{column}");
            assert_eq!((row.boolean(column), row.micros(column)), (None, None), "{column}");
            assert_eq!(row.json_of(column), Value::Null, "{column}");
        }
    }

    #[test]
    fn json_has_no_hidden_columns_and_null_for_what_is_not_a_number() {
        let batch = batch();
        let expected = json!({
            "view": "a", "text": "b", "whole": -7, "float": null, "flag": false,
            "time": "1970-01-01T00:00:00.000001Z",
        });
        assert_eq!(Row::new(&batch, 0).to_json(&[]), expected);
        assert_eq!(Row::new(&batch, 0).to_json(&["_hidden".to_owned()])["hidden"], json!(1));
        assert_eq!(Row::new(&batch, 0).json_of("_hidden"), json!(1));
    }
}
