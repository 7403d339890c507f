//! Scatter plots: one point per row, whose area is an amount.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use arrow::compute::interleave_record_batch;
use hindcast_base::{Error, Result};
use hindcast_detections::chart::{Axis, Points, Preference, Shade};
use hindcast_detections::findings::Row;
use hindcast_scan::ResultTable;
use serde_json::{Value, json};

use super::bars::largest;
use super::definitions::{Parameters, hex, reader, series};
use super::lines::{Lines, with_lines};
use super::{BLUE, COLOURS, Chart, GREY, diameters, label, neutral, number};
use crate::output::report::format;

/// Most points in a chart. The definition of the chart says which are preferred.
pub(super) const MOST_POINTS: usize = 3_000;

/// Series with a colour each. The smaller ones are grey.
const MOST_SERIES: usize = 9;
/// The key of the colour for series that a definition does not name.
const ALL_OTHERS: &str = "*";

/// The chart that `definition` describes; none without rows.
///
/// # Errors
/// If a table on disk can't be read, or a template is broken.
pub(super) fn draw(
    definition: &Points,
    table: &ResultTable,
    parameters: &Parameters<'_>,
) -> Result<Option<Chart>> {
    let preferences: Vec<Preference<'_>> =
        definition.most.iter().map(|entry| Preference::of(entry)).collect();
    let (batch, all) = first_by(table, |row| {
        place(row, &definition.x)?;
        place(row, &definition.y)?;
        Some(Rank(preferences.iter().map(|preference| rank(row, *preference)).collect()))
    })?;
    let rows: Vec<Row<'_>> = (0..batch.num_rows()).map(|index| Row::new(&batch, index)).collect();
    if rows.is_empty() {
        return Ok(None);
    }
    let scale = definition.shade.as_ref().map_or(Value::Null, scale);
    let chart = points(&definition.title, definition.height, series_of(definition, &rows)?, &scale);
    let area = definition.size.as_ref().map(|size| format!("area: {}", size.title));
    let chart = chart
        .with_note(area.unwrap_or_default())
        .with_note(format::shown_of(rows.len(), all, &definition.which))
        .with_layout(json!({
            "xaxis": layout(&definition.x, &rows[0]),
            "yaxis": layout(&definition.y, &rows[0]),
        }));
    let chart =
        if definition.series.is_some() { chart.with_layout(json!({ "showlegend": true })) } else { chart };
    let lines = Lines { lines: &definition.lines, is_log: definition.y.log };
    Ok(Some(with_lines(chart, &lines, parameters)?))
}

/// The position of a row on an axis. `None` if the row has no value for it.
fn place(row: &Row<'_>, axis: &Axis) -> Option<Value> {
    if let Some(micros) = row.micros(&axis.column) {
        return Some(format::instant(micros).into());
    }
    match (axis.at_least, row.integer(&axis.column)) {
        (Some(least), _) => Some(row.number(&axis.column).map_or(least, |value| value.max(least)).into()),
        (None, Some(whole)) => Some(whole.into()),
        (None, None) => row.number(&axis.column).map(Value::from),
    }
}

fn layout(axis: &Axis, row: &Row<'_>) -> Value {
    let mut layout = json!({});
    if row.micros(&axis.column).is_some() {
        layout["type"] = "date".into();
    } else if axis.log {
        layout["type"] = "log".into();
    }
    if !axis.title.is_empty() {
        layout["title"] = json!({ "text": neutral(&axis.title) });
    }
    if axis.from_zero {
        layout["rangemode"] = "tozero".into();
    }
    if let Some(range) = axis.range {
        layout["range"] = json!(range.map(|end| if axis.log { end.log10() } else { end }));
    }
    if !axis.ticks.is_empty() {
        layout["tickvals"] = json!(axis.ticks);
        layout["tickformat"] = "d".into();
    }
    layout
}

/// The colour scale for Plotly, and its title.
fn scale(shade: &Shade) -> Value {
    let last = (shade.colours.len().max(2) - 1) as f64;
    let steps =
        shade.colours.iter().enumerate().map(|(index, colour)| json!([index as f64 / last, hex(*colour)]));
    json!({ "scale": steps.collect::<Vec<_>>(), "title": neutral(&shade.title) })
}

