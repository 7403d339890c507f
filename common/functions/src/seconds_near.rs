//! `seconds_near`: how many seconds of a sorted set are near a second of another.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Array};
use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};

use super::{costly, lists_of_integers};

/// The number of the sorted, distinct whole `seconds` that are at most `within` seconds away from one of the sorted `others`; 0 if either
/// is null. `within` is a literal.
pub fn seconds_near(seconds: Expr, others: Expr, within: Expr) -> Expr {
    ScalarUDF::from(SecondsNear { signature: costly(3) }).call(vec![seconds, others, within])
}

fn near(seconds: &[i64], others: &[i64], within: i64) -> i64 {
    let (mut count, mut place) = (0, 0);
    for second in seconds {
        while others.get(place).is_some_and(|other| *other < second.saturating_sub(within)) {
            place += 1;
        }
        count += i64::from(others.get(place).is_some_and(|other| *other <= second.saturating_add(within)));
    }
    count
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct SecondsNear {
    signature: Signature,
}

impl ScalarUDFImpl for SecondsNear {
    fn name(&self) -> &str {
        "seconds_near"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let ColumnarValue::Scalar(ScalarValue::Int64(Some(within))) = &args.args[2] else {
            return exec_err!("seconds_near takes a literal whole number as its last argument, not a column");
        };
        let arrays = [args.args[0].to_array(args.number_rows)?, args.args[1].to_array(args.number_rows)?];
        let (lists, numbers) = lists_of_integers(&arrays[0], "seconds_near")?;
        let (other_lists, other_numbers) = lists_of_integers(&arrays[1], "seconds_near")?;
        let counts = (0..lists.len()).map(|row| {
            if lists.is_null(row) || other_lists.is_null(row) {
                return 0;
            }
            let (ends, other_ends) = (lists.value_offsets(), other_lists.value_offsets());
            let seconds = &numbers[ends[row] as usize..ends[row + 1] as usize];
            let others = &other_numbers[other_ends[row] as usize..other_ends[row + 1] as usize];
            near(seconds, others, *within)
        });
        let counts: ArrayRef = Arc::new(Int64Array::from_iter_values(counts));
        Ok(ColumnarValue::Array(counts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn both_sides_of_a_second_count() {
        assert_eq!(near(&[10, 20, 30], &[12, 35], 2), 1);
        assert_eq!(near(&[10, 20, 30], &[12, 18, 35], 5), 3);
        assert_eq!(near(&[10], &[], 5), 0);
        assert_eq!(near(&[i64::MIN, i64::MAX], &[i64::MAX], 5), 1);
    }

    proptest! {
        #[test]
        fn it_counts_as_a_search_of_each_second_does(
            seconds in prop::collection::btree_set(-100i64..100, 0..40),
            others in prop::collection::btree_set(-100i64..100, 0..40),
            within in 0i64..10,
        ) {
            let (seconds, others): (Vec<i64>, Vec<i64>) = (seconds.into_iter().collect(), others.into_iter().collect());
            let is_near = |second: &&i64| others.iter().any(|other| (*other - **second).abs() <= within);
            prop_assert_eq!(near(&seconds, &others, within), seconds.iter().filter(is_near).count() as i64);
        }
    }
}
