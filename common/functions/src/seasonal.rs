//! `seasonal`: how far each hour of a series is above what is usual for its hour of the week.
//!
//! The series is split as STL does (Cleveland et al., *STL: A Seasonal-Trend Decomposition Procedure Based on Loess*, 1990) into trend,
//! season and remainder, with medians in place of loess, because a median does not follow the spikes that are looked for. The remainder
//! is compared with a fence around its tenth and ninetieth percentile, as Kusto's `series_outliers` does (Tukey, *Exploratory Data
//! Analysis*, 1977): a fence holds for remainders that are not normal, such as the bursts of a workstation.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, StructArray};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Int64Type};
use datafusion::common::Result;
use datafusion::logical_expr::function::{PartitionEvaluatorArgs, WindowUDFFieldArgs};
use datafusion::logical_expr::{PartitionEvaluator, Signature, Volatility, WindowUDF, WindowUDFImpl};

use super::sorted_window::SortedWindow;

const HOURS_PER_DAY: usize = 24;
const HOURS_PER_WEEK: usize = 7 * HOURS_PER_DAY;
/// Two weeks: with less, no hour has another of its kind that can be compared.
const MIN_HOURS: usize = 2 * HOURS_PER_WEEK;
/// Four weeks: with less, an hour of the week has too few others, and hours of the day are compared.
const MIN_HOURS_OF_WEEKS: usize = 4 * HOURS_PER_WEEK;
/// Seasons at most this far away are compared, because habits change.
const MAX_DISTANCE: usize = 4 * HOURS_PER_WEEK;
/// The trend is the median of a week, in which every hour of the week occurs once.
const TREND_HALF: usize = HOURS_PER_WEEK / 2;
/// A busy day makes no spikes: an hour must stand out from the day around it.
const DAY_HALF: usize = HOURS_PER_DAY / 2;
/// Remainders of the four weeks around an hour are its scale.
const SCALE_HALF: usize = 2 * HOURS_PER_WEEK;
/// Hours with data that a scale needs: two a day at least, of four weeks.
const MIN_ACTIVE: usize = 48;
/// Smallest scale, as a share of what is usual: a job that sends gigabytes each night differs by a few percent.
const MIN_SCALE: f64 = 0.05;
/// An hour is similar if its remainder is at least this share: a burst that comes again and again is no spike.
const SIMILAR: f64 = 0.5;
/// No series is longer, whatever its times say: 119 years.
const MAX_HOURS: usize = 1 << 20;

