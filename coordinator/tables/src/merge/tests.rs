//! Tests that two types either have a common type that preserves all values, or none.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Date64Array, Decimal128Array, DictionaryArray,
    DurationMillisecondArray, DurationSecondArray, FixedSizeBinaryArray, Float32Array, Float64Array,
    Int8Array, Int16Array, Int32Array, Int64Array, LargeBinaryArray, LargeStringArray, ListArray, NullArray,
    RecordBatch, StringArray, StringViewArray, StructArray, Time32SecondArray, Time64NanosecondArray,
    TimestampMicrosecondArray, TimestampMillisecondArray, TimestampNanosecondArray, TimestampSecondArray,
    UInt8Array, UInt16Array, UInt32Array, UInt64Array,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Int8Type, Int32Type, Schema, TimeUnit};
use proptest::prelude::*;

use super::widen::{is_exact, widen, widen_batch};
use super::{common_type, unify_schemas};

/// An array of a type with a value per number, and a null.
macro_rules! array {
    ($numbers:expr, $array:ty, $value:expr) => {{
        let values = $numbers.iter().map(|number| Some($value(*number))).chain([None]);
        Arc::new(values.collect::<$array>()) as ArrayRef
    }};
}

/// Arrays of every type, made from `numbers`; most end with a null.
fn arrays(numbers: &[i64]) -> Vec<ArrayRef> {
    let nulls: ArrayRef = Arc::new(NullArray::new(numbers.len() + 1));
    [vec![nulls], whole_and_real(numbers), times(numbers), texts(numbers), nested(numbers)].concat()
}

fn whole_and_real(numbers: &[i64]) -> Vec<ArrayRef> {
    let decimal = |precision, scale| -> ArrayRef {
        let limit = 10i128.pow(u32::from(precision)) - 1;
        let clamped = |number: i64| i128::from(number).clamp(-limit, limit);
        let array: Decimal128Array =
            numbers.iter().map(|number| Some(clamped(*number))).chain([None]).collect();
        Arc::new(array.with_precision_and_scale(precision, scale).unwrap())
    };
    vec![
        array!(numbers, BooleanArray, |number| number > 0),
        array!(numbers, Int8Array, |number| number as i8),
        array!(numbers, Int16Array, |number| number as i16),
        array!(numbers, Int32Array, |number| number as i32),
        array!(numbers, Int64Array, |number| number),
        array!(numbers, UInt8Array, |number| number as u8),
        array!(numbers, UInt16Array, |number| number as u16),
        array!(numbers, UInt32Array, |number| number as u32),
        array!(numbers, UInt64Array, |number| number as u64),
        array!(numbers, Float32Array, |number| number as f32 / 8.0),
        array!(numbers, Float64Array, |number| number as f64 / 3.0),
        array!(numbers, Float64Array, |number| f64::from_bits(number as u64)),
        decimal(5, 2),
        decimal(20, 0),
        decimal(38, 10),
        decimal(38, -2),
    ]
}

fn times(numbers: &[i64]) -> Vec<ArrayRef> {
    vec![
        array!(numbers, Date32Array, |number| number as i32),
        array!(numbers, Date64Array, |number| number),
        array!(numbers, Time32SecondArray, |number: i64| number.rem_euclid(86_400) as i32),
        array!(numbers, Time64NanosecondArray, |number: i64| number.rem_euclid(86_400_000_000_000)),
        array!(numbers, TimestampSecondArray, |number| number),
        array!(numbers, TimestampMillisecondArray, |number| number),
        array!(numbers, TimestampMicrosecondArray, |number| number),
        array!(numbers, TimestampNanosecondArray, |number| number),
        Arc::new(TimestampMicrosecondArray::from(numbers.to_vec()).with_timezone("America/New_York")),
        Arc::new(TimestampMillisecondArray::from(numbers.to_vec()).with_timezone("+05:30")),
        array!(numbers, DurationSecondArray, |number| number),
        array!(numbers, DurationMillisecondArray, |number| number),
    ]
}

