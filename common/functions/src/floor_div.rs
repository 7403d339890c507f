//! `floor_div`: whole steps of a length in a number, rounded down below zero too.

use std::sync::Arc;

use arrow::array::{AsArray, Int64Array};
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
        let steps: Int64Array = numbers.as_primitive::<Int64Type>().unary(|number| number.div_euclid(step));
        Ok(ColumnarValue::Array(Arc::new(steps)))
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::ArrayRef;
    use arrow::record_batch::RecordBatch;
    use datafusion::logical_expr::ident;
    use datafusion::prelude::SessionContext;

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
}
