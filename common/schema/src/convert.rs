//! Converts stored values to a column's type, from any type that a file stores. Unreadable values become null and are counted.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, DictionaryArray, PrimitiveArray, StringArray, StringViewArray,
    TimestampMicrosecondArray,
};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Float64Type, Int32Type, Int64Type, TimeUnit};
use datafusion::common::Result;
use datafusion::error::DataFusionError;

use super::integers::to_integer;
use super::nanos::{is_nanos, to_micros};
use super::tables::ColumnKind;
use crate::types::canonical_type;
use hindcast_base::Error;
use hindcast_base::error::InputFault;
use hindcast_base::log_time::{DayMonth, NoTime, TimeForms};

/// The conversion of a stored type to a column's type.
pub enum Reading {
    /// It is the column's type.
    AsIs,
    /// A cast changes no value.
    Cast,
    /// Values are converted one by one.
    Convert,
    /// No value of the type can be one of the column.
    Impossible,
}

/// How a column of `kind` is read from values of the type `stored`.
pub fn reading_of(kind: ColumnKind, stored: &DataType) -> Reading {
    if *stored == canonical_type(kind) && kind != ColumnKind::Integer {
        return Reading::AsIs;
    }
    let stored = match stored {
        DataType::Dictionary(_, values) => values.as_ref(),
        other => other,
    };
    let is_text = matches!(stored, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    match kind {
        ColumnKind::Time => match stored {
            // A cast would round times before 1970 up.
            DataType::Timestamp(TimeUnit::Nanosecond, _) => Reading::Convert,
            DataType::Timestamp(_, _) | DataType::Date32 | DataType::Date64 => Reading::Cast,
            DataType::Null => Reading::Convert,
            _ if is_text || stored.is_numeric() => Reading::Convert,
            _ => Reading::Impossible,
        },
        ColumnKind::Text => Reading::Convert,
        ColumnKind::Integer => match stored {
            DataType::Null => Reading::Convert,
            DataType::Decimal128(_, _) | DataType::Decimal256(_, _) => Reading::Convert,
            other if other.is_numeric() || is_text => Reading::Convert,
            _ => Reading::Impossible,
        },
    }
}

/// What a column of `kind` has, in words.
pub fn wanted(kind: ColumnKind) -> &'static str {
    match kind {
        ColumnKind::Time => "a time",
        ColumnKind::Text => "text",
        ColumnKind::Integer => "a whole number",
    }
}

/// Options of casts in which a value that does not fit becomes null.
pub fn lossless_options() -> CastOptions<'static> {
    CastOptions { safe: true, ..CastOptions::default() }
}

/// The array as a column of `kind` is read, and the number of values that became null; `None` if its type can't be read.
///
/// # Errors
/// If the order of day and month of a date is not known, or Arrow fails.
pub fn read(kind: ColumnKind, stored: &ArrayRef, forms: &TimeForms) -> Result<Option<(ArrayRef, u64)>> {
    Ok(match reading_of(kind, stored.data_type()) {
        Reading::AsIs => Some((Arc::clone(stored), 0)),
        Reading::Cast => Some((cast_with_options(stored, &canonical_type(kind), &lossless_options())?, 0)),
        Reading::Convert => Some(convert(stored, kind, forms)?),
        Reading::Impossible => None,
    })
}

/// The array as `kind`, and the number of values that became null. `forms` says what times mean that do not say it themselves.
///
/// # Errors
/// [`Error::Input`] without file and column if the order of day and month of a date is not known.
pub fn convert(stored: &ArrayRef, kind: ColumnKind, forms: &TimeForms) -> Result<(ArrayRef, u64)> {
    let plain = match stored.data_type() {
        DataType::Dictionary(_, values) => cast_with_options(stored, values, &lossless_options())?,
        _ => Arc::clone(stored),
    };
    match kind {
        ColumnKind::Text => {
            let texts = to_text(&plain)?;
            // Bytes that are not UTF-8.
            let unreadable = texts.logical_null_count().saturating_sub(plain.logical_null_count());
            Ok((texts, unreadable as u64))
        }
        ColumnKind::Time if is_nanos(plain.data_type()) => Ok((to_micros(&plain)?, 0)),
        ColumnKind::Time => to_time(&plain, forms),
        ColumnKind::Integer => to_integer(&plain),
    }
}

