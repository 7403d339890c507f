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

#[cfg(test)]
mod tests {
    use super::*;

    fn tested(values: Vec<Option<bool>>, keys: Vec<Option<i32>>) -> ColumnarValue {
        Tested::new(BooleanArray::from(values)).of(&Int32Array::from(keys)).unwrap()
    }

    fn rows(values: Vec<Option<bool>>, keys: Vec<Option<i32>>) -> Vec<Option<bool>> {
        let count = keys.len();
        tested(values, keys).to_array(count).unwrap().as_boolean().iter().collect()
    }

    #[test]
    fn rows_have_the_results_of_their_keys() {
        let (yes, no) = (Some(true), Some(false));
        assert_eq!(rows(vec![yes, no], vec![Some(1), Some(0), Some(0)]), [no, yes, yes]);
        assert_eq!(rows(vec![yes, no], vec![None, Some(0)]), [None, yes], "a null text is null");
        assert_eq!(rows(vec![yes, None], vec![Some(1), Some(0), None]), [None, yes, None]);
        assert_eq!(rows(vec![yes], vec![Some(0), None]), [yes, None]);
        assert!(rows(vec![no, no], vec![]).is_empty());
    }

    #[test]
    fn one_result_for_all_values_is_one_scalar() {
        for value in [true, false] {
            let one = tested(vec![Some(value); 3], vec![Some(2), Some(0)]);
            let ColumnarValue::Scalar(scalar) = one else { panic!("an array for {value}") };
            assert_eq!(scalar, value.into());
        }
        assert!(matches!(tested(vec![Some(true); 2], vec![Some(0), None]), ColumnarValue::Array(_)));
        assert!(matches!(tested(vec![Some(true), None], vec![Some(0)]), ColumnarValue::Array(_)));
    }
}
