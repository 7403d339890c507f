//! Compares whether a column reads as the same values from two types in which files store it.

use arrow::array::{Array, ArrayRef, AsArray, new_null_array};
use arrow::compute::cast_with_options;
use arrow::datatypes::DataType;
use datafusion::common::Result;

use super::convert::{lossless_options, read};
use super::tables::ColumnKind;
use hindcast_base::log_time::TimeForms;

/// Whether Hindcast reads the same values of a column of `kind` from both arrays, with the same number of unreadable ones.
pub fn reads_alike(kind: ColumnKind, left: &ArrayRef, right: &ArrayRef, forms: &TimeForms) -> bool {
    match (reading(kind, left, forms), reading(kind, right, forms)) {
        (Ok(Some((left, left_unreadable))), Ok(Some((right, right_unreadable)))) => {
            left_unreadable == right_unreadable && left.to_data() == right.to_data()
        }
        (Ok(None), Ok(None)) => true,
        _ => false,
    }
}

/// Whether a file without a column of `kind` reads like one that stores nulls of `data_type` in it.
pub fn reads_as_absent(kind: ColumnKind, data_type: &DataType) -> bool {
    matches!(reading(kind, &new_null_array(data_type, 1), &TimeForms::default()), Ok(Some((_, 0))))
}

/// The values as they are read, and the number of unreadable ones; `None` if the type itself can't be read.
fn reading(kind: ColumnKind, stored: &ArrayRef, forms: &TimeForms) -> Result<Option<(ArrayRef, u64)>> {
    let Some((read, unreadable)) = read(kind, stored, forms)? else { return Ok(None) };
    // Dictionaries are compared by their values.
    let plain = match read.as_any_dictionary_opt() {
        Some(dictionary) => cast_with_options(&read, dictionary.values().data_type(), &lossless_options())?,
        None => read,
    };
    Ok(Some((plain, unreadable)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{BooleanArray, Float64Array, Int64Array, NullArray, TimestampMillisecondArray};

    use super::*;

    fn reads_alike(kind: ColumnKind, left: &ArrayRef, right: &ArrayRef) -> bool {
        super::reads_alike(kind, left, right, &TimeForms::default())
    }

    #[test]
    fn a_number_reads_alike_as_a_number_and_differs_as_text() {
        let whole: ArrayRef = Arc::new(Int64Array::from(vec![Some(7), None]));
        let float: ArrayRef = Arc::new(Float64Array::from(vec![Some(7.0), None]));
        assert!(reads_alike(ColumnKind::Integer, &whole, &float));
        assert!(!reads_alike(ColumnKind::Text, &whole, &float));
        let fraction: ArrayRef = Arc::new(Float64Array::from(vec![Some(7.9), None]));
        assert!(!reads_alike(ColumnKind::Integer, &whole, &fraction));
    }

    #[test]
    fn times_read_alike_by_their_instants() {
        let berlin: ArrayRef =
            Arc::new(TimestampMillisecondArray::from(vec![1_000]).with_timezone("Europe/Berlin"));
        let naive: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![1_000]));
        assert!(reads_alike(ColumnKind::Time, &berlin, &naive));
        assert!(!reads_alike(ColumnKind::Text, &berlin, &naive));
    }

    #[test]
    fn a_missing_column_may_read_like_stored_nulls() {
        let unset: ArrayRef = Arc::new(NullArray::new(3));
        let switched: ArrayRef = Arc::new(BooleanArray::from(vec![None; 3]));
        assert!(!reads_alike(ColumnKind::Integer, &unset, &switched));
        assert!(reads_as_absent(ColumnKind::Text, &DataType::Boolean));
        assert!(!reads_as_absent(ColumnKind::Integer, &DataType::Boolean));
    }
}
