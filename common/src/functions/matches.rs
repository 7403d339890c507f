//! Pattern lists over lower-cased text, in time linear in the text (the `regex` crate).

use std::hash::{Hash, Hasher};

use arrow::array::BooleanArray;
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::text::{OfDictionary, Tested, test_each};
use crate::config::Patterns;

/// Whether the lower-cased text matches any of the patterns; null text is null.
pub fn matches(text: Expr, patterns: &Patterns) -> Expr {
    ScalarUDF::from(Matches {
        signature: Signature::any(1, Volatility::Immutable),
        patterns: patterns.clone(),
        of_dictionary: OfDictionary::default(),
    })
    .call(vec![text])
}

#[derive(Debug)]
struct Matches {
    signature: Signature,
    patterns: Patterns,
    of_dictionary: OfDictionary<Tested>,
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
        test_each(&args, &self.of_dictionary, |texts| {
            let mut scratch = String::new();
            texts
                .iter()
                .map(|text| text.map(|text| self.patterns.is_match(text, &mut scratch)))
                .collect::<BooleanArray>()
        })
    }
}
