//! `floor_div`: whole steps of a length in a number, rounded down below zero too.

use std::sync::Arc;

use arrow::array::{Array, AsArray, Int64Array};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, lit,
};

/// `number / step` rounded down, for a positive `step`: the hour, day or second of a time, also before 1970.
/// SQL's division rounds towards zero, and would unite the last hour before 1970 with the first one after.
pub fn floor_div(number: Expr, step: i64) -> Expr {
    ScalarUDF::from(FloorDiv { signature: Signature::any(2, Volatility::Immutable) })
        .call(vec![number, lit(step)])
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct FloorDiv {
    signature: Signature,
}

impl ScalarUDFImpl for FloorDiv {
    fn name(&self) -> &str {
        "floor_div"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let ColumnarValue::Scalar(ScalarValue::Int64(Some(step @ 1..))) = args.args[1] else {
            return exec_err!("floor_div takes a step above 0");
        };
        let numbers = args.args[0].to_array(args.number_rows)?;
        Ok(ColumnarValue::Array(Arc::new(steps_of(numbers.as_primitive::<Int64Type>(), step))))
    }
}

/// The whole steps in each number. Times mostly ascend, so most are in the step of the one before and need no division.
fn steps_of(numbers: &Int64Array, step: i64) -> Int64Array {
    let (mut known, mut first, mut length) = (0, 0, 0);
    let steps = numbers.values().iter().map(|number| {
        if *number < first || number.wrapping_sub(first) as u64 >= length {
            known = number.div_euclid(step);
            // The lowest step begins before the least number: it is divided each time.
            (first, length) = match known.checked_mul(step) {
                Some(first) => (first, step as u64),
                None => (0, 0),
            };
        }
        known
    });
    Int64Array::new(steps.collect::<Vec<i64>>().into(), numbers.nulls().cloned())
}

#[cfg(test)]
mod tests {
    use arrow::array::ArrayRef;
    use arrow::record_batch::RecordBatch;
    use datafusion::logical_expr::ident;
    use datafusion::prelude::SessionContext;
    use proptest::prelude::*;

    use super::*;

    #[tokio::test]
    async fn steps_are_rounded_down_on_both_sides_of_zero() {
        let numbers = vec![Some(-61), Some(-60), Some(-1), Some(0), Some(59), Some(60), None];
        let numbers: ArrayRef = Arc::new(Int64Array::from(numbers));
        let batch = RecordBatch::try_from_iter_with_nullable([("n", numbers, true)]).unwrap();
        let rows = SessionContext::new().read_batch(batch).unwrap();
        let rows = rows.select(vec![floor_div(ident("n"), 60)]).unwrap().collect().await.unwrap();
        let steps: Vec<Option<i64>> = rows[0].column(0).as_primitive::<Int64Type>().iter().collect();
        assert_eq!(steps, [Some(-2), Some(-1), Some(-1), Some(0), Some(0), Some(1), None]);
    }

    proptest! {
        #[test]
        fn steps_are_those_of_a_division_in_any_order(
            numbers in prop::collection::vec(prop_oneof![any::<i64>(), -200i64..200, Just(i64::MIN), Just(i64::MAX)], 0..60),
            step in prop_oneof![1i64..100, Just(86_400_000_000), Just(i64::MAX)],
        ) {
            let expected: Vec<i64> = numbers.iter().map(|number| number.div_euclid(step)).collect();
            prop_assert_eq!(steps_of(&Int64Array::from(numbers), step).values().to_vec(), expected);
        }
    }
}