/// The points of `rows` by series. The largest series comes first, so that small series are drawn on top, and preferred ones
/// last.
fn series_of(definition: &Points, rows: &[Row<'_>]) -> Result<Vec<Series>> {
    let hover = definition.hover.iter().map(reader).collect::<Result<Vec<_>>>()?;
    let point = |row: &Row<'_>| Point {
        x: place(row, &definition.x).unwrap_or_default(),
        y: place(row, &definition.y).unwrap_or_default(),
        amount: definition.size.as_ref().map_or(1.0, |size| number(row, &size.column)),
        shade: definition.shade.as_ref().map_or(0.0, |shade| number(row, &shade.column)),
        hover: hover.iter().map(|line| neutral(&line.of(row, format::text))).collect::<Vec<_>>().join("<br>"),
    };
    if definition.series.is_none() {
        let colour = match definition.shade {
            Some(_) => None,
            None => Some(definition.colour.map_or(BLUE, hex)),
        };
        return Ok(vec![Series { name: String::new(), colour, points: rows.iter().map(point).collect() }]);
    }
    let names = series(definition.series.as_ref(), rows)?;
    let mut counts: BTreeMap<String, f64> = BTreeMap::new();
    names.iter().for_each(|name| *counts.entry(name.clone()).or_default() += 1.0);
    let shown = largest(&counts, MOST_SERIES);
    let of = |wanted: &dyn Fn(&String) -> bool| -> Vec<Point> {
        let own = rows.iter().zip(&names).filter(|(_, name)| wanted(name));
        own.map(|(row, _)| point(row)).collect()
    };
    let colours = &definition.colours;
    let mut all: Vec<Series> = shown
        .iter()
        .zip(COLOURS)
        .map(|(name, next)| {
            let given = colours.get(*name).or_else(|| colours.get(ALL_OTHERS));
            let colour = Some(given.map_or(next, |colour| hex(*colour)));
            Series { name: (*name).clone(), colour, points: of(&|other| other == *name) }
        })
        .collect();
    // Preferred series are drawn last, so that no other covers them.
    let is_preferred = |series: &Series| {
        let mut entries = definition.most.iter().map(|entry| Preference::of(entry));
        entries.any(|entry| matches!(entry, Preference::Text(_, text) if text == series.name))
    };
    all.sort_by_key(is_preferred);
    if counts.len() > shown.len() {
        let points = of(&|name| !shown.contains(&name));
        all.push(Series { name: "others".to_owned(), colour: Some(GREY), points });
    }
    Ok(all)
}

/// The rank of a row among the preferred rows, by several numbers.
#[derive(PartialEq)]
struct Rank(Vec<f64>);

impl Eq for Rank {}

