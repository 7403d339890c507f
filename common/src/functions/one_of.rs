//! Which texts are one of a few.

use std::hash::{Hash, Hasher};

use arrow::array::BooleanArray;
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::text::{OfDictionary, Tested, test_each};

/// Whether the text is one of `texts`; null text is null. As `IN` is, but of a dictionary it compares each value once.
pub fn is_one_of<T: AsRef<str>>(text: Expr, texts: &[T]) -> Expr {
    ScalarUDF::from(IsOneOf {
        signature: Signature::any(1, Volatility::Immutable),
        texts: texts.iter().map(|text| text.as_ref().to_owned()).collect(),
        of_dictionary: OfDictionary::default(),
    })
    .call(vec![text])
}

#[derive(Debug)]
struct IsOneOf {
    signature: Signature,
    texts: Vec<String>,
    of_dictionary: OfDictionary<Tested>,
}

impl PartialEq for IsOneOf {
    fn eq(&self, other: &Self) -> bool {
        self.texts == other.texts
    }
}

impl Eq for IsOneOf {}

impl Hash for IsOneOf {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.texts.hash(state);
    }
}

impl ScalarUDFImpl for IsOneOf {
    fn name(&self) -> &str {
        "is_one_of"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        test_each(&args, &self.of_dictionary, |texts| {
            let is_one = |text: &str| self.texts.iter().any(|one| one == text);
            texts.iter().map(|text| text.map(is_one)).collect::<BooleanArray>()
        })
    }
}
