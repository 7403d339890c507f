//! Horizontal bars: values by label, or stacked by label and series.

use std::collections::BTreeMap;

use hindcast_base::Result;
use hindcast_detections::chart::{Bars, Combine};
use hindcast_detections::findings::Row;
use serde_json::json;

use super::definitions::{series, texts, value};
use super::{Chart, GREY, label, long_label, neutral};
use crate::output::report::format;

/// Most bars in a chart. Shorter bars are left out.
pub(super) const MOST_BARS: usize = 20;
/// Series drawn by themselves. The smaller ones are summed.
const MOST_SERIES: usize = 9;
const OTHERS: &str = "others";

/// The chart that `definition` describes.
///
/// # Errors
/// If a template is broken.
pub(super) fn draw(definition: &Bars, rows: &[Row<'_>]) -> Result<Option<Chart>> {
    let labels = texts(&definition.label, rows)?;
    let series = series(definition.series.as_ref(), rows)?;
    let values = rows.iter().map(|row| value(row, definition.value.as_deref()));
    let values =
        labels.into_iter().zip(series).zip(values).map(|((label, series), value)| (label, series, value));
    let (title, axis) = (&definition.title, &neutral(&definition.axis));
    Ok(match definition.combine {
        Combine::Sum => stacked(title, axis, values),
        Combine::Max => stacked(title, axis, largest_of_each(values)),
    })
}

/// The largest value of each label, without series.
fn largest_of_each(
    values: impl Iterator<Item = (String, String, f64)>,
) -> impl Iterator<Item = (String, String, f64)> {
    let mut most: BTreeMap<String, f64> = BTreeMap::new();
    for (label, _, value) in values {
        let known = most.entry(label).or_default();
        *known = known.max(value);
    }
    most.into_iter().map(|(label, value)| (label, String::new(), value))
}

/// The largest `values`, summed by label and series. The series of a label lie end to end.
fn stacked(title: &str, axis: &str, values: impl Iterator<Item = (String, String, f64)>) -> Option<Chart> {
    let Sums { cells, of_row: of_label, of_column: of_series } = Sums::of(values);
    let labels = largest(&of_label, MOST_BARS);
    if labels.is_empty() {
        return None;
    }
    let series = largest(&of_series, MOST_SERIES);
    let names: Vec<String> = labels.iter().map(|name| label(name)).collect();
    let chart = Chart::new(title, 80 + 22 * labels.len().max(3) + 11 * series.len())
        .with_note(format::shown_of(labels.len(), of_label.len(), "bars, the longest"))
        .with_layout(json!({
            "barmode": "stack",
            "bargap": 0.25,
            "showlegend": series.len() > 1,
            "xaxis": { "title": { "text": axis } },
            // Positions, not names: two long names may be equal after truncation.
            "yaxis": { "autorange": "reversed", "tickvals": positions(labels.len()), "ticktext": names, "showgrid": false },
        }));
    let has_others = of_series.len() > series.len();
    let groups = series.iter().map(|name| Some(*name)).chain(has_others.then_some(None));
    Some(groups.fold(chart, |chart, group| {
        let value = |name: &&String| match group {
            Some(own) => cells.get(&((*name).clone(), own.clone())).copied().unwrap_or_default(),
            None => rest(&cells, name, &series),
        };
        let mut trace = json!({
            "type": "bar",
            "orientation": "h",
            "x": labels.iter().map(value).collect::<Vec<f64>>(),
            "y": positions(labels.len()),
            "customdata": labels.iter().map(|name| long_label(name)).collect::<Vec<_>>(),
            "name": label(group.map_or(OTHERS, |name| name.as_str())),
            "hovertemplate": if series.len() > 1 { "%{customdata}: %{x:,}" } else { "%{customdata}: %{x:,}<extra></extra>" },
        });
        if group.is_none() {
            trace["marker"] = json!({ "color": GREY });
        }
        chart.with(trace)
    }))
}

/// The positions of `count` bars.
pub(super) fn positions(count: usize) -> Vec<usize> {
    (0..count).collect()
}

/// Values summed by row and column label, and by each of the two.
#[derive(Default)]
pub(super) struct Sums {
    pub(super) cells: BTreeMap<(String, String), f64>,
    pub(super) of_row: BTreeMap<String, f64>,
    pub(super) of_column: BTreeMap<String, f64>,
}

impl Sums {
    pub(super) fn of(values: impl Iterator<Item = (String, String, f64)>) -> Self {
        let mut sums = Self::default();
        for (row, column, value) in values {
            *sums.of_row.entry(row.clone()).or_default() += value;
            *sums.of_column.entry(column.clone()).or_default() += value;
            *sums.cells.entry((row, column)).or_default() += value;
        }
        sums
    }
}

/// The sum of a label over the series that are not shown by themselves.
fn rest(cells: &BTreeMap<(String, String), f64>, name: &str, shown: &[&String]) -> f64 {
    let of_label = cells.iter().filter(|((label, series), _)| label == name && !shown.contains(&series));
    of_label.map(|(_, value)| value).sum()
}

/// The keys of the largest totals, largest first, then by name.
pub(super) fn largest(totals: &BTreeMap<String, f64>, most: usize) -> Vec<&String> {
    let mut keys: Vec<(&String, f64)> = totals.iter().map(|(key, total)| (key, *total)).collect();
    keys.sort_by(|left, right| right.1.total_cmp(&left.1).then_with(|| left.0.cmp(right.0)));
    keys.into_iter().take(most).map(|(key, _)| key).collect()
}
