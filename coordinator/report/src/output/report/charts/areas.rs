//! Stacked areas over time, by bin and series.

use std::collections::BTreeMap;

use hindcast_base::Result;
use hindcast_base::format::format_duration;
use hindcast_base::time::{MICROS_PER_DAY, MICROS_PER_HOUR, MICROS_PER_SECOND};
use hindcast_detections::chart::{Areas, Colour};
use hindcast_detections::findings::Row;
use serde_json::json;

use super::bars::largest;
use super::definitions::{Parameters, hex, series, value};
use super::{Chart, GREY, label, neutral};
use crate::output::report::format;

/// Most bins in a chart. More are summed to longer bins.
const MOST_BINS: i64 = 1_500;
/// Series drawn by themselves. The smaller ones are summed.
const MOST_SERIES: usize = 9;
const MINUTE_US: i64 = 60 * MICROS_PER_SECOND;

/// The chart that `definition` describes.
///
/// # Errors
/// If a template is broken.
pub(super) fn draw(
    definition: &Areas,
    rows: &[Row<'_>],
    parameters: &Parameters<'_>,
) -> Result<Option<Chart>> {
    let minutes = parameters.number(&definition.bin_minutes).unwrap_or(60.0);
    let series = series(definition.series.as_ref(), rows)?;
    let values = rows.iter().zip(series).filter_map(|(row, series)| {
        let value = value(row, definition.value.as_deref());
        (value > 0.0).then_some((row.micros(&definition.time)?, series, value))
    });
    let bin_us = minutes.max(1.0) as i64 * MINUTE_US;
    Ok(areas(&definition.title, &neutral(&definition.axis), bin_us, values, &definition.colours))
}

/// Values by time (microseconds since 1970, the start of a bin of `bin_us`) and series.
fn areas(
    title: &str,
    axis: &str,
    bin_us: i64,
    values: impl Iterator<Item = (i64, String, f64)>,
    colours: &BTreeMap<String, Colour>,
) -> Option<Chart> {
    let values: Vec<(i64, String, f64)> = values.collect();
    let first_us = values.iter().map(|value| value.0).min()?;
    let last_us = values.iter().map(|value| value.0).max()?;
    let wide_us = bin_for(bin_us, first_us, last_us);
    let start = first_us.div_euclid(wide_us);
    let bins = (last_us.div_euclid(wide_us) - start + 1) as usize;
    let mut of_series: BTreeMap<String, f64> = BTreeMap::new();
    for (_, series, value) in &values {
        *of_series.entry(series.clone()).or_default() += value;
    }
    let shown = largest(&of_series, MOST_SERIES);
    // The last series sums all others.
    let mut sums = vec![vec![0.0; bins]; shown.len() + 1];
    for (time_us, series, value) in &values {
        let place = shown.iter().position(|name| *name == series).unwrap_or(shown.len());
        sums[place][(time_us.div_euclid(wide_us) - start) as usize] += value;
    }
    let mut chart = Chart::new(title, 340).with_note(bin_note(bin_us, wide_us)).with_layout(json!({
        "hovermode": "x unified",
        "showlegend": of_series.len() > 1,
        "xaxis": { "type": "date" },
        "yaxis": { "title": { "text": axis }, "rangemode": "tozero" },
    }));
    if of_series.len() > shown.len() {
        chart =
            chart.with_note(format!("{} smaller series are summed as others", of_series.len() - shown.len()));
    }
    let names =
        shown.iter().map(|name| name.as_str()).chain((of_series.len() > shown.len()).then_some("others"));
    for (place, (name, sums)) in names.zip(&sums).enumerate() {
        let mut trace = json!({
            "type": "scatter",
            "mode": "lines",
            "line": { "width": 0, "shape": "hv" },
            "stackgroup": "all",
            "x0": format::instant(start * wide_us),
            "dx": wide_us / 1_000,
            "y": sums,
            "name": label(name),
        });
        if place == shown.len() {
            trace["line"]["color"] = GREY.into();
        } else if let Some(colour) = colours.get(name) {
            trace["line"]["color"] = hex(*colour).into();
        }
        chart = chart.with(trace);
    }
    Some(chart)
}

/// The width of the bins: `bin_us`, or the shortest round width that makes few enough bins.
fn bin_for(bin_us: i64, first_us: i64, last_us: i64) -> i64 {
    let round = [15 * MINUTE_US, MICROS_PER_HOUR, 3 * MICROS_PER_HOUR, 6 * MICROS_PER_HOUR, MICROS_PER_DAY];
    let fits =
        |width: &i64| *width >= bin_us && width % bin_us == 0 && (last_us - first_us) / width < MOST_BINS;
    let longer = (1..).map(|weeks| 7 * weeks * MICROS_PER_DAY);
    [bin_us].into_iter().chain(round).chain(longer.take(1_000)).find(fits).unwrap_or(bin_us)
}

fn bin_note(bin_us: i64, wide_us: i64) -> String {
    match bin_us == wide_us {
        true => format!("bins of {}", format_duration(bin_us)),
        false => format!("bins of {}, summed to {}", format_duration(bin_us), format_duration(wide_us)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_windows_have_longer_bins() {
        let bin = 15 * MINUTE_US;
        assert_eq!(bin_for(bin, 0, 7 * MICROS_PER_DAY), bin);
        assert_eq!(bin_for(bin, 0, 30 * MICROS_PER_DAY), MICROS_PER_HOUR);
        assert_eq!(bin_for(bin, 0, 3_650 * MICROS_PER_DAY), 7 * MICROS_PER_DAY);
        assert_eq!(bin_note(bin, MICROS_PER_HOUR), "bins of 15 min, summed to 1 h");
    }

    #[test]
    fn every_bin_is_drawn_and_the_sum_stays_the_same() {
        let values = (0..40).map(|index| (index * 10 * MICROS_PER_HOUR, format!("s{}", index % 12), 1.0));
        let chart = areas("t", "events", MICROS_PER_HOUR, values, &BTreeMap::new()).unwrap();
        assert_eq!(chart.data.len(), MOST_SERIES + 1);
        let sums = chart.data.iter().map(|trace| trace["y"].as_array().unwrap());
        assert!(sums.clone().all(|bins| bins.len() == 391));
        assert_eq!(sums.flatten().filter_map(serde_json::Value::as_f64).sum::<f64>(), 40.0);
    }
}
