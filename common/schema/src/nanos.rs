//! Converts times in nanoseconds to microseconds and rounds down: Arrow's cast rounds times before 1970 up.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, TimestampMicrosecondArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, TimeUnit};
use datafusion::common::Result;

/// Nanoseconds in a microsecond.
const NANOS_PER_MICRO: i64 = 1_000;

/// Whether a type is a time in nanoseconds.
pub fn is_nanos(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Timestamp(TimeUnit::Nanosecond, _))
}

/// Times in nanoseconds, of any zone, as microseconds in UTC.
pub(crate) fn to_micros(nanos: &ArrayRef) -> Result<ArrayRef> {
    let instants = cast(nanos, &DataType::Int64)?;
    let micros: TimestampMicrosecondArray =
        instants.as_primitive::<Int64Type>().unary(|nanos| nanos.div_euclid(NANOS_PER_MICRO));
    Ok(Arc::new(micros.with_timezone("UTC")))
}

#[cfg(test)]
mod tests {
    use arrow::array::TimestampNanosecondArray;
    use arrow::datatypes::TimestampMicrosecondType;

    use super::*;

    #[test]
    fn times_before_1970_are_rounded_down_too() {
        let nanos = TimestampNanosecondArray::from(vec![Some(-1), Some(-1_000), Some(1_999), None]);
        let nanos: ArrayRef = Arc::new(nanos.with_timezone("Europe/Berlin"));
        let micros = to_micros(&nanos).unwrap();
        let micros: Vec<Option<i64>> = micros.as_primitive::<TimestampMicrosecondType>().iter().collect();
        assert_eq!(micros, [Some(-1), Some(-1), Some(1), None]);
    }
}