fn texts(numbers: &[i64]) -> Vec<ArrayRef> {
    let texts: Vec<String> = numbers.iter().map(i64::to_string).collect();
    let all = || texts.iter().map(|text| Some(text.as_str())).chain([None]);
    let bytes: Vec<Option<&[u8]>> = all().map(|text| text.map(str::as_bytes)).collect();
    let wide = texts.iter().map(|text| Some(format!("{text:>20}").into_bytes())).chain([None]);
    vec![
        Arc::new(all().collect::<StringArray>()),
        Arc::new(all().collect::<LargeStringArray>()),
        Arc::new(all().collect::<StringViewArray>()),
        Arc::new(all().collect::<DictionaryArray<Int32Type>>()),
        Arc::new(all().collect::<DictionaryArray<Int8Type>>()),
        Arc::new(BinaryArray::from(bytes.clone())),
        Arc::new(LargeBinaryArray::from(bytes)),
        Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(wide, 20).unwrap()),
    ]
}

fn nested(numbers: &[i64]) -> Vec<ArrayRef> {
    let long = array!(numbers, Int64Array, |number| number);
    let short = array!(numbers, Int8Array, |number| number as i8);
    let text = array!(numbers, StringArray, |number: i64| number.to_string());
    let of = |columns: Vec<(&str, ArrayRef)>| -> ArrayRef {
        let field = |(name, array): &(&str, ArrayRef)| Field::new(*name, array.data_type().clone(), true);
        let fields: Vec<Field> = columns.iter().map(field).collect();
        let arrays = columns.into_iter().map(|(_, array)| array).collect();
        Arc::new(StructArray::new(fields.into(), arrays, None))
    };
    let lists = |values: ArrayRef, name: &str| -> ArrayRef {
        let offsets = OffsetBuffer::from_lengths(std::iter::repeat_n(1, values.len()));
        let field = Arc::new(Field::new(name, values.data_type().clone(), true));
        Arc::new(ListArray::new(field, offsets, values, None))
    };
    vec![
        of(vec![("n", Arc::clone(&long)), ("s", Arc::clone(&text))]),
        of(vec![("n", Arc::clone(&short))]),
        lists(long, "item"),
        lists(array!(numbers, UInt8Array, |number| number as u8), "element"),
        lists(text, "item"),
        lists(of(vec![("n", short)]), "item"),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// A value can be converted back unchanged, or the check reports that it can't.
    #[test]
    fn widened_values_convert_back_or_are_refused(
        numbers in prop::collection::vec(any::<i64>(), 1..5),
        small in prop::collection::vec(-200i64..200, 1..5),
    ) {
        for numbers in [numbers, small] {
            let arrays = arrays(&numbers);
            for left in &arrays {
                for right in &arrays {
                    let common = common_type(left.data_type(), right.data_type());
                    let turned = common_type(right.data_type(), left.data_type());
                    prop_assert_eq!(common.is_some(), turned.is_some(), "{} and {}", left.data_type(), right.data_type());
                    let Some(common) = common else { continue };
                    let Ok(widened) = widen(left, &common) else { continue };
                    prop_assert_eq!(widened.data_type(), &common);
                    prop_assert_eq!(widened.len(), left.len());
                    if is_exact(left, &widened) {
                        let back = widen(&widened, left.data_type());
                        let is_same = left.data_type().is_null() || back.unwrap().to_data() == left.to_data();
                        prop_assert!(is_same, "{} to {common}", left.data_type());
                    }
                }
            }
        }
    }
}

/// These types hold all values: no check may refuse them.
#[test]
fn types_that_hold_all_values_take_them() {
    let extremes = [i64::MIN, -1, 0, 1, i64::MAX, 1 << 53, (1 << 53) + 1];
    for left in arrays(&extremes) {
        for right in arrays(&extremes) {
            let Some(common) = common_type(left.data_type(), right.data_type()) else { continue };
            let depends_on_values = matches!(
                common,
                DataType::Float64 | DataType::Timestamp(_, _) | DataType::Duration(_) | DataType::Date64
            );
            if !depends_on_values {
                let widened = widen(&left, &common).unwrap();
                assert!(is_exact(&left, &widened), "{} and {}", left.data_type(), right.data_type());
            }
        }
    }
}

fn common(left: DataType, right: DataType) -> Option<DataType> {
    common_type(&left, &right)
}

#[test]
fn the_widest_type_is_common() {
    use DataType::*;
    let zoned = |unit, zone: &str| Timestamp(unit, Some(zone.into()));
    let dictionary = |key: DataType, values: DataType| Dictionary(Box::new(key), Box::new(values));
    let pairs = [
        (Int8, Int64, Some(Int64)),
        (UInt8, Int8, Some(Int16)),
        (UInt32, Int8, Some(Int64)),
        (UInt64, Int64, Some(Decimal128(20, 0))),
        (Int32, Float32, Some(Float64)),
        (Float16, Float32, Some(Float32)),
        (Int64, Decimal128(10, 4), Some(Decimal128(23, 4))),
        (Decimal128(38, 0), Decimal128(38, 38), Some(Decimal256(76, 38))),
        (Decimal256(76, 0), Decimal256(76, 1), None),
        (Decimal128(10, 2), Float64, None),
        (
            Timestamp(TimeUnit::Second, None),
            Timestamp(TimeUnit::Nanosecond, None),
            Some(Timestamp(TimeUnit::Nanosecond, None)),
        ),
        (
            zoned(TimeUnit::Second, "Europe/Berlin"),
            zoned(TimeUnit::Millisecond, "Europe/Berlin"),
            Some(zoned(TimeUnit::Millisecond, "Europe/Berlin")),
        ),
        (
            zoned(TimeUnit::Second, "Europe/Berlin"),
            Timestamp(TimeUnit::Second, None),
            Some(zoned(TimeUnit::Second, "UTC")),
        ),
        (Date32, Timestamp(TimeUnit::Second, None), None),
        (Utf8, LargeUtf8, Some(LargeUtf8)),
        (dictionary(Int8, Utf8), Utf8, Some(Utf8)),
        (dictionary(Int8, Utf8), dictionary(Int8, Utf8), Some(dictionary(Int32, Utf8))),
        (dictionary(UInt64, Utf8), dictionary(Int32, Utf8), Some(Utf8)),
        (Utf8, Binary, None),
        (Utf8, Int64, None),
        (Boolean, Int8, None),
        (Null, Boolean, Some(Boolean)),
    ];
    for (left, right, expected) in pairs {
        assert_eq!(common(left.clone(), right.clone()), expected, "{left} and {right}");
        assert_eq!(common(right.clone(), left.clone()), expected, "{right} and {left}");
    }
}

#[test]
fn instants_do_not_change_and_overflow_is_refused() {
    let instant = 1_772_359_200_000;
    let zoned: ArrayRef =
        Arc::new(TimestampMillisecondArray::from(vec![instant]).with_timezone("America/New_York"));
    let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
    let common = common_type(zoned.data_type(), &micros).unwrap();
    let expected: ArrayRef =
        Arc::new(TimestampMicrosecondArray::from(vec![instant * 1_000]).with_timezone("UTC"));
    assert_eq!(&widen(&zoned, &common).unwrap(), &expected);
    let far: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![253_402_300_799_000_000]));
    assert!(widen(&far, &DataType::Timestamp(TimeUnit::Nanosecond, None)).is_err());
}

