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
                let parsed = value.and_then(integer_of_text);
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

/// The Arrow type in which a column is written.
pub(super) fn stored_type(kind: ColumnKind) -> DataType {
    match kind {
        ColumnKind::Text => DataType::Utf8,
        ColumnKind::Time | ColumnKind::Integer => canonical_type(kind),
    }
}
