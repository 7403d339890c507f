//! Marks in a plane: one a row, its area an amount.

use std::collections::BinaryHeap;

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::error::ArrowError;
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
    let failed = |error: ArrowError| Error::Engine(error.into());
    // The last of the first on top, to give way.
    let mut first: BinaryHeap<(K, usize)> = BinaryHeap::new();
    let (mut all, mut start) = (0, 0);
    for part in table.parts() {
        let part = part?;
        for index in 0..part.num_rows() {
            let Some(key) = key(&Row::new(&part, index)) else { continue };
            all += 1;
            if first.len() < MOST_POINTS {
                first.push((key, start + index));
            } else if let Some(mut last) = first.peek_mut()
                && (&key, start + index) < (&last.0, last.1)
            {
                *last = (key, start + index);
            }
        }
        start += part.num_rows();
    }
    let first: Vec<usize> = first.into_sorted_vec().into_iter().map(|(_, position)| position).collect();
    let mut by_position: Vec<(usize, usize)> = first.iter().copied().zip(0..).collect();
    by_position.sort_unstable();
    let (mut taken, mut start) = (Vec::new(), 0);
    let mut wanted = by_position.iter().peekable();
    for part in table.parts() {
        let part = part?;
        let end = start + part.num_rows();
        let own = std::iter::from_fn(|| wanted.next_if(|(position, _)| *position < end));
        let own: UInt32Array = own.map(|(position, _)| (position - start) as u32).collect();
        taken.push(take_record_batch(&part, &own).map_err(failed)?);
        start = end;
    }
    let rows = concat_batches(&table.schema(), &taken).map_err(failed)?;
    // From the table's order to the key's.
    let mut places = vec![0; first.len()];
    by_position.iter().zip(0..).for_each(|((_, rank), place)| places[*rank] = place);
    Ok((take_record_batch(&rows, &UInt32Array::from(places)).map_err(failed)?, all))
}
