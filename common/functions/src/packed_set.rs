//! Sets of whole numbers in compact form: their first and last numbers are stored elsewhere, and the differences between the others
//! take as few bytes as each needs.

use std::sync::Arc;

use arrow::array::{Array, AsArray, BinaryBuilder};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{Result, exec_datafusion_err, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use prost::encoding::{decode_varint, encode_varint};

/// Lists of ascending 64-bit integers as bytes, without their first and last numbers, which are stored elsewhere. Each other number
/// is stored as its difference to the one before, as a varint of protobuf
/// (7 bits per byte, the lowest first; [encoding](https://protobuf.dev/programming-guides/encoding/#varints)). Null for a null list.
pub fn packed_set(list: Expr) -> Expr {
    ScalarUDF::from(PackedSet { signature: Signature::any(1, Volatility::Immutable) }).call(vec![list])
}

/// Gives each number of a packed set, ascending.
///
/// # Errors
/// If a number is truncated.
pub(super) fn unpack(first: i64, mut between: &[u8], last: i64, mut each: impl FnMut(i64)) -> Result<()> {
    let mut number = first;
    each(number);
    while !between.is_empty() {
        let step =
            decode_varint(&mut between).map_err(|error| exec_datafusion_err!("a packed set: {error}"))?;
        number = number.wrapping_add(step as i64);
        each(number);
    }
    if last != first {
        each(last);
    }
    Ok(())
}

/// Appends the packed form of ascending numbers.
pub fn pack(numbers: &[i64], bytes: &mut Vec<u8>) {
    let all_but_last = &numbers[..numbers.len().saturating_sub(1)];
    for pair in all_but_last.windows(2) {
        encode_varint(pair[1].wrapping_sub(pair[0]) as u64, bytes);
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct PackedSet {
    signature: Signature,
}

impl ScalarUDFImpl for PackedSet {
    fn name(&self) -> &str {
        "packed_set"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Binary)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let array = args.args[0].to_array(args.number_rows)?;
        let Some(lists) = array.as_list_opt::<i32>() else {
            return exec_err!("packed_set takes lists, not {}", array.data_type());
        };
        let numbers = lists.values().as_primitive::<Int64Type>().values();
        let mut packed = BinaryBuilder::with_capacity(args.number_rows, numbers.len());
        let mut bytes = Vec::new();
        for (row, ends) in lists.value_offsets().windows(2).enumerate() {
            bytes.clear();
            pack(&numbers[ends[0] as usize..ends[1] as usize], &mut bytes);
            packed.append_option(lists.is_valid(row).then_some(&bytes));
        }
        Ok(ColumnarValue::Array(Arc::new(packed.finish())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_packed_set_survives_the_round_trip(numbers in prop::collection::btree_set(any::<i64>(), 1..50)) {
            let numbers: Vec<i64> = numbers.into_iter().collect();
            let mut bytes = Vec::new();
            pack(&numbers, &mut bytes);
            let mut back = Vec::new();
            unpack(numbers[0], &bytes, numbers[numbers.len() - 1], |number| back.push(number)).unwrap();
            prop_assert_eq!(&back, &numbers);
        }
    }

    #[test]
    fn seconds_of_a_day_take_two_bytes_each_and_a_truncated_one_is_an_error() {
        let seconds: Vec<i64> = (0..100).map(|place| 1_772_409_590 + place * 600).collect();
        let mut bytes = Vec::new();
        pack(&seconds, &mut bytes);
        assert_eq!(bytes.len(), 98 * 2);
        let cut = unpack(seconds[0], &bytes[..bytes.len() - 1], seconds[99], |_| ()).unwrap_err();
        assert!(cut.to_string().contains("a packed set"), "{cut}");
    }
}
