//! Two small numbers in one: grouping by one number costs less than grouping by two.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, UInt32Array, UInt64Array};
use arrow::datatypes::{DataType, UInt32Type, UInt64Type};
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// Two 32-bit numbers, each of which may be null, as one number that is never null. Numbers are below 2³² - 1.
pub fn paired(first: Expr, second: Expr) -> Expr {
    Form::Pair.call(vec![first, second])
}

/// The first number of a pair.
pub fn first_of(pair: Expr) -> Expr {
    Form::First.call(vec![pair])
}

/// The second number of a pair.
pub fn second_of(pair: Expr) -> Expr {
    Form::Second.call(vec![pair])
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Form {
    Pair,
    First,
    Second,
}

impl Form {
    fn call(self, arguments: Vec<Expr>) -> Expr {
        let signature = Signature::any(arguments.len(), Volatility::Immutable);
        ScalarUDF::from(Paired { signature, form: self }).call(arguments)
    }
}

/// Numbers plus one, so that 0 stands for null.
fn halves(numbers: &UInt32Array) -> Vec<u64> {
    if numbers.null_count() == 0 {
        return numbers.values().iter().map(|number| u64::from(*number) + 1).collect();
    }
    numbers.iter().map(|number| number.map_or(0, |number| u64::from(number) + 1)).collect()
}

fn pairs_of(first: &UInt32Array, second: &UInt32Array) -> UInt64Array {
    let halves = halves(first).into_iter().zip(halves(second));
    UInt64Array::from_iter_values(halves.map(|(first, second)| first << 32 | second))
}

fn half_of(pairs: &UInt64Array, shift: u32) -> UInt32Array {
    let half = |pair: &u64| ((pair >> shift) as u32).checked_sub(1);
    pairs.values().iter().map(half).collect()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Paired {
    signature: Signature,
    form: Form,
}

impl ScalarUDFImpl for Paired {
    fn name(&self) -> &str {
        match self.form {
            Form::Pair => "paired",
            Form::First => "first_of",
            Form::Second => "second_of",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(if self.form == Form::Pair { DataType::UInt64 } else { DataType::UInt32 })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let array = args.args[0].to_array(args.number_rows)?;
        let converted: ArrayRef = match self.form {
            Form::Pair => {
                let second = args.args[1].to_array(args.number_rows)?;
                Arc::new(pairs_of(array.as_primitive::<UInt32Type>(), second.as_primitive::<UInt32Type>()))
            }
            Form::First => Arc::new(half_of(array.as_primitive::<UInt64Type>(), 32)),
            Form::Second => Arc::new(half_of(array.as_primitive::<UInt64Type>(), 0)),
        };
        Ok(ColumnarValue::Array(converted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_numbers_survive_the_round_trip_and_null_stays_null() {
        let first = UInt32Array::from(vec![Some(0), Some(0), None, None, Some(u32::MAX - 1)]);
        let second = UInt32Array::from(vec![Some(0), None, Some(0), None, Some(7)]);
        let pairs = pairs_of(&first, &second);
        assert_eq!((half_of(&pairs, 32), half_of(&pairs, 0)), (first, second));
        let mut distinct = pairs.values().to_vec();
        distinct.dedup();
        assert_eq!(distinct.len(), 5);
    }
}
