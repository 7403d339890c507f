//! Arrays of literals in SQL, which DataFusion leaves to its nested functions.

use arrow::datatypes::DataType;
use datafusion::common::{DFSchema, Result, ScalarValue, plan_err};
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult};
use datafusion::logical_expr::{Expr, lit};

/// Plans `['a', 'b']` and `[1, 2]` as one literal. An empty array is one of texts.
#[derive(Debug, Clone, Copy, Default)]
pub struct ArrayLiterals;

impl ExprPlanner for ArrayLiterals {
    fn plan_array_literal(&self, elements: Vec<Expr>, _: &DFSchema) -> Result<PlannerResult<Vec<Expr>>> {
        let mut values = Vec::with_capacity(elements.len());
        for element in elements {
            match element {
                Expr::Literal(value, _) => values.push(value),
                other => return plan_err!("an array holds literals only, and {other} is none"),
            }
        }
        let item_type = type_of_items(&values)?;
        let values = values.iter().map(|value| value.cast_to(&item_type)).collect::<Result<Vec<_>>>()?;
        let list = ScalarValue::new_list_nullable(&values, &item_type);
        Ok(PlannerResult::Planned(lit(ScalarValue::List(list))))
    }
}

fn type_of_items(values: &[ScalarValue]) -> Result<DataType> {
    let types: Vec<DataType> = values.iter().map(ScalarValue::data_type).collect();
    let is_text = |item: &DataType| matches!(item, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    if types.iter().all(is_text) {
        return Ok(DataType::Utf8);
    }
    if types.iter().all(DataType::is_integer) {
        return Ok(DataType::Int64);
    }
    if let Some(other) = types.iter().find(|item| **item != types[0]) {
        return plan_err!("an array holds values of one type, not {} and {other}", types[0]);
    }
    Ok(types[0].clone())
}
