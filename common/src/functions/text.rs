//! How functions take a text argument: as texts, or as a dictionary whose values are looked at once.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{Array, ArrayData, ArrayRef, AsArray, BooleanArray, Int32Array, StringViewArray};
use arrow::buffer::BooleanBuffer;
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Int32Type};
use datafusion::common::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs};

/// The `index`-th argument as a text array of the batch's length.
pub(super) fn text_argument(args: &ScalarFunctionArgs, index: usize) -> Result<StringViewArray> {
    let array: ArrayRef = args.args[index].to_array(args.number_rows)?;
    as_texts(&array)
}

/// Any array as texts.
pub(crate) fn as_texts(array: &ArrayRef) -> Result<StringViewArray> {
    let array = match array.data_type() {
        DataType::Utf8View => Arc::clone(array),
        _ => cast(array, &DataType::Utf8View)?,
    };
    Ok(array.as_string_view().clone())
}

/// What was computed of the values of the dictionary met last: the batches of a row group share one.
#[derive(Debug)]
pub(super) struct OfDictionary<T>(Mutex<Option<(ArrayData, Arc<T>)>>);

impl<T> Default for OfDictionary<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T> OfDictionary<T> {
    /// `compute(values)`, or what it gave before where `values` are those of the last call.
    pub(super) fn get_or_compute(
        &self,
        values: &ArrayRef,
        compute: impl FnOnce(&ArrayRef) -> Result<T>,
    ) -> Result<Arc<T>> {
        // Readers wrap the same buffers anew for each batch, so the buffers are what tells.
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

/// What a test gave for each value of a dictionary.
#[derive(Debug)]
pub(super) struct Tested {
    values: BooleanArray,
    /// Where it is the same of all.
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

    /// The test of the rows with these keys.
    fn of(&self, keys: &Int32Array) -> Result<ColumnarValue> {
        if let (0, Some(tested)) = (keys.null_count(), self.of_all) {
            return Ok(ColumnarValue::Scalar(tested.into()));
        }
        if self.values.null_count() > 0 {
            return Ok(ColumnarValue::Array(take(&self.values, keys, None)?));
        }
        // Several times as fast as `take` of bits. What lies at a null's place is any number.
        let (values, bits) = (self.values.values(), keys.values());
        let tested = BooleanBuffer::collect_bool(keys.len(), |row| {
            let key = bits[row] as usize;
            key < values.len() && values.value(key)
        });
        Ok(ColumnarValue::Array(Arc::new(BooleanArray::new(tested, keys.nulls().cloned()))))
    }
}

/// `test` of every text of the first argument; of a dictionary, once a value.
pub(super) fn test_each(
    args: &ScalarFunctionArgs,
    of_dictionary: &OfDictionary<Tested>,
    test: impl Fn(&StringViewArray) -> BooleanArray,
) -> Result<ColumnarValue> {
    let array: ArrayRef = args.args[0].to_array(args.number_rows)?;
    match array.as_dictionary_opt::<Int32Type>() {
        Some(dictionary) => {
            let test = |values: &ArrayRef| Ok(Tested::new(test(&as_texts(values)?)));
            of_dictionary.get_or_compute(dictionary.values(), test)?.of(dictionary.keys())
        }
        None => Ok(ColumnarValue::Array(Arc::new(test(&as_texts(&array)?)))),
    }
}