/// Texts and numbers as times.
fn to_time(plain: &ArrayRef, forms: &TimeForms) -> Result<(ArrayRef, u64)> {
    let build = |values: Vec<Option<i64>>| -> ArrayRef {
        Arc::new(TimestampMicrosecondArray::from(values).with_timezone("UTC"))
    };
    if plain.data_type().is_integer() {
        let numbers = cast_with_options(plain, &DataType::Int64, &lossless_options())?;
        let numbers = numbers.as_primitive::<Int64Type>().iter();
        let times: Vec<Option<i64>> =
            numbers.map(|number| number.and_then(|number| forms.read_integer(number))).collect();
        let nulls = times.iter().filter(|time| time.is_none()).count();
        return Ok((build(times), nulls.saturating_sub(plain.logical_null_count()) as u64));
    }
    let texts = cast_with_options(&texts_of(plain)?, &DataType::Utf8View, &lossless_options())?;
    let mut undecided: Option<(String, DayMonth)> = None;
    let parse = |text: &str| match forms.read(text) {
        Ok(micros) => Some(micros),
        Err(NoTime::Unreadable) => None,
        Err(NoTime::Undecided(date)) => {
            undecided.get_or_insert_with(|| (text.to_owned(), date));
            None
        }
    };
    let read = parse_each(texts.as_string_view(), parse, build);
    match undecided {
        Some((text, date)) => Err(refused(&text, date)),
        None => Ok(read),
    }
}

/// The text of each value. That of a number has all its digits, by which its unit is found.
fn texts_of(plain: &ArrayRef) -> Result<ArrayRef> {
    if !plain.data_type().is_floating() {
        return Ok(cast_with_options(plain, &DataType::Utf8, &lossless_options())?);
    }
    let numbers = cast_with_options(plain, &DataType::Float64, &lossless_options())?;
    let numbers = numbers.as_primitive::<Float64Type>().iter();
    Ok(Arc::new(numbers.map(|number| number.map(|number| number.to_string())).collect::<StringArray>()))
}

/// The fault of a date that has two meanings. The caller knows the column and the file.
fn refused(text: &str, date: DayMonth) -> DataFusionError {
    let meaning = if date.is_open() { format!(" is {}", date.meanings()) } else { String::new() };
    let reason = format!(
        "the date {text:?}{meaning}: give dates = \"day-first\" or dates = \"month-first\" in the table's section of the \
         configuration"
    );
    Error::Input(InputFault { file: String::new(), row_group: None, column: None, reason }).into()
}

/// A dictionary with one value per row: repeated text comes from its file as a real dictionary.
fn to_text(plain: &ArrayRef) -> Result<ArrayRef> {
    let texts: ArrayRef = if plain.data_type().is_nested() {
        let rows = hindcast_base::json::json_values(plain)?;
        let texts = rows.into_iter().map(|value| (!value.is_null()).then(|| value.to_string()));
        Arc::new(texts.collect::<StringArray>())
    } else {
        cast_with_options(plain, &DataType::Utf8, &lossless_options())?
    };
    let keys: PrimitiveArray<Int32Type> =
        (0..texts.len()).map(|row| texts.is_valid(row).then_some(row as i32)).collect();
    Ok(Arc::new(DictionaryArray::try_new(keys, texts)?))
}

