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
