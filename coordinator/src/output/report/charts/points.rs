//! Marks in a plane: one a row, its area an amount.

use serde_json::{Value, json};

use super::{Chart, diameters, label};
use crate::output::report::told;

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
