//! Tests of texts as functions of queries; each value of a dictionary is tested once.

use std::fmt::Debug;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int32Array, StringViewArray};
use arrow::buffer::BooleanBuffer;
use arrow::compute::take;
use arrow::datatypes::{DataType, Int32Type};
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::text::{OfDictionary, as_texts};

/// A test of texts; equal tests have the same result for every text.
pub(super) trait TextTest: Debug + Eq + Hash + Send + Sync + 'static {
    /// The function's name.
    const NAME: &'static str;

    /// Its result for each text.
    fn of(&self, texts: &StringViewArray) -> BooleanArray;
}

/// The expression that tests a column of texts.
pub(super) fn tested(text: Expr, test: impl TextTest) -> Expr {
    let signature = Signature::any(1, Volatility::Immutable);
    ScalarUDF::from(TestOfTexts { signature, test, of_dictionary: OfDictionary::default() }).call(vec![text])
}

#[derive(Debug)]
struct TestOfTexts<T> {
    signature: Signature,
    test: T,
    of_dictionary: OfDictionary<Tested>,
}

impl<T: TextTest> PartialEq for TestOfTexts<T> {
    fn eq(&self, other: &Self) -> bool {
        self.test == other.test
    }
}

impl<T: TextTest> Eq for TestOfTexts<T> {}

impl<T: TextTest> Hash for TestOfTexts<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.test.hash(state);
    }
}

impl<T: TextTest> ScalarUDFImpl for TestOfTexts<T> {
    fn name(&self) -> &str {
        T::NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let array: ArrayRef = args.args[0].to_array(args.number_rows)?;
        match array.as_dictionary_opt::<Int32Type>() {
            Some(dictionary) => {
                let test = |values: &ArrayRef| Ok(Tested::new(self.test.of(&as_texts(values)?)));
                self.of_dictionary.get_or_compute(dictionary.values(), test)?.of(dictionary.keys())
            }
            None => Ok(ColumnarValue::Array(Arc::new(self.test.of(&as_texts(&array)?)))),
        }
    }
}

/// The result of a test for each value of a dictionary.
#[derive(Debug)]
struct Tested {
    values: BooleanArray,
    /// If it is the same for all.
    of_all: Option<bool>,
}

impl Tested {
    fn new(values: BooleanArray) -> Self {
        let of_all = match (values.null_count(), values.true_count()) {
            (0, 0) => Some(false),
            (0, count) if count == values.len() => Some(true),
            _ => None,
        };
        Self { values, of_all }
    }

    /// The results of the rows with these keys.
    fn of(&self, keys: &Int32Array) -> Result<ColumnarValue> {
        if let (0, Some(tested)) = (keys.null_count(), self.of_all) {
            return Ok(ColumnarValue::Scalar(tested.into()));
        }
        if self.values.null_count() > 0 {
            return Ok(ColumnarValue::Array(take(&self.values, keys, None)?));
        }
        // Several times as fast as `take` of bits. The key of a null may be any number.
        let (values, bits) = (self.values.values(), keys.values());
        let tested = BooleanBuffer::collect_bool(keys.len(), |row| {
            let key = bits[row] as usize;
            key < values.len() && values.value(key)
        });
        Ok(ColumnarValue::Array(Arc::new(BooleanArray::new(tested, keys.nulls().cloned()))))
    }
}
