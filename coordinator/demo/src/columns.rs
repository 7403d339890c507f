//! Builds the demo tables by column: column types, and a macro that defines a table's row and builders.

use arrow::array::{
    ArrayBuilder, ArrayRef, Int32Builder, Int64Builder, RecordBatch, StringBuilder,
    TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, SchemaRef, TimeUnit};
use arrow::error::ArrowError;

/// Rows per Arrow batch. Encoding goes column by column, so a long batch keeps one column's dictionary in the processor's
/// cache. Measured: a third faster than batches of 4,096, and larger batches are not faster.
pub const BATCH_ROWS: usize = 65_536;
/// Expected bytes per text.
const TEXT_BYTES: usize = 20;

/// The columns of one table while it is filled.
pub trait TableColumns {
    /// A row that owns its texts, such as a planted row.
    type Planted;

    fn schema() -> SchemaRef;
    fn empty() -> Self;
    fn push_planted(&mut self, row: &Self::Planted);
    /// Takes the rows added so far, and leaves the columns empty.
    fn take_batch(&mut self) -> Result<RecordBatch, ArrowError>;
}

/// The ordinary rows of one day of a table, generated on demand.
pub(crate) trait OrdinaryRows {
    type Columns: TableColumns;

    /// Adds the row with this number (0-based within the day).
    fn push(&mut self, number: u64, columns: &mut Self::Columns);
}

/// The time of a planted row, which decides the day it is written to.
pub(crate) trait Timed {
    /// Microseconds since 1970 UTC.
    fn time_us(&self) -> i64;
}

/// How a column type is stored in a row with texts `T` and in an Arrow array.
pub trait Kind {
    type Value<T>;
    type Builder;

    fn data_type() -> DataType;
    fn builder() -> Self::Builder;
    fn push<T: AsRef<str>>(builder: &mut Self::Builder, value: &Self::Value<T>);
    fn finish(builder: &mut Self::Builder) -> ArrayRef;
}

/// A time in microseconds since 1970 UTC.
pub struct Time;
/// A nullable text.
pub struct Text;
/// A nullable 32-bit number.
pub(crate) struct Port;
/// A nullable 64-bit number.
pub struct Count;

impl Kind for Time {
    type Value<T> = i64;
    type Builder = TimestampMicrosecondBuilder;

    fn data_type() -> DataType {
        DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
    }
    fn builder() -> Self::Builder {
        TimestampMicrosecondBuilder::with_capacity(BATCH_ROWS).with_data_type(Self::data_type())
    }
    #[inline]
    fn push<T: AsRef<str>>(builder: &mut Self::Builder, value: &i64) {
        builder.append_value(*value);
    }
    fn finish(builder: &mut Self::Builder) -> ArrayRef {
        finish_in_place(builder, Self::builder())
    }
}

impl Kind for Text {
    type Value<T> = Option<T>;
    type Builder = StringBuilder;

    fn data_type() -> DataType {
        DataType::Utf8
    }
    fn builder() -> Self::Builder {
        StringBuilder::with_capacity(BATCH_ROWS, BATCH_ROWS * TEXT_BYTES)
    }
    #[inline]
    fn push<T: AsRef<str>>(builder: &mut Self::Builder, value: &Option<T>) {
        match value {
            Some(text) => builder.append_value(text),
            None => builder.append_null(),
        }
    }
    fn finish(builder: &mut Self::Builder) -> ArrayRef {
        finish_in_place(builder, Self::builder())
    }
}

impl Kind for Port {
    type Value<T> = Option<i32>;
    type Builder = Int32Builder;

    fn data_type() -> DataType {
        DataType::Int32
    }
    fn builder() -> Self::Builder {
        Int32Builder::with_capacity(BATCH_ROWS)
    }
    #[inline]
    fn push<T: AsRef<str>>(builder: &mut Self::Builder, value: &Option<i32>) {
        builder.append_option(*value);
    }
    fn finish(builder: &mut Self::Builder) -> ArrayRef {
        finish_in_place(builder, Self::builder())
    }
}

impl Kind for Count {
    type Value<T> = Option<i64>;
    type Builder = Int64Builder;

    fn data_type() -> DataType {
        DataType::Int64
    }
    fn builder() -> Self::Builder {
        Int64Builder::with_capacity(BATCH_ROWS)
    }
    #[inline]
    fn push<T: AsRef<str>>(builder: &mut Self::Builder, value: &Option<i64>) {
        builder.append_option(*value);
    }
    fn finish(builder: &mut Self::Builder) -> ArrayRef {
        finish_in_place(builder, Self::builder())
    }
}

/// Finishes a builder, and replaces it by an empty one with full capacity: builders that grow again for each batch
/// would copy their arrays several times.
fn finish_in_place<B: ArrayBuilder>(builder: &mut B, empty: B) -> ArrayRef {
    ArrayBuilder::finish(&mut std::mem::replace(builder, empty))
}

/// Defines a table: `Row<T>` (a row with texts of type `T`) and `Columns` (its builders), in the given order. The first
/// column is the time and is named `time` in the row.
macro_rules! table {
    ($(#[$doc:meta])* $row:ident, $columns:ident {
        time: $time_name:literal, $($field:ident: $kind:ident = $name:literal),* $(,)?
    }) => {
        $(#[$doc])*
        #[derive(Clone, Default)]
        pub(crate) struct $row<T> {
            /// Microseconds since 1970 UTC.
            pub time: i64,
            $(pub(crate) $field: <$kind as $crate::columns::Kind>::Value<T>,)*
        }

        /// The table's columns while they are filled.
        pub(crate) struct $columns {
            time: <$crate::columns::Time as $crate::columns::Kind>::Builder,
            $($field: <$kind as $crate::columns::Kind>::Builder,)*
        }

        impl $columns {
            #[inline]
            pub fn push<T: AsRef<str>>(&mut self, row: &$row<T>) {
                use $crate::columns::{Kind, Time};
                Time::push::<T>(&mut self.time, &row.time);
                $($kind::push::<T>(&mut self.$field, &row.$field);)*
            }
        }

        impl $crate::columns::Timed for $row<String> {
            fn time_us(&self) -> i64 {
                self.time
            }
        }

        impl $crate::columns::TableColumns for $columns {
            type Planted = $row<String>;

            fn schema() -> arrow::datatypes::SchemaRef {
                use arrow::datatypes::{Field, Schema};
                use $crate::columns::{Kind, Time};
                std::sync::Arc::new(Schema::new(vec![
                    Field::new($time_name, Time::data_type(), true),
                    $(Field::new($name, $kind::data_type(), true),)*
                ]))
            }
            fn empty() -> Self {
                use $crate::columns::{Kind, Time};
                Self { time: Time::builder(), $($field: $kind::builder(),)* }
            }
            fn push_planted(&mut self, row: &$row<String>) {
                self.push(row);
            }
            fn take_batch(&mut self) -> Result<arrow::array::RecordBatch, arrow::error::ArrowError> {
                use $crate::columns::{Kind, Time};
                arrow::array::RecordBatch::try_new(
                    Self::schema(),
                    vec![Time::finish(&mut self.time), $($kind::finish(&mut self.$field),)*],
                )
            }
        }
    };
}
pub(crate) use table;
