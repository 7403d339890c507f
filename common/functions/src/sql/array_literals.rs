//! Plans arrays of literals in SQL as literals. DataFusion itself plans them as calls of `make_array`.

use arrow::datatypes::DataType;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult};
use datafusion::logical_expr::{Expr, lit};

/// Plans `['a', 'b']` and `[1, 2]` as one literal: functions that need a known list get it at planning time. An empty array
/// is an array of texts. It must come before DataFusion's planners, which plan all other arrays.
#[derive(Debug, Clone, Copy, Default)]
pub struct ArrayLiterals;

impl ExprPlanner for ArrayLiterals {
    fn plan_array_literal(&self, elements: Vec<Expr>, _: &DFSchema) -> Result<PlannerResult<Vec<Expr>>> {
        let value = |element: &Expr| match element {
            Expr::Literal(value, _) => Some(value.clone()),
            _ => None,
        };
        let Some(values) = elements.iter().map(value).collect::<Option<Vec<_>>>() else {
            return Ok(PlannerResult::Original(elements));
        };
        let Some(item_type) = type_of_items(&values) else {
            return Ok(PlannerResult::Original(elements));
        };
        let values = values.iter().map(|value| value.cast_to(&item_type)).collect::<Result<Vec<_>>>()?;
        let list = ScalarValue::new_list_nullable(&values, &item_type);
        Ok(PlannerResult::Planned(lit(ScalarValue::List(list))))
    }
}

/// The type of the items of an array of texts or of whole numbers.
fn type_of_items(values: &[ScalarValue]) -> Option<DataType> {
    let are_all = |is: fn(&DataType) -> bool| values.iter().all(|value| is(&value.data_type()));
    if are_all(|item| matches!(item, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)) {
        return Some(DataType::Utf8);
    }
    are_all(DataType::is_integer).then_some(DataType::Int64)
}