/// Parses each text. Empty text is null; other text that can't be parsed becomes null and is counted.
pub(crate) fn parse_each(
    texts: &StringViewArray,
    mut parse: impl FnMut(&str) -> Option<i64>,
    build: impl Fn(Vec<Option<i64>>) -> ArrayRef,
) -> (ArrayRef, u64) {
    let mut unreadable = 0;
    let values: Vec<Option<i64>> = texts
        .iter()
        .map(|text| {
            let text = text.filter(|text| !text.trim().is_empty())?;
            let parsed = parse(text);
            unreadable += u64::from(parsed.is_none());
            parsed
        })
        .collect();
    (build(values), unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{
        BinaryArray, Decimal128Array, Float64Array, Int32Array, Int64Array, StructArray, UInt64Array,
    };
    use arrow::datatypes::{Field, TimestampMicrosecondType};
    use hindcast_base::log_time::DateOrder;
    use hindcast_base::time::{format_micros, parse_time};

    fn converted(stored: ArrayRef, kind: ColumnKind) -> (ArrayRef, u64) {
        convert(&stored, kind, &TimeForms::default()).unwrap()
    }

    fn times(stored: ArrayRef) -> (Vec<Option<String>>, u64) {
        let (times, unreadable) = converted(stored, ColumnKind::Time);
        let times = times.as_primitive::<TimestampMicrosecondType>().iter();
        (times.map(|time| time.map(format_micros)).collect(), unreadable)
    }

    #[test]
    fn values_of_dictionaries_are_converted() {
        let ports: DictionaryArray<Int32Type> = vec!["80", "443", "80"].into_iter().collect();
        let (numbers, unreadable) = converted(Arc::new(ports), ColumnKind::Integer);
        assert_eq!(numbers.as_primitive::<Int64Type>().values(), &[80, 443, 80]);
        assert_eq!(unreadable, 0);
    }

    #[test]
    fn bytes_that_are_not_text_are_counted() {
        let bytes: ArrayRef = Arc::new(BinaryArray::from(vec![Some(&b"Allow"[..]), Some(b"Caf\xe9"), None]));
        let (texts, unreadable) = converted(bytes, ColumnKind::Text);
        assert_eq!((texts.logical_null_count(), unreadable), (2, 1));
    }

    #[test]
    fn nested_values_become_json_text() {
        let user: ArrayRef = Arc::new(StringArray::from(vec!["ada"]));
        let nested: ArrayRef =
            Arc::new(StructArray::from(vec![(Arc::new(Field::new("user", DataType::Utf8, true)), user)]));
        let (text, _) = converted(nested, ColumnKind::Text);
        let values = text.as_dictionary::<Int32Type>().values();
        assert_eq!(values.as_string::<i32>().value(0), r#"{"user":"ada"}"#);
    }

    #[test]
    fn types_that_can_not_be_converted_are_detected() {
        assert!(matches!(reading_of(ColumnKind::Time, &DataType::Boolean), Reading::Impossible));
        assert!(matches!(reading_of(ColumnKind::Time, &DataType::Int64), Reading::Convert));
        assert!(matches!(reading_of(ColumnKind::Integer, &DataType::Boolean), Reading::Impossible));
        assert!(matches!(reading_of(ColumnKind::Text, &DataType::Boolean), Reading::Convert));
    }

    #[test]
    fn numbers_are_times_in_the_unit_of_their_size() {
        let wanted = Some("2026-03-05T06:40:13Z".to_owned());
        let seconds = 1_772_692_813_i64;
        let stored = [seconds, seconds * 1_000, seconds * 1_000_000, seconds * 1_000_000_000];
        let (read, unreadable) = times(Arc::new(Int64Array::from(stored.map(Some).to_vec())));
        assert_eq!((read, unreadable), (vec![wanted.clone(); 4], 0));
        let some = Int32Array::from(vec![Some(seconds as i32), None, Some(0), Some(-5)]);
        assert_eq!(times(Arc::new(some)), (vec![wanted.clone(), None, None, None], 2));
        let unsigned = UInt64Array::from(vec![seconds as u64 * 1_000, u64::MAX]);
        assert_eq!(times(Arc::new(unsigned)), (vec![wanted, None], 1));
        let wanted = Some("2026-03-05T06:40:13.250Z".to_owned());
        let floats = Float64Array::from(vec![1_772_692_813.25, f64::NAN]);
        assert_eq!(times(Arc::new(floats)), (vec![wanted.clone(), None], 1));
        let decimals = Decimal128Array::from(vec![1_772_692_813_250]).with_precision_and_scale(16, 3);
        assert_eq!(times(Arc::new(decimals.unwrap())), (vec![wanted], 0));
    }

    #[test]
    fn dates_with_two_meanings_are_refused_unless_their_order_is_given() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["13/03/2026 10:00", "5/3/2026 10:00"]));
        let error = convert(&texts, ColumnKind::Time, &TimeForms::default()).unwrap_err().to_string();
        assert!(error.contains("13/03/2026") && error.contains("dates = \"day-first\""), "{error}");
        let day_first = TimeForms { dates: Some(DateOrder::DayFirst), ..TimeForms::default() };
        let (times, unreadable) = convert(&texts, ColumnKind::Time, &day_first).unwrap();
        let times = times.as_primitive::<TimestampMicrosecondType>();
        assert_eq!(times.value(1), parse_time("2026-03-05T10:00:00Z").unwrap());
        assert_eq!((times.null_count(), unreadable), (0, 0));
    }
}
