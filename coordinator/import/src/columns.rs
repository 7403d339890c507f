//! Columns that grow row by row, as Arrow builders.

use arrow::array::{ArrayBuilder, ArrayRef, Int64Builder, StringBuilder, TimestampMicrosecondBuilder};
use arrow::datatypes::DataType;
use hindcast_lake::{ColumnKind, canonical_type, integer_of_text};
use std::sync::Arc;

/// A column of a table.
pub(super) struct Column {
    /// Its name.
    pub(super) name: String,
    /// Type of its values.
    pub(super) kind: ColumnKind,
    /// Values of the rows added so far.
    pub(super) builder: Builder,
    /// Rank of the field that gives this row's value so far, and the field's index in the record.
    pub(super) value: Option<(usize, usize)>,
}

/// The values of a column.
pub(super) enum Builder {
    /// Text.
    Text(StringBuilder),
    /// Whole numbers.
    Integer(Int64Builder),
    /// UTC microseconds.
    Time(TimestampMicrosecondBuilder),
}

impl Builder {
    /// A builder that starts with `nulls` nulls.
    pub(super) fn new(kind: ColumnKind, nulls: usize) -> Self {
        let mut builder = match kind {
            ColumnKind::Text => Builder::Text(StringBuilder::new()),
            ColumnKind::Integer => Builder::Integer(Int64Builder::new()),
            ColumnKind::Time => Builder::Time(TimestampMicrosecondBuilder::new()),
        };
        match &mut builder {
            Builder::Text(builder) => (0..nulls).for_each(|_| builder.append_null()),
            Builder::Integer(builder) => builder.append_nulls(nulls),
            Builder::Time(builder) => builder.append_nulls(nulls),
        }
        debug_assert_eq!(builder.len(), nulls);
        builder
    }

    fn len(&self) -> usize {
        match self {
            Builder::Text(builder) => builder.len(),
            Builder::Integer(builder) => builder.len(),
            Builder::Time(builder) => builder.len(),
        }
    }

    /// Appends a value. If it is not of the column's type, appends null and returns false. `time_of` parses times.
    pub(super) fn append(&mut self, value: Option<&str>, time_of: impl FnOnce(&str) -> Option<i64>) -> bool {
        let is_blank = value.is_none_or(|text| text.trim().is_empty());
        match self {
            Builder::Text(builder) => {
                builder.append_option(value);
                true
            }
            Builder::Integer(builder) => {
                let parsed = value.and_then(|text| integer_of_text(text).or_else(|| integer_of_hex(text)));
                builder.append_option(parsed);
                parsed.is_some() || is_blank
            }
            Builder::Time(builder) => {
                let parsed = value.and_then(time_of);
                builder.append_option(parsed);
                parsed.is_some() || is_blank
            }
        }
    }

    /// The values, as an Arrow array.
    pub(super) fn finish(self) -> ArrayRef {
        match self {
            Builder::Text(mut builder) => Arc::new(builder.finish()),
            Builder::Integer(mut builder) => Arc::new(builder.finish()),
            Builder::Time(mut builder) => Arc::new(builder.finish().with_timezone("UTC")),
        }
    }
}

/// The number that a text such as `0x1f4` states, as Windows writes ids of processes and sessions.
fn integer_of_hex(text: &str) -> Option<i64> {
    let digits = text.trim().strip_prefix("0x")?;
    u64::from_str_radix(digits, 16).ok().map(u64::cast_signed)
}

/// The Arrow type in which a column is written.
pub(super) fn stored_type(kind: ColumnKind) -> DataType {
    match kind {
        ColumnKind::Text => DataType::Utf8,
        ColumnKind::Time | ColumnKind::Integer => canonical_type(kind),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use arrow::array::{Array, AsArray};
    use arrow::datatypes::{Int64Type, TimestampMicrosecondType};

    /// What appending each value says, and the column.
    fn column(kind: ColumnKind, nulls: usize, values: &[Option<&str>]) -> (Vec<bool>, ArrayRef) {
        let mut builder = Builder::new(kind, nulls);
        let time_of = |text: &str| text.strip_prefix("at ").and_then(|micros| micros.parse().ok());
        let are_read = values.iter().map(|value| builder.append(*value, time_of)).collect();
        (are_read, builder.finish())
    }

    #[test]
    fn integers_are_read_and_other_text_is_reported() {
        let values = [
            Some("42"),
            Some(" 7.0 "),
            Some("4.5"),
            Some("many"),
            Some(" "),
            None,
            Some("0x1F4"),
            Some("0x"),
        ];
        let (are_read, integers) = column(ColumnKind::Integer, 1, &values);
        assert_eq!(are_read, [true, true, false, false, true, true, true, false]);
        let integers = integers.as_primitive::<Int64Type>();
        let wanted = [None, Some(42), Some(7), None, None, None, None, Some(500), None];
        assert_eq!(integers.iter().collect::<Vec<_>>(), wanted);
    }

    #[test]
    fn times_are_utc_microseconds() {
        let (are_read, times) =
            column(ColumnKind::Time, 2, &[Some("at 1767600000000000"), Some("soon"), None]);
        assert_eq!(are_read, [true, false, true]);
        assert_eq!(times.data_type(), &stored_type(ColumnKind::Time));
        let times = times.as_primitive::<TimestampMicrosecondType>();
        let wanted = [None, None, Some(1_767_600_000_000_000), None, None];
        assert_eq!(times.iter().collect::<Vec<_>>(), wanted);
    }

    #[test]
    fn text_is_stored_as_it_is() {
        let (are_read, texts) = column(ColumnKind::Text, 1, &[Some(""), Some(" ä "), None]);
        assert_eq!(are_read, [true, true, true]);
        assert_eq!(texts.data_type(), &stored_type(ColumnKind::Text));
        assert_eq!(texts.as_string::<i32>().iter().collect::<Vec<_>>(), [None, Some(""), Some(" ä "), None]);
    }
}
