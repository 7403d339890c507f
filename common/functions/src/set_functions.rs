//! Functions of the packed sets of [`distinct_texts`](crate::distinct_texts::distinct_texts).

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, Float64Array, Int64Array};
use arrow::datatypes::DataType;
use datafusion::common::{Result, exec_datafusion_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::distinct_texts::{MAX_HASHES, members, size_of_set};

/// The number of texts in a set: exact below [`MAX_HASHES`], estimated from there on; null for null.
pub(crate) fn distinct_count(set: Expr) -> Expr {
    Form::Count.call(vec![set])
}

/// The part of the other set's texts that a set has too, 0 to 1; 0 if the other set is empty; null for null.
pub(crate) fn shared_part(set: Expr, other: Expr) -> Expr {
    Form::SharedPart.call(vec![set, other])
}

/// Sets that are not complete are compared up to the hash below which both are.
fn shared(set: &[u8], other: &[u8]) -> f64 {
    let limit = |set: &[u8]| {
        let all = members(set);
        if all.len() < MAX_HASHES { i64::MAX } else { all.last().unwrap_or(i64::MAX) }
    };
    let limit = limit(set).min(limit(other));
    let own: BTreeSet<i64> = members(set).collect();
    let (mut compared, mut common) = (0u32, 0u32);
    for hash in members(other).take_while(|hash| *hash <= limit) {
        compared += 1;
        common += u32::from(own.contains(&hash));
    }
    f64::from(common) / f64::from(compared.max(1))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Form {
    Count,
    SharedPart,
}

impl Form {
    fn call(self, sets: Vec<Expr>) -> Expr {
        let signature = Signature::any(sets.len(), Volatility::Immutable);
        ScalarUDF::from(SetFunction { signature, form: self }).call(sets)
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct SetFunction {
    signature: Signature,
    form: Form,
}

fn sets(array: &ArrayRef, function: &str) -> Result<BinaryArray> {
    let other = || exec_datafusion_err!("{function} takes sets of texts, not {}", array.data_type());
    array.as_binary_opt::<i32>().cloned().ok_or_else(other)
}

impl ScalarUDFImpl for SetFunction {
    fn name(&self) -> &str {
        match self.form {
            Form::Count => "distinct_count",
            Form::SharedPart => "shared_part",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(match self.form {
            Form::Count => DataType::Int64,
            Form::SharedPart => DataType::Float64,
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let argument = |place: usize| sets(&args.args[place].to_array(args.number_rows)?, self.name());
        let own = argument(0)?;
        let result: ArrayRef = match self.form {
            Form::Count => Arc::new(own.iter().map(|set| set.map(size_of_set)).collect::<Int64Array>()),
            Form::SharedPart => {
                let other = argument(1)?;
                let pairs = own.iter().zip(other.iter());
                Arc::new(pairs.map(|(own, other)| Some(shared(own?, other?))).collect::<Float64Array>())
            }
        };
        Ok(ColumnarValue::Array(result))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(hashes: impl Iterator<Item = i64>) -> Vec<u8> {
        hashes.flat_map(i64::to_be_bytes).collect()
    }

    #[test]
    fn the_shared_part_is_that_of_the_other_set() {
        let (few, many) = (packed([3, 5].into_iter()), packed([1, 3, 5, 9].into_iter()));
        assert_eq!([shared(&few, &many), shared(&many, &few), shared(&few, &[])], [0.5, 1.0, 0.0]);
    }

    #[test]
    fn an_incomplete_set_is_compared_as_far_as_it_goes() {
        let incomplete = packed(0..MAX_HASHES as i64);
        let other = packed([1, 2, 4_000_000, 5_000_000].into_iter());
        assert_eq!(shared(&incomplete, &other), 1.0);
        assert_eq!(shared(&other, &incomplete), 2.0 / MAX_HASHES as f64);
    }
}
