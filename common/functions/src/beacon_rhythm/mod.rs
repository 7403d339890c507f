//! `beacon_rhythm`: the interval of a pair's sessions, and how well they keep it despite jitter and lost beats.

mod chance;
mod gaps;
mod rhythm;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Float64Builder, Int64Builder, StructArray};
use arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};

use super::{costly, integers, lists_of_integers};
use rhythm::Rhythm;

/// The rhythm of the sorted, distinct whole seconds in which a pair had `sessions` sessions, as a struct: `interval_s` and
/// `second_interval_s` (seconds, one decimal; the latter is null if one interval explains the gaps), `beats`, `missed_beats`,
/// `timing_score` and `coverage_score` (0 to 1, four decimals). All fields are null if there are fewer than five seconds, or if
/// the timing is far below `least_timing`, which saves the computation. At 0 every pair of five seconds has a rhythm.
///
/// The result depends only on the set and the number of sessions: gaps are counted, and sums run in ascending order of gaps.
///
/// The share of gaps near the dominant interval is Flare's beacon measure (Austin Taylor, 2016), and dispersion over the middle
/// as the score is RITA's (Active Countermeasures). Lost beats as whole multiples of the interval, and a candidate that must beat
/// chance, are from BAYWATCH (Hu et al., DSN 2016): it permutes the series, while this function sums over memoryless arrivals.
/// Coverage is RITA's duration score, in slots as wide as the interval needs.
///
/// `least_timing` is a literal.
pub fn beacon_rhythm(seconds: Expr, sessions: Expr, least_timing: Expr) -> Expr {
    ScalarUDF::from(BeaconRhythm { signature: costly(3) }).call(vec![seconds, sessions, least_timing])
}

fn rhythm_fields() -> Fields {
    Fields::from(vec![
        Field::new("interval_s", DataType::Float64, true),
        Field::new("second_interval_s", DataType::Float64, true),
        Field::new("beats", DataType::Int64, true),
        Field::new("missed_beats", DataType::Int64, true),
        Field::new("timing_score", DataType::Float64, true),
        Field::new("coverage_score", DataType::Float64, true),
    ])
}

fn rounded(value: f64, scale: f64) -> f64 {
    (value * scale).round() / scale
}

fn least_timing(argument: &ColumnarValue) -> Result<f64> {
    if let ColumnarValue::Scalar(value) = argument
        && let ScalarValue::Float64(Some(least_timing)) = value.cast_to(&DataType::Float64)?
    {
        return Ok(least_timing);
    }
    exec_err!("beacon_rhythm takes its least timing as a literal number, not a column")
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct BeaconRhythm {
    signature: Signature,
}

impl ScalarUDFImpl for BeaconRhythm {
    fn name(&self) -> &str {
        "beacon_rhythm"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Struct(rhythm_fields()))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let lists = args.args[0].to_array(args.number_rows)?;
        let (lists, seconds) = lists_of_integers(&lists, self.name())?;
        let sessions = args.args[1].to_array(args.number_rows)?;
        let sessions = integers(&sessions, self.name())?;
        let least_timing = least_timing(&args.args[2])?;
        let mut floats: [Float64Builder; 4] = std::array::from_fn(|_| Float64Builder::new());
        let (mut beats, mut missed) = (Int64Builder::new(), Int64Builder::new());
        for row in 0..lists.len() {
            let (start, end) = (lists.value_offsets()[row], lists.value_offsets()[row + 1]);
            let of_pair = &seconds[start as usize..end as usize];
            let rhythm = Rhythm::of(of_pair, sessions.value(row), least_timing);
            let rhythm = rhythm.as_ref();
            floats[0].append_option(rhythm.map(|r| rounded(r.interval_s, 10.0)));
            floats[1].append_option(rhythm.and_then(|r| r.second_interval_s).map(|s| rounded(s, 10.0)));
            floats[2].append_option(rhythm.map(|r| rounded(r.timing, 10_000.0)));
            floats[3].append_option(rhythm.map(|r| rounded(r.coverage, 10_000.0)));
            beats.append_option(rhythm.map(|r| r.beats as i64));
            missed.append_option(rhythm.map(|r| r.missed_beats as i64));
        }
        let [interval, second_interval, timing, coverage] = floats.each_mut().map(Float64Builder::finish);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(interval),
            Arc::new(second_interval),
            Arc::new(beats.finish()),
            Arc::new(missed.finish()),
            Arc::new(timing),
            Arc::new(coverage),
        ];
        Ok(ColumnarValue::Array(Arc::new(StructArray::new(rhythm_fields(), columns, None))))
    }
}
