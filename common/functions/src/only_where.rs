//! `only_where`: the value if a condition holds, else null.

use arrow::array::{Array, AsArray};
use arrow::compute::{not, nullif, prep_null_mask_filter};
use arrow::datatypes::DataType;
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// `value` if `condition` is true; null if it is false or null.
pub fn only_where(value: Expr, condition: Expr) -> Expr {
    ScalarUDF::from(OnlyWhere { signature: Signature::any(2, Volatility::Immutable) })
        .call(vec![value, condition])
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct OnlyWhere {
    signature: Signature,
}

impl ScalarUDFImpl for OnlyWhere {
    fn name(&self) -> &str {
        "only_where"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(types[0].clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let values = args.args[0].to_array(args.number_rows)?;
        let condition = args.args[1].to_array(args.number_rows)?;
        let Some(condition) = condition.as_boolean_opt() else {
            return exec_err!(
                "only_where takes a condition that is true or false, not {}",
                condition.data_type()
            );
        };
        let fails = if condition.null_count() == 0 {
            not(condition)?
        } else {
            not(&prep_null_mask_filter(condition))?
        };
        Ok(ColumnarValue::Array(nullif(&values, &fails)?))
    }
}
