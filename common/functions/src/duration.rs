//! `duration_seconds`: whole seconds of a duration as firewalls and sensors write it.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Array};
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::text::text_argument;

/// The whole seconds of a duration in seconds (`3600.07`) or hours, minutes and seconds (`1:02:03`), rounded down; null for any other text.
pub fn duration_seconds(text: Expr) -> Expr {
    ScalarUDF::from(DurationSeconds { signature: Signature::any(1, Volatility::Immutable) }).call(vec![text])
}

fn seconds_of(text: &str) -> Option<i64> {
    let text = text.trim();
    let whole = |digits: &str| -> Option<i64> {
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| digits.parse().ok()).flatten()
    };
    if text.contains(':') {
        let parts: Vec<i64> = text.split(':').map(whole).collect::<Option<_>>()?;
        let [hours, minutes, seconds] = parts[..] else { return None };
        return hours.checked_mul(3600)?.checked_add(minutes.checked_mul(60)?)?.checked_add(seconds);
    }
    match text.split_once('.') {
        Some((seconds, fraction)) => whole(fraction).and_then(|_| whole(seconds)),
        None => whole(text),
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct DurationSeconds {
    signature: Signature,
}

impl ScalarUDFImpl for DurationSeconds {
    fn name(&self) -> &str {
        "duration_seconds"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let texts = text_argument(&args, 0)?;
        let seconds: Int64Array = (0..texts.len())
            .map(|row| texts.is_valid(row).then(|| seconds_of(texts.value(row))).flatten())
            .collect();
        let seconds: ArrayRef = Arc::new(seconds);
        Ok(ColumnarValue::Array(seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::seconds_of;

    #[test]
    fn durations_are_seconds_or_hours_minutes_and_seconds() {
        for (text, seconds) in [
            ("0", 0),
            ("3600.071407", 3600),
            (" 42 ", 42),
            ("1:02:03", 3723),
            ("123:00:00", 442_800),
            ("0.5", 0),
        ] {
            assert_eq!(seconds_of(text), Some(seconds), "{text}");
        }
        for text in
            ["", "-1", "1:02", "a", "1.x", "1e3", "99999999999999999999", "9223372036854775807:00:00", ":::"]
        {
            assert_eq!(seconds_of(text), None, "{text}");
        }
    }
}
