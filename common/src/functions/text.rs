//! How functions take their text argument, whichever string type it arrives as.

use arrow::array::{ArrayRef, AsArray, StringViewArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::ScalarFunctionArgs;

/// The `index`-th argument as a text array of the batch's length.
pub(super) fn text_argument(args: &ScalarFunctionArgs, index: usize) -> Result<StringViewArray> {
    let array: ArrayRef = args.args[index].to_array(args.number_rows)?;
    let array = match array.data_type() {
        DataType::Utf8View => array,
        _ => cast(&array, &DataType::Utf8View)?,
    };
    Ok(array.as_string_view().clone())
}
