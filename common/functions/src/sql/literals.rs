//! Reads arguments that must be known before a query runs from its expressions. `None` if they are not known yet.

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::logical_expr::Expr;

/// The values of an array.
pub(super) fn elements(argument: &Expr) -> Result<Option<Vec<ScalarValue>>> {
    match argument {
        Expr::Literal(value, _) => elements_of(value).map(Some),
        Expr::ScalarFunction(call) if call.name() == "make_array" => {
            Ok(call.args.iter().map(|element| literal(element).cloned()).collect())
        }
        _ => Ok(None),
    }
}

/// The texts of an array of texts.
pub(super) fn texts(argument: &Expr) -> Result<Option<Vec<String>>> {
    let Some(values) = elements(argument)? else {
        return Ok(None);
    };
    let texts = values.iter().map(|value| match value.try_as_str() {
        Some(Some(text)) => Ok(text.to_owned()),
        _ => plan_err!("takes an array of texts, but {value} is not one"),
    });
    texts.collect::<Result<_>>().map(Some)
}

/// A whole number.
pub(super) fn integer(argument: &Expr) -> Result<Option<i64>> {
    let Some(value) = literal(argument) else {
        return Ok(None);
    };
    if value.data_type().is_integer()
        && let ScalarValue::Int64(Some(number)) = value.cast_to(&DataType::Int64)?
    {
        return Ok(Some(number));
    }
    plan_err!("takes a whole number, but {value} is not one")
}

/// A text.
pub(super) fn text(argument: &Expr) -> Result<Option<&str>> {
    let Some(value) = literal(argument) else {
        return Ok(None);
    };
    match value.try_as_str() {
        Some(Some(text)) => Ok(Some(text)),
        _ => plan_err!("takes a text, but {value} is not one"),
    }
}

fn literal(argument: &Expr) -> Option<&ScalarValue> {
    match argument {
        Expr::Literal(value, _) => Some(value),
        _ => None,
    }
}

fn elements_of(value: &ScalarValue) -> Result<Vec<ScalarValue>> {
    let items: ArrayRef = match value {
        ScalarValue::List(list) if list.is_valid(0) => list.value(0),
        ScalarValue::LargeList(list) if list.is_valid(0) => list.value(0),
        ScalarValue::FixedSizeList(list) if list.is_valid(0) => list.value(0),
        other => return plan_err!("takes an array, but {other} is not one"),
    };
    (0..items.len()).map(|row| ScalarValue::try_from_array(&items, row)).collect()
}
