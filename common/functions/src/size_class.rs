//! `size_class`: a size in sixteenths of an octave, as a whole number, whose sums are exact.

use std::sync::Arc;

use arrow::array::{Array, AsArray, Int64Array};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// Number of classes per octave (a doubling).
pub(crate) const CLASSES_PER_OCTAVE: i64 = 16;

/// The class of a number of bytes: 16 times its binary logarithm, interpolated linearly between powers of two (like the buckets of
/// HdrHistogram) and rounded down; 0 for 0 and for null. The deviation of classes says how much sizes differ in proportion: one large
/// answer does not hide a thousand similar ones, as it would in a sum of squares of bytes.
pub(crate) fn size_class(bytes: Expr) -> Expr {
    ScalarUDF::from(SizeClass { signature: Signature::any(1, Volatility::Immutable) }).call(vec![bytes])
}

fn class_of(bytes: i64) -> i64 {
    if bytes < 1 {
        return 0;
    }
    let octave = i64::from(bytes.ilog2());
    // The four bits below the leading one.
    let sixteenth = ((i128::from(bytes) << 4) >> octave) as i64 - CLASSES_PER_OCTAVE;
    octave * CLASSES_PER_OCTAVE + sixteenth
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct SizeClass {
    signature: Signature,
}

impl ScalarUDFImpl for SizeClass {
    fn name(&self) -> &str {
        "size_class"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let bytes = args.args[0].to_array(args.number_rows)?;
        let bytes = bytes.as_primitive::<Int64Type>();
        let classes: Int64Array = if bytes.null_count() == 0 {
            bytes.unary(class_of)
        } else {
            bytes.iter().map(|value| Some(value.map_or(0, class_of))).collect()
        };
        Ok(ColumnarValue::Array(Arc::new(classes)))
    }
}

#[cfg(test)]
mod tests {
    use super::class_of;

    #[test]
    fn a_doubling_is_sixteen_classes_whatever_the_size() {
        assert_eq!([-5, 0, 1, 2, 4, 1_024].map(class_of), [0, 0, 0, 16, 32, 160]);
        assert_eq!([3, 1_536, 1_535].map(class_of), [24, 168, 167]);
        assert_eq!(class_of(i64::MAX), 62 * 16 + 15);
        assert!((1..5_000).all(|bytes| class_of(bytes) <= class_of(bytes + 1)));
    }
}