#[test]
fn long_integers_with_floats_are_checked_by_value() {
    let check = |number: i64| {
        let before: ArrayRef = Arc::new(Int64Array::from(vec![number]));
        is_exact(&before, &widen(&before, &DataType::Float64).unwrap())
    };
    assert!(check(1 << 53) && check(-7) && check(1 << 62));
    assert!(!check((1 << 53) + 1) && !check(i64::MAX));
}

#[test]
fn rows_of_two_schemas_are_combined() {
    let batch = |columns: Vec<(&str, ArrayRef)>| {
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)))
            .unwrap()
    };
    let one = batch(vec![("n", Arc::new(Int8Array::from(vec![1])))]);
    let other = batch(vec![
        ("s", Arc::new(StringArray::from(vec!["x"]))),
        ("n", Arc::new(Int64Array::from(vec![i64::MAX]))),
    ]);
    let schema: Arc<Schema> = Arc::new(unify_schemas(one.schema_ref(), other.schema_ref()).unwrap());
    let widened = [&one, &other].map(|batch| widen_batch(batch, &schema).unwrap());
    let all = arrow::compute::concat_batches(&schema, &widened).unwrap();
    let expected = batch(vec![
        ("n", Arc::new(Int64Array::from(vec![1, i64::MAX]))),
        ("s", Arc::new(StringArray::from(vec![None, Some("x")]))),
    ]);
    assert_eq!(all, expected);
}
