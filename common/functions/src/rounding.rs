//! Rounding to decimals, half away from zero, like spreadsheets and Spark's `round`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// A float rounded half away from zero to `digits` decimals of its shortest decimal form.
pub(crate) fn round_half_up(value: Expr, digits: u8) -> Expr {
    ScalarUDF::from(RoundHalfUp { signature: Signature::any(1, Volatility::Immutable), digits })
        .call(vec![value])
}

/// [`round_half_up`] of one number.
fn round_half_up_number(value: f64, digits: u8) -> f64 {
    let scale = 10f64.powi(i32::from(digits));
    let scaled = value * scale;
    let above = scaled - scaled.floor();
    // Far from a half, and small enough for a product with little error, all ways of rounding agree.
    if (above - 0.5).abs() > 1e-6 && scaled.abs() < 1e9 {
        scaled.round() / scale
    } else {
        round_text(value, digits)
    }
}

/// Rounds the shortest decimal text that reads back as `value`: 2.675 is 2.68, though the nearest double lies below.
fn round_text(value: f64, digits: u8) -> f64 {
    if !value.is_finite() {
        return value;
    }
    let text = format!("{}", value.abs());
    let Some((whole, decimals)) = text.split_once('.') else {
        return value;
    };
    let digits = usize::from(digits);
    if decimals.len() <= digits {
        return value;
    }
    let digits_text: String = format!("{whole}{}", &decimals[..digits]);
    let rounds_up = decimals.as_bytes()[digits] >= b'5';
    let Ok(scaled) = digits_text.parse::<u128>() else {
        return value;
    };
    let scaled = scaled + u128::from(rounds_up);
    let divisor = 10u128.pow(digits as u32);
    let rounded = format!("{}.{:0digits$}", scaled / divisor, scaled % divisor);
    rounded.parse::<f64>().unwrap_or(value).copysign(value)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct RoundHalfUp {
    signature: Signature,
    digits: u8,
}

impl ScalarUDFImpl for RoundHalfUp {
    fn name(&self) -> &str {
        "round_half_up"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let values: ArrayRef = cast(&args.args[0].to_array(args.number_rows)?, &DataType::Float64)?;
        let rounded: Float64Array = values
            .as_primitive::<Float64Type>()
            .iter()
            .map(|value| value.map(|number| round_half_up_number(number, self.digits)))
            .collect();
        debug_assert_eq!(rounded.len(), values.len());
        Ok(ColumnarValue::Array(Arc::new(rounded)))
    }
}

#[cfg(test)]
mod tests {
    use super::round_half_up_number;

    #[test]
    fn halves_go_away_from_zero_in_decimal() {
        for (value, rounded) in [
            (2.675, 2.68),
            (0.125, 0.13),
            (-0.125, -0.13),
            (1.0, 1.0),
            (0.994, 0.99),
            (9.999, 10.0),
            (1e21, 1e21),
        ] {
            assert_eq!(round_half_up_number(value, 2), rounded, "{value}");
        }
        assert_eq!(round_half_up_number(511.5, 0), 512.0);
        assert!(round_half_up_number(f64::NAN, 2).is_nan());
    }
}