/// For each row of a partition ordered by the hour, a whole number, with the bytes of that hour: what is usual, by how many scales the
/// bytes are above the fence, and how many other hours are as far above. Missing hours count as 0, but only hours with data make the
/// scale. All are null if the series has less than two weeks, or too few hours with data.
pub(super) fn seasonal() -> WindowUDF {
    WindowUDF::from(Seasonal { signature: Signature::exact(vec![DataType::Int64; 2], Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Seasonal {
    signature: Signature,
}

fn fields() -> Fields {
    Fields::from(vec![
        Field::new("usual", DataType::Float64, true),
        Field::new("score", DataType::Float64, true),
        Field::new("similar", DataType::Int64, true),
        Field::new("period", DataType::Int64, true),
    ])
}

impl WindowUDFImpl for Seasonal {
    fn name(&self) -> &str {
        "seasonal"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn partition_evaluator(&self, _: PartitionEvaluatorArgs) -> Result<Box<dyn PartitionEvaluator>> {
        Ok(Box::new(Evaluator))
    }

    fn field(&self, arguments: WindowUDFFieldArgs) -> Result<FieldRef> {
        Ok(Arc::new(Field::new(arguments.name(), DataType::Struct(fields()), false)))
    }
}

#[derive(Debug)]
struct Evaluator;

impl PartitionEvaluator for Evaluator {
    fn evaluate_all(&mut self, values: &[ArrayRef], num_rows: usize) -> Result<ArrayRef> {
        let hours = values[0].as_primitive::<Int64Type>().values();
        let amounts = values[1].as_primitive::<Int64Type>();
        let scores = series(hours, amounts).map(|(series, places)| (score_hours(&series), places));
        let row = |index: usize| -> Option<HourScore> {
            let (scores, places) = scores.as_ref()?;
            scores.get(*places.get(index)?).copied().flatten()
        };
        let rows: Vec<Option<HourScore>> = (0..num_rows).map(row).collect();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(rows.iter().map(|row| row.map(|row| row.usual)).collect::<Float64Array>()),
            Arc::new(rows.iter().map(|row| row.map(|row| row.score)).collect::<Float64Array>()),
            Arc::new(rows.iter().map(|row| row.map(|row| row.similar)).collect::<Int64Array>()),
            Arc::new(rows.iter().map(|row| row.map(|row| row.period)).collect::<Int64Array>()),
        ];
        Ok(Arc::new(StructArray::new(fields(), columns, None)))
    }
}

/// What is known about an hour.
#[derive(Debug, Clone, Copy, PartialEq)]
struct HourScore {
    /// Bytes that are usual.
    usual: f64,
    /// Scales above the fence; negative below it.
    score: f64,
    /// Other hours, within two weeks, that are at least half as far above what is usual.
    similar: i64,
    /// Hours of a season: 168 or 24.
    period: i64,
}

/// The value of every hour from the first to the last, and the place of each row in it; `None` if it is too short or too long.
fn series(hours: &[i64], amounts: &Int64Array) -> Option<(Vec<f64>, Vec<usize>)> {
    let (first, last) = (*hours.first()?, *hours.last()?);
    let length = usize::try_from(last.checked_sub(first)?).ok()?.checked_add(1)?;
    if !(MIN_HOURS..=MAX_HOURS).contains(&length) {
        return None;
    }
    let mut series = vec![0.0; length];
    let mut places = Vec::with_capacity(hours.len());
    for (row, hour) in hours.iter().enumerate() {
        let place = usize::try_from(hour.checked_sub(first)?).ok()?;
        let amount = if amounts.is_valid(row) { amounts.value(row) as f64 } else { 0.0 };
        *series.get_mut(place)? += amount;
        places.push(place);
    }
    Some((series, places))
}

/// Scores every hour of a series; `None` for hours without data, or with too little data around them.
fn score_hours(series: &[f64]) -> Vec<Option<HourScore>> {
    let period = if series.len() >= MIN_HOURS_OF_WEEKS { HOURS_PER_WEEK } else { HOURS_PER_DAY };
    let usual = usual(series, period);
    let remainders: Vec<f64> = series.iter().zip(&usual).map(|(value, usual)| value - usual).collect();
    let active = |place: usize| series[place] > 0.0;
    let mut window = SortedWindow::default();
    let mut scores = Vec::with_capacity(series.len());
    let mut end = 0;
    for place in 0..series.len() {
        while end < series.len() && end <= place + SCALE_HALF {
            if active(end) {
                window.insert(remainders[end]);
            }
            end += 1;
        }
        if place > SCALE_HALF && active(place - SCALE_HALF - 1) {
            window.remove(remainders[place - SCALE_HALF - 1]);
        }
        let is_known = active(place) && window.len() >= MIN_ACTIVE;
        scores.push(is_known.then(|| of_hour(&window, remainders[place], usual[place], period)));
    }
    scores
}

/// Scores an hour by the remainders around it.
fn of_hour(window: &SortedWindow, remainder: f64, usual: f64, period: usize) -> HourScore {
    let (low, high) = (window.quantile(0.1), window.quantile(0.9));
    let scale = (high - low).max(MIN_SCALE * usual).max(1.0);
    let similar = window.count_from(SIMILAR * remainder) as i64 - i64::from(remainder > 0.0);
    HourScore { usual, score: (remainder - high) / scale, similar, period: period as i64 }
}

/// What is usual for every hour: trend, season, and the level of the day around it; at least 0.
fn usual(series: &[f64], period: usize) -> Vec<f64> {
    let mut seasons = vec![0.0; series.len()];
    let mut trend = Vec::new();
    // The second round removes what the season of the first hides from the trend.
    for _ in 0..2 {
        trend = running_median(&difference(series, &seasons), TREND_HALF);
        seasons = seasons_of(&difference(series, &trend), period);
    }
    let expected: Vec<f64> = trend.iter().zip(&seasons).map(|(trend, season)| trend + season).collect();
    let levels = running_median(&difference(series, &expected), DAY_HALF);
    expected.iter().zip(&levels).map(|(expected, level)| (expected + level).max(0.0)).collect()
}

/// For every hour, the median of the same hour of the other seasons around it.
fn seasons_of(series: &[f64], period: usize) -> Vec<f64> {
    let mut others = SortedWindow::default();
    let mut seasons = Vec::with_capacity(series.len());
    for place in 0..series.len() {
        others.clear();
        for distance in (period..=MAX_DISTANCE).step_by(period) {
            let before = place.checked_sub(distance).and_then(|place| series.get(place));
            let after = series.get(place + distance);
            before.into_iter().chain(after).for_each(|value| others.insert(*value));
        }
        seasons.push(others.median());
    }
    seasons
}

/// For every hour, the median of the hours at most `half` away.
fn running_median(series: &[f64], half: usize) -> Vec<f64> {
    let mut window = SortedWindow::default();
    let mut medians = Vec::with_capacity(series.len());
    let mut end = 0;
    for place in 0..series.len() {
        while end < series.len() && end <= place + half {
            window.insert(series[end]);
            end += 1;
        }
        if place > half {
            window.remove(series[place - half - 1]);
        }
        medians.push(window.median());
    }
    medians
}

fn difference(left: &[f64], right: &[f64]) -> Vec<f64> {
    left.iter().zip(right).map(|(left, right)| left - right).collect()
}

#[cfg(test)]
mod tests;
