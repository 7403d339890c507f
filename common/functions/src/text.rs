//! Text arguments of functions: as texts, or as a dictionary whose values are processed once.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{Array, ArrayData, ArrayRef, AsArray, StringViewArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::ScalarFunctionArgs;

/// The `index`-th argument as a text array of the batch's length.
pub(super) fn text_argument(args: &ScalarFunctionArgs, index: usize) -> Result<StringViewArray> {
    let array: ArrayRef = args.args[index].to_array(args.number_rows)?;
    as_texts(&array)
}

/// Any array as texts.
pub fn as_texts(array: &ArrayRef) -> Result<StringViewArray> {
    let array = match array.data_type() {
        DataType::Utf8View => Arc::clone(array),
        _ => cast(array, &DataType::Utf8View)?,
    };
    Ok(array.as_string_view().clone())
}

/// The result computed from the values of the last dictionary: the batches of a row group share one dictionary.
#[derive(Debug)]
pub(super) struct OfDictionary<T>(Mutex<Option<(ArrayData, Arc<T>)>>);

impl<T> Default for OfDictionary<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T> OfDictionary<T> {
    /// `compute(values)`, or its last result if `values` are those of the last call.
    pub(super) fn get_or_compute(
        &self,
        values: &ArrayRef,
        compute: impl FnOnce(&ArrayRef) -> Result<T>,
    ) -> Result<Arc<T>> {
        // Readers wrap the same buffers in a new array for each batch, so buffers are compared.
        let data = values.to_data();
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, computed)) = &*last
            && known.ptr_eq(&data)
        {
            return Ok(Arc::clone(computed));
        }
        let computed = Arc::new(compute(values)?);
        *last = Some((data, Arc::clone(&computed)));
        Ok(computed)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use arrow::array::{DictionaryArray, LargeStringArray, StringArray, make_array};
    use arrow::datatypes::Int32Type;

    use super::*;

    #[test]
    fn the_values_of_one_dictionary_are_processed_once() {
        let computations = Cell::new(0);
        let of_dictionary = OfDictionary::default();
        let length = |values: &ArrayRef| {
            let compute = |values: &ArrayRef| {
                computations.set(computations.get() + 1);
                Ok(values.len())
            };
            *of_dictionary.get_or_compute(values, compute).unwrap()
        };
        let first: ArrayRef = Arc::new(StringArray::from(vec!["a", "b"]));
        let same_buffers = make_array(first.to_data());
        let equal: ArrayRef = Arc::new(StringArray::from(vec!["a", "b"]));
        assert_eq!((length(&first), length(&same_buffers), computations.get()), (2, 2, 1));
        assert_eq!((length(&equal), computations.get()), (2, 2), "other buffers may have other values");
        assert_eq!((length(&first), computations.get()), (2, 3), "only the last dictionary is remembered");
    }

    #[test]
    fn a_failed_computation_is_not_remembered() {
        let of_dictionary = OfDictionary::<usize>::default();
        let values: ArrayRef = Arc::new(StringArray::from(vec!["a"]));
        let failed = of_dictionary.get_or_compute(&values, |_| datafusion::common::exec_err!("no"));
        assert!(failed.is_err());
        assert_eq!(*of_dictionary.get_or_compute(&values, |_| Ok(7)).unwrap(), 7);
    }

    #[test]
    fn every_type_of_text_is_read() {
        let texts = [Some("a"), None, Some("a")];
        let arrays: [ArrayRef; 4] = [
            Arc::new(StringArray::from(texts.to_vec())),
            Arc::new(LargeStringArray::from(texts.to_vec())),
            Arc::new(StringViewArray::from(texts.to_vec())),
            Arc::new(texts.into_iter().collect::<DictionaryArray<Int32Type>>()),
        ];
        for array in arrays {
            let read = as_texts(&array).unwrap();
            assert_eq!(read.iter().collect::<Vec<_>>(), texts, "{}", array.data_type());
        }
    }
}
