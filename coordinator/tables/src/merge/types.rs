//! The type that holds every value of two types, which decides whether files of different schemas can be merged.
//!
//! Coercions of Arrow and DataFusion serve comparisons: they turn numbers into text, and long integers into floats.
//! Here a type is common only if values can be converted back unchanged. For a few pairs this depends on the values
//! (64-bit integers with floats, coarse times with fine ones); [`super::widen`] checks those value by value.

use std::sync::Arc;

use arrow::datatypes::{
    DECIMAL32_MAX_PRECISION, DECIMAL64_MAX_PRECISION, DECIMAL128_MAX_PRECISION, DECIMAL256_MAX_PRECISION,
    DataType, FieldRef, TimeUnit,
};

use super::fields::{common_field, common_fields};

/// The zone of timestamps whose files have different zones. All of them store UTC.
const UTC: &str = "UTC";

/// The type that holds the values of both, independent of their order; `None` if there is none.
pub(crate) fn common_type(left: &DataType, right: &DataType) -> Option<DataType> {
    use DataType::{
        Date32, Date64, Dictionary, Duration, FixedSizeList, LargeList, List, Map, Null, Struct, Timestamp,
    };
    if left == right {
        return Some(widen_dictionary_keys(left));
    }
    match (left, right) {
        (Null, other) | (other, Null) => Some(widen_dictionary_keys(other)),
        (Dictionary(left_key, left), Dictionary(right_key, right)) => {
            let key = common_number(&widen_key(left_key), &widen_key(right_key))?;
            // If the common key type can't be a dictionary key, such as a decimal, plain values replace the dictionary.
            let values = common_type(left, right)?;
            Some(if key.is_dictionary_key_type() {
                Dictionary(Box::new(key), Box::new(values))
            } else {
                values
            })
        }
        (Dictionary(_, values), other) | (other, Dictionary(_, values)) => common_type(values, other),
        (Timestamp(left_unit, left_zone), Timestamp(right_unit, right_zone)) => {
            let zone = if left_zone == right_zone { left_zone.clone() } else { Some(UTC.into()) };
            Some(Timestamp(finer(*left_unit, *right_unit), zone))
        }
        (Duration(left), Duration(right)) => Some(Duration(finer(*left, *right))),
        (Date32, Date64) | (Date64, Date32) => Some(Date64),
        (Struct(left), Struct(right)) => Some(Struct(common_fields(left, right).ok()?)),
        (List(left), List(right)) => Some(List(Arc::new(common_field(left, right)?))),
        (List(left) | LargeList(left), List(right) | LargeList(right)) => {
            Some(LargeList(Arc::new(common_field(left, right)?)))
        }
        (FixedSizeList(left, size), FixedSizeList(right, other_size)) if size == other_size => {
            Some(FixedSizeList(Arc::new(common_field(left, right)?), *size))
        }
        (Map(left, is_sorted), Map(right, is_other_sorted)) => {
            common_entries(left.data_type(), right.data_type()).map(|entries| {
                let entries = left.as_ref().clone().with_data_type(entries);
                Map(Arc::new(entries), *is_sorted && *is_other_sorted)
            })
        }
        _ => common_time(left, right)
            .or_else(|| common_bytes(left, right))
            .or_else(|| common_number(left, right)),
    }
}

/// The type with dictionary keys that are wide enough for the values of many files, which each have their own dictionary.
pub(crate) fn widen_dictionary_keys(data_type: &DataType) -> DataType {
    let field = |field: &FieldRef| {
        let data_type = widen_dictionary_keys(field.data_type());
        Arc::new(field.as_ref().clone().with_data_type(data_type))
    };
    match data_type {
        DataType::Dictionary(key, values) => {
            DataType::Dictionary(Box::new(widen_key(key)), Box::new(widen_dictionary_keys(values)))
        }
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(field).collect()),
        DataType::List(values) => DataType::List(field(values)),
        DataType::LargeList(values) => DataType::LargeList(field(values)),
        other => other.clone(),
    }
}

fn widen_key(key: &DataType) -> DataType {
    match key {
        DataType::Int8 | DataType::Int16 | DataType::UInt8 | DataType::UInt16 => DataType::Int32,
        other => other.clone(),
    }
}

fn finer(left: TimeUnit, right: TimeUnit) -> TimeUnit {
    // Units are ordered from seconds to nanoseconds.
    left.max(right)
}

/// The common type of times of day.
fn common_time(left: &DataType, right: &DataType) -> Option<DataType> {
    let unit_of = |data_type: &DataType| match data_type {
        DataType::Time32(unit) | DataType::Time64(unit) => Some(*unit),
        _ => None,
    };
    let unit = finer(unit_of(left)?, unit_of(right)?);
    Some(match unit {
        TimeUnit::Second | TimeUnit::Millisecond => DataType::Time32(unit),
        TimeUnit::Microsecond | TimeUnit::Nanosecond => DataType::Time64(unit),
    })
}

