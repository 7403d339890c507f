//! `beacon_gaps`: statistics of the gaps between a pair's session times.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Float64Builder, Int64Builder, StructArray};
use arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};

use super::{costly, lists_of_integers};

/// Gap statistics of sorted, distinct whole seconds, as a struct:
/// `avg_delta`, `std_delta` (seconds), `min_delta`, `max_delta` (whole seconds), `intervals`, `jitter`.
///
/// `std_delta` is the sample standard deviation and `jitter` is `std_delta / avg_delta`. `std_delta` is null below two
/// gaps, `jitter` below one. Sums are exact integers, so the result depends only on the set.
pub fn beacon_gaps(seconds: Expr) -> Expr {
    ScalarUDF::from(BeaconGaps { signature: costly(1) }).call(vec![seconds])
}

/// The statistics of one pair.
#[derive(Debug, PartialEq)]
struct Gaps {
    average: f64,
    deviation: Option<f64>,
    shortest: i64,
    longest: i64,
    count: i64,
}

impl Gaps {
    fn of(seconds: &[i64]) -> Option<Self> {
        let (first, last) = (seconds.first()?, seconds.last()?);
        let (mut shortest, mut longest, mut sum_of_squares) = (i64::MAX, 0, 0);
        for pair in seconds.windows(2) {
            let gap = pair[1] - pair[0];
            (shortest, longest) = (shortest.min(gap), longest.max(gap));
            sum_of_squares += i128::from(gap) * i128::from(gap);
        }
        let (count, sum) = (seconds.len() as i64 - 1, i128::from(last - first));
        if count == 0 {
            return None;
        }
        let n = i128::from(count);
        // Var = (n Σx² − (Σx)²) / (n (n − 1)): the numerator is exact in integers.
        let deviation = (count > 1).then(|| {
            let numerator = n * sum_of_squares - sum * sum;
            (numerator as f64 / (n * (n - 1)) as f64).sqrt()
        });
        Some(Self { average: sum as f64 / count as f64, deviation, shortest, longest, count })
    }
}

fn gap_fields() -> Fields {
    Fields::from(vec![
        Field::new("avg_delta", DataType::Float64, true),
        Field::new("std_delta", DataType::Float64, true),
        Field::new("min_delta", DataType::Int64, true),
        Field::new("max_delta", DataType::Int64, true),
        Field::new("intervals", DataType::Int64, false),
        Field::new("jitter", DataType::Float64, true),
    ])
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct BeaconGaps {
    signature: Signature,
}

impl ScalarUDFImpl for BeaconGaps {
    fn name(&self) -> &str {
        "beacon_gaps"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Struct(gap_fields()))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let array = args.args[0].to_array(args.number_rows)?;
        let (lists, seconds) = lists_of_integers(&array, "beacon_gaps")?;
        let (mut average, mut deviation, mut jitter) =
            (Float64Builder::new(), Float64Builder::new(), Float64Builder::new());
        let (mut shortest, mut longest, mut intervals) =
            (Int64Builder::new(), Int64Builder::new(), Int64Builder::new());
        for row in 0..lists.len() {
            let (start, end) = (lists.value_offsets()[row], lists.value_offsets()[row + 1]);
            let gaps = Gaps::of(&seconds[start as usize..end as usize]);
            average.append_option(gaps.as_ref().map(|g| g.average));
            deviation.append_option(gaps.as_ref().and_then(|g| g.deviation));
            shortest.append_option(gaps.as_ref().map(|g| g.shortest));
            longest.append_option(gaps.as_ref().map(|g| g.longest));
            intervals.append_value(gaps.as_ref().map_or(0, |g| g.count));
            jitter.append_option(gaps.as_ref().and_then(|g| Some(g.deviation? / g.average)));
        }
        let columns: Vec<ArrayRef> = vec![
            Arc::new(average.finish()),
            Arc::new(deviation.finish()),
            Arc::new(shortest.finish()),
            Arc::new(longest.finish()),
            Arc::new(intervals.finish()),
            Arc::new(jitter.finish()),
        ];
        Ok(ColumnarValue::Array(Arc::new(StructArray::new(gap_fields(), columns, None))))
    }
}

#[cfg(test)]
mod tests {
    use super::Gaps;

    #[test]
    fn statistics_of_a_plain_beacon() {
        let gaps = Gaps::of(&[0, 60, 120, 185, 240]).unwrap();
        assert_eq!((gaps.average, gaps.shortest, gaps.longest, gaps.count), (60.0, 55, 65, 4));
        // sample deviation of 60, 60, 65, 55
        assert!((gaps.deviation.unwrap() - (50.0f64 / 3.0).sqrt()).abs() < 1e-12);
    }

    #[test]
    fn one_session_has_no_gap() {
        assert_eq!(Gaps::of(&[7]), None);
        assert_eq!(Gaps::of(&[]), None);
        assert_eq!(Gaps::of(&[7, 9]).unwrap().deviation, None);
    }
}