impl PartialOrd for Rank {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Rank {
    fn cmp(&self, other: &Self) -> Ordering {
        let pairs = self.0.iter().zip(&other.0);
        pairs.map(|(one, other)| one.total_cmp(other)).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    }
}

fn rank(row: &Row<'_>, preference: Preference<'_>) -> f64 {
    match preference {
        Preference::Text(column, text) => f64::from(row.text(column) != Some(text)),
        Preference::Number { column, is_descending: true } => -number(row, column),
        Preference::Number { column, is_descending: false } => number(row, column),
    }
}

/// A point.
struct Point {
    x: Value,
    y: Value,
    /// The value of its area.
    amount: f64,
    /// The value of its colour.
    shade: f64,
    /// The tooltip, as Plotly markup.
    hover: String,
}

/// A series of points. Without a colour, each point is shaded by its own value.
struct Series {
    name: String,
    colour: Option<&'static str>,
    points: Vec<Point>,
}

/// The chart of `series`. The areas of points are proportional across all series.
fn points(title: &str, height: usize, series: Vec<Series>, scale: &Value) -> Chart {
    let amounts: Vec<f64> =
        series.iter().flat_map(|series| &series.points).map(|point| point.amount).collect();
    let mut sizes = diameters(&amounts).into_iter();
    let has_names = series.len() > 1;
    let chart = Chart::new(title, height).with_layout(
        json!({ "showlegend": has_names, "hovermode": "closest", "legend": { "itemsizing": "constant" } }),
    );
    series.into_iter().fold(chart, |chart, series| {
        let of = |value: fn(&Point) -> Value| series.points.iter().map(value).collect::<Vec<_>>();
        let mut marker = json!({
            "size": sizes.by_ref().take(series.points.len()).collect::<Vec<_>>(),
            "opacity": 0.75,
            "line": { "width": 0.5, "color": "rgba(128,128,128,0.8)" },
        });
        match series.colour {
            Some(colour) => marker["color"] = colour.into(),
            None => {
                marker["color"] = of(|point| json!(point.shade)).into();
                marker["colorscale"] = scale["scale"].clone();
                marker["colorbar"] =
                    json!({ "title": { "text": scale["title"] }, "thickness": 12, "outlinewidth": 0 });
            }
        }
        chart.with(json!({
            "type": "scatter",
            "mode": "markers",
            "name": label(&series.name),
            "x": of(|point| point.x.clone()),
            "y": of(|point| point.y.clone()),
            "customdata": of(|point| point.hover.as_str().into()),
            "hovertemplate": "%{customdata}<extra></extra>",
            "marker": marker,
        }))
    })
}

/// The first [`MOST_POINTS`] rows by `key`, in that order, and the number of rows with a key. Rows with the same key keep the
/// order of the table, which may be larger than memory.
///
/// # Errors
/// If the table can't be read.
fn first_by<K: Ord>(
    table: &ResultTable,
    key: impl Fn(&Row<'_>) -> Option<K>,
) -> Result<(RecordBatch, usize)> {
    let mut rows = RecordBatch::new_empty(table.schema());
    let mut keys: Vec<K> = Vec::new();
    let mut all = 0;
    for part in table.parts() {
        let part = part?;
        let is_full = keys.len() == MOST_POINTS;
        // The sort is stable: rows of earlier parts stay before later ones with the same key.
        let mut candidates: Vec<(K, (usize, usize))> =
            keys.drain(..).zip((0..).map(|row| (0, row))).collect();
        let earlier = candidates.len();
        for row in 0..part.num_rows() {
            let Some(key) = key(&Row::new(&part, row)) else { continue };
            all += 1;
            if !is_full || key < candidates[earlier - 1].0 {
                candidates.push((key, (1, row)));
            }
        }
        candidates.sort_by(|(one, _), (other, _)| one.cmp(other));
        candidates.truncate(MOST_POINTS);
        let places: Vec<(usize, usize)>;
        (keys, places) = candidates.into_iter().unzip();
        rows =
            interleave_record_batch(&[&rows, &part], &places).map_err(|error| Error::Engine(error.into()))?;
    }
    Ok((rows, all))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array};

    use super::*;

    #[test]
    fn the_first_rows_over_all_parts_are_those_of_a_stable_sort() {
        let part = |rows: std::ops::Range<i64>| {
            let keys =
                Int64Array::from_iter(rows.clone().map(|row| (row % 11 > 0).then_some(row * 7_919 % 500)));
            let names = Int64Array::from_iter_values(rows);
            RecordBatch::try_from_iter([("key", Arc::new(keys) as ArrayRef), ("name", Arc::new(names))])
                .unwrap()
        };
        let most = MOST_POINTS as i64;
        let parts = [
            part(0..10),
            part(10..most),
            part(most..most),
            part(most..2 * most),
            part(2 * most..2 * most + 7),
        ];
        let table = ResultTable::held("t", &parts).unwrap();
        let (rows, all) = first_by(&table, |row| row.integer("key")).unwrap();

        let mut expected: Vec<i64> = (0..2 * most + 7).filter(|row| row % 11 > 0).collect();
        assert_eq!(all, expected.len());
        expected.sort_by_key(|row| row * 7_919 % 500);
        expected.truncate(MOST_POINTS);
        let found: Vec<i64> =
            (0..rows.num_rows()).filter_map(|row| Row::new(&rows, row).integer("name")).collect();
        assert_eq!(found, expected);
    }
}