/// The common type of text with text and bytes with bytes, in any layout.
fn common_bytes(left: &DataType, right: &DataType) -> Option<DataType> {
    use DataType::{Binary, BinaryView, FixedSizeBinary, LargeBinary, LargeUtf8, Utf8, Utf8View};
    match (left, right) {
        (LargeUtf8, Utf8 | Utf8View) | (Utf8 | Utf8View, LargeUtf8) => Some(LargeUtf8),
        (Utf8 | Utf8View, Utf8 | Utf8View) => Some(Utf8),
        (LargeBinary, Binary | BinaryView | FixedSizeBinary(_))
        | (Binary | BinaryView | FixedSizeBinary(_), LargeBinary) => Some(LargeBinary),
        (Binary | BinaryView | FixedSizeBinary(_), Binary | BinaryView | FixedSizeBinary(_)) => Some(Binary),
        _ => None,
    }
}

/// Digits before and after the decimal point, and the least width, of an integer or decimal.
struct Digits {
    whole: i16,
    scale: i16,
    width: u16,
}

fn digits_of(data_type: &DataType) -> Option<Digits> {
    let decimal = |precision: u8, scale: i8, width| {
        Some(Digits { whole: i16::from(precision) - i16::from(scale), scale: i16::from(scale), width })
    };
    match data_type {
        DataType::Int8 | DataType::UInt8 => decimal(3, 0, 0),
        DataType::Int16 | DataType::UInt16 => decimal(5, 0, 0),
        DataType::Int32 | DataType::UInt32 => decimal(10, 0, 0),
        DataType::Int64 => decimal(19, 0, 0),
        DataType::UInt64 => decimal(20, 0, 0),
        DataType::Decimal32(precision, scale) => decimal(*precision, *scale, 32),
        DataType::Decimal64(precision, scale) => decimal(*precision, *scale, 64),
        DataType::Decimal128(precision, scale) => decimal(*precision, *scale, 128),
        DataType::Decimal256(precision, scale) => decimal(*precision, *scale, 256),
        _ => None,
    }
}

fn common_number(left: &DataType, right: &DataType) -> Option<DataType> {
    if left == right {
        return Some(left.clone());
    }
    let float_bits = |data_type: &DataType| match data_type {
        DataType::Float16 => Some(16),
        DataType::Float32 => Some(32),
        DataType::Float64 => Some(64),
        _ => None,
    };
    match (float_bits(left), float_bits(right)) {
        (Some(left), Some(right)) => {
            Some(if left.max(right) == 32 { DataType::Float32 } else { DataType::Float64 })
        }
        (Some(_), None) => right.is_integer().then_some(DataType::Float64),
        (None, Some(_)) => left.is_integer().then_some(DataType::Float64),
        (None, None) => common_integer(left, right).or_else(|| common_decimal(left, right)),
    }
}

/// The smallest integer type that holds both, if there is one.
fn common_integer(left: &DataType, right: &DataType) -> Option<DataType> {
    let bits = |data_type: &DataType| {
        let bits = data_type.is_integer().then(|| data_type.primitive_width()).flatten()? * 8;
        Some((bits, data_type.is_signed_integer()))
    };
    let ((left_bits, left_signed), (right_bits, right_signed)) = (bits(left)?, bits(right)?);
    // One bit more is a sign: the next width holds it.
    let signed_bits = |bits, is_signed: bool| if is_signed { bits } else { bits * 2 };
    let is_signed = left_signed || right_signed;
    let needed = match is_signed {
        true => signed_bits(left_bits, left_signed).max(signed_bits(right_bits, right_signed)),
        false => left_bits.max(right_bits),
    };
    match (needed, is_signed) {
        (16, true) => Some(DataType::Int16),
        (32, true) => Some(DataType::Int32),
        (64, true) => Some(DataType::Int64),
        (16, false) => Some(DataType::UInt16),
        (32, false) => Some(DataType::UInt32),
        (64, false) => Some(DataType::UInt64),
        _ => None,
    }
}

/// The smallest decimal type that holds both, if there is one.
fn common_decimal(left: &DataType, right: &DataType) -> Option<DataType> {
    let (left, right) = (digits_of(left)?, digits_of(right)?);
    let scale = left.scale.max(right.scale);
    let precision = u8::try_from(left.whole.max(right.whole) + scale).ok()?;
    let (scale, width) = (i8::try_from(scale).ok()?, left.width.max(right.width));
    let fits = |most: u8, of_width: u16| precision <= most && width <= of_width;
    if fits(DECIMAL32_MAX_PRECISION, 32) {
        Some(DataType::Decimal32(precision, scale))
    } else if fits(DECIMAL64_MAX_PRECISION, 64) {
        Some(DataType::Decimal64(precision, scale))
    } else if fits(DECIMAL128_MAX_PRECISION, 128) {
        Some(DataType::Decimal128(precision, scale))
    } else if fits(DECIMAL256_MAX_PRECISION, 256) {
        Some(DataType::Decimal256(precision, scale))
    } else {
        None
    }
}

/// The common entries of two maps. Writers name keys and values differently.
fn common_entries(left: &DataType, right: &DataType) -> Option<DataType> {
    let (DataType::Struct(left), DataType::Struct(right)) = (left, right) else { return None };
    let ([left_key, left_value], [right_key, right_value]) = (left.as_ref(), right.as_ref()) else {
        return None;
    };
    let entries = [common_field(left_key, right_key)?, common_field(left_value, right_value)?];
    Some(DataType::Struct(entries.into_iter().collect()))
}
