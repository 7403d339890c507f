//! Marks in a plane: one a row, its area an amount.

use arrow::array::RecordBatch;
use arrow::compute::interleave_record_batch;
use hindcast_common::findings::Row;
use hindcast_common::{Error, Result};
use serde_json::{Value, json};

use super::{Chart, diameters, label};
use crate::output::report::told;
use crate::scan::ResultTable;

/// Marks drawn; which ones is for the chart to say.
pub(super) const MOST_POINTS: usize = 3_000;

/// A mark.
pub(super) struct Point {
    pub(super) x: Value,
    pub(super) y: Value,
    /// What its area stands for.
    pub(super) amount: f64,
    /// What its colour stands for.
    pub(super) shade: f64,
    /// What is told of it, as Plotly's own text.
    pub(super) told: String,
}

/// A series of marks under one name; without a colour they are shaded by what they say.
pub(super) struct Series {
    pub(super) name: String,
    pub(super) colour: Option<&'static str>,
    pub(super) points: Vec<Point>,
}

/// The chart of `series`, whose marks are in proportion over all of them.
pub(super) fn points(title: &str, height: usize, series: Vec<Series>, scale: &Value) -> Chart {
    let amounts: Vec<f64> =
        series.iter().flat_map(|series| &series.points).map(|point| point.amount).collect();
    let mut sizes = diameters(&amounts).into_iter();
    let has_names = series.len() > 1;
    let chart = Chart::new(title, height).laid_out(
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
            "customdata": of(|point| point.told.as_str().into()),
            "hovertemplate": "%{customdata}<extra></extra>",
            "marker": marker,
        }))
    })
}

/// The first [`MOST_POINTS`] of `items`, with what is said where there are more; `which` says which those are.
pub(super) fn cut<T>(mut items: Vec<T>, which: &str) -> (Vec<T>, String) {
    let all = items.len();
    items.truncate(MOST_POINTS);
    let note = told::cut(items.len(), all, which);
    (items, note)
}

/// The [`MOST_POINTS`] rows that come first by `key`, in that order, and how many have one; of the same key, the first in the
/// table. The table may be larger than memory.
///
/// # Errors
/// Where it can't be read.
pub(super) fn first_by<K: Ord>(
    table: &ResultTable,
    key: impl Fn(&Row<'_>) -> Option<K>,
) -> Result<(RecordBatch, usize)> {
    let mut rows = RecordBatch::new_empty(table.schema());
    let mut keys: Vec<K> = Vec::new();
    let mut all = 0;
    for part in table.parts() {
        let part = part?;
        let is_full = keys.len() == MOST_POINTS;
        // Those from earlier parts come before others of their key: the sort keeps that order.
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
