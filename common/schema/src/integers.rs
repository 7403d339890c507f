//! Reads whole numbers from any type in which a file stores them.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use arrow::compute::cast_with_options;
use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Float64Type, Int64Type};
use datafusion::common::Result;

use super::convert::{lossless_options, parse_each};

/// Whole numbers outside `0..=MAX_INTEGER` count as unreadable: no session sends a pebibyte, and sums can't overflow.
const MAX_INTEGER: i64 = 1 << 50;

/// The array as whole numbers, and the number of values that became null.
pub(crate) fn to_integer(plain: &ArrayRef) -> Result<(ArrayRef, u64)> {
    let numbers = match plain.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            let texts = cast_with_options(plain, &DataType::Utf8View, &lossless_options())?;
            return Ok(parse_each(texts.as_string_view(), integer_of_text, |values| {
                Arc::new(Int64Array::from(values))
            }));
        }
        DataType::Int64 => Arc::clone(plain),
        DataType::Float16 | DataType::Float32 | DataType::Float64 => whole(plain)?,
        DataType::Decimal128(_, scale) | DataType::Decimal256(_, scale) if *scale > 0 => whole(plain)?,
        // From 256 bits to 64 the cast would wrap.
        DataType::Decimal256(_, scale) => {
            let narrower = DataType::Decimal128(DECIMAL128_MAX_PRECISION, *scale);
            let narrower = cast_with_options(plain, &narrower, &lossless_options())?;
            cast_with_options(&narrower, &DataType::Int64, &lossless_options())?
        }
        _ => cast_with_options(plain, &DataType::Int64, &lossless_options())?,
    };
    // A column of type null has no null bitmap.
    let nulls_before = plain.logical_null_count();
    let numbers = numbers.as_primitive::<Int64Type>();
    let in_range = |value: i64| (0..=MAX_INTEGER).contains(&value);
    let out_of_range = numbers.iter().flatten().any(|value| !in_range(value));
    let readable: ArrayRef = if out_of_range {
        Arc::new(numbers.iter().map(|value| value.filter(|v| in_range(*v))).collect::<Int64Array>())
    } else {
        Arc::new(numbers.clone())
    };
    let unreadable = (readable.null_count() - nulls_before) as u64;
    Ok((readable, unreadable))
}

/// Floats and decimals as whole numbers; null for values with a fraction.
fn whole(plain: &ArrayRef) -> Result<ArrayRef> {
    let numbers = cast_with_options(plain, &DataType::Float64, &lossless_options())?;
    let numbers = numbers.as_primitive::<Float64Type>().iter();
    Ok(Arc::new(numbers.map(|number| number.and_then(whole_of)).collect::<Int64Array>()))
}

/// The number as an integer, if it is a whole number in range.
fn whole_of(number: f64) -> Option<i64> {
    (number.fract() == 0.0 && number.abs() <= MAX_INTEGER as f64).then_some(number as i64)
}

/// Parses a whole number such as `7` or `7.0`, in the range that Hindcast reads.
pub fn integer_of_text(text: &str) -> Option<i64> {
    let text = text.trim();
    let number = text.parse::<i64>().ok().or_else(|| whole_of(text.parse().ok()?))?;
    (0..=MAX_INTEGER).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Decimal128Array, Decimal256Array, Float64Array, NullArray, StringArray, UInt64Array};
    use arrow::datatypes::i256;

    fn integers(stored: ArrayRef) -> (Vec<Option<i64>>, u64) {
        let (array, unreadable) = to_integer(&stored).unwrap();
        (array.as_primitive::<Int64Type>().iter().collect(), unreadable)
    }

    #[test]
    fn whole_numbers_are_read_from_any_type() {
        let texts = Arc::new(StringArray::from(vec![
            Some("12"),
            Some(" 7.0 "),
            Some(""),
            Some("x"),
            None,
            Some("-3"),
        ]));
        assert_eq!(integers(texts), (vec![Some(12), Some(7), None, None, None, None], 2));
        let big = Arc::new(UInt64Array::from(vec![Some(5), Some(u64::MAX), None]));
        assert_eq!(integers(big), (vec![Some(5), None, None], 1));
        let decimals =
            Arc::new(Decimal128Array::from(vec![500, 700, 750]).with_precision_and_scale(10, 2).unwrap());
        assert_eq!(integers(decimals), (vec![Some(5), Some(7), None], 1));
        let wide = vec![i256::from_i128(6), i256::from_i128((1 << 64) + 5)];
        let wide = Arc::new(Decimal256Array::from(wide).with_precision_and_scale(60, 0).unwrap());
        assert_eq!(integers(wide), (vec![Some(6), None], 1));
        let floats = Arc::new(Float64Array::from(vec![3.0, 7.5, f64::NAN, 1e300]));
        assert_eq!(integers(floats), (vec![Some(3), None, None, None], 3));
        assert_eq!(integers(Arc::new(NullArray::new(2))), (vec![None, None], 0));
        let huge = Arc::new(Int64Array::from(vec![1, i64::MAX, -1]));
        assert_eq!(integers(huge), (vec![Some(1), None, None], 2));
    }
}
