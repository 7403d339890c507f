//! Pattern lists over lower-cased text, in time linear in the text (the `regex` crate).

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, BooleanArray};
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::text::text_argument;
use crate::config::Patterns;

/// Whether the lower-cased text matches any of the patterns; null text is null.
pub fn matches(text: Expr, patterns: &Patterns) -> Expr {
    ScalarUDF::from(Matches {
        signature: Signature::any(1, Volatility::Immutable),
        patterns: patterns.clone(),
    })
    .call(vec![text])
}

#[derive(Debug)]
struct Matches {
    signature: Signature,
    patterns: Patterns,
}

impl PartialEq for Matches {
    fn eq(&self, other: &Self) -> bool {
        self.patterns.source() == other.patterns.source()
    }
}

impl Eq for Matches {}

impl Hash for Matches {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.patterns.source().hash(state);
    }
}

impl ScalarUDFImpl for Matches {
    fn name(&self) -> &str {
        "matches"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let texts = text_argument(&args, 0)?;
        let mut scratch = String::new();
        let matched: BooleanArray = (0..texts.len())
            .map(|row| {
                (!texts.is_null(row)).then(|| self.patterns.is_match(texts.value(row), &mut scratch))
            })
            .collect();
        Ok(ColumnarValue::Array(Arc::new(matched)))
    }
}
