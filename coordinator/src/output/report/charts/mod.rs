//! Charts of the report, as the data and layout that Plotly draws. Those of result tables are defined by the detections, by a few
//! kinds of chart ([`of_table`]).

mod areas;
mod bars;
mod definitions;
mod grids;
mod lines;
mod measures;
mod parts;
mod points;
mod summary;

use hindcast_common::findings::Row;
use serde_json::{Value, json};

pub(super) use definitions::of_table;
pub(super) use grids::coverage;
pub(super) use summary::{incident, risk_by_day};

use super::format;

/// Colours that people can distinguish on light and on dark.
const COLOURS: [&str; 10] = [
    "#3b7dd8", "#d9534f", "#2f9e6e", "#e09b2d", "#8a63d2", "#1fa2b8", "#c7508f", "#8fae3c", "#b5703c",
    "#7d8896",
];
const BLUE: &str = COLOURS[0];
const RED: &str = COLOURS[1];
const GREY: &str = COLOURS[9];
/// From hardly there to full, on light and on dark.
const BLUES: [(f64, &str); 3] =
    [(0.0, "rgba(59,125,216,0.10)"), (0.5, "rgba(59,125,216,0.6)"), (1.0, "rgb(38,96,190)")];

/// Characters of a label on an axis or in a legend.
const LABEL_CHARACTERS: usize = 34;

/// A chart: what Plotly draws, and what is said of it.
pub(super) struct Chart {
    title: String,
    note: String,
    data: Vec<Value>,
    layout: Value,
}

/// A chart's place in the page; the data lie together at its end.
pub(super) struct PlacedChart {
    /// Which of the data.
    pub(super) index: usize,
    pub(super) title: String,
    /// The title where it is shown; empty where what is around says the same.
    pub(super) heading: String,
    /// What to know of it; may be empty.
    pub(super) note: String,
}

/// The charts of a page, in the order of their places.
#[derive(Default)]
pub(super) struct Charts(Vec<Value>);

impl Charts {
    /// Takes a chart's data and gives its place.
    pub(super) fn place(&mut self, chart: Chart) -> PlacedChart {
        self.0.push(json!({ "data": chart.data, "layout": chart.layout }));
        PlacedChart {
            index: self.0.len() - 1,
            heading: chart.title.clone(),
            title: chart.title,
            note: chart.note,
        }
    }

    /// The data of all.
    pub(super) fn into_data(self) -> Value {
        Value::Array(self.0)
    }
}

impl Chart {
    /// A chart without traces; `height` in pixels.
    fn new(title: impl Into<String>, height: usize) -> Self {
        let axis = json!({ "automargin": true, "zeroline": false, "title": { "standoff": 8 } });
        let layout = json!({
            "height": height,
            "autosize": true,
            "margin": { "l": 50, "r": 14, "t": 12, "b": 40 },
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "font": { "family": "system-ui, -apple-system, 'Segoe UI', Roboto, Arial, sans-serif", "size": 12, "color": "#586476" },
            "colorway": COLOURS,
            "hoverlabel": { "align": "left", "namelength": 40 },
            "legend": { "orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom" },
            "modebar": { "bgcolor": "rgba(0,0,0,0)", "color": GREY },
            "xaxis": axis,
            "yaxis": axis,
        });
        Self { title: title.into(), note: String::new(), data: Vec::new(), layout }
    }

    /// With what to know of it beside; may be called again.
    fn noted(mut self, note: impl AsRef<str>) -> Self {
        let note = note.as_ref();
        if !note.is_empty() {
            let separator = if self.note.is_empty() { "" } else { "; " };
            self.note.push_str(separator);
            self.note.push_str(note);
        }
        self
    }

    /// With one trace more.
    fn with(mut self, trace: Value) -> Self {
        self.data.push(trace);
        self
    }

    /// With `changes` laid over the layout.
    fn laid_out(mut self, changes: Value) -> Self {
        lay_over(&mut self.layout, changes);
        self
    }
}

fn lay_over(below: &mut Value, changes: Value) {
    match (below, changes) {
        (Value::Object(below), Value::Object(changes)) => {
            for (key, change) in changes {
                lay_over(below.entry(key).or_insert(Value::Null), change);
            }
        }
        (below, change) => *below = change,
    }
}

/// Text of a log as Plotly shows it as such. Plotly reads `<b>`, `<a href>` and entities in every label.
fn label(text: &str) -> String {
    neutral(&shortened(&format::text(text), LABEL_CHARACTERS))
}

/// As [`label`], at the length that texts have elsewhere: for what is shown under the pointer.
fn long_label(text: &str) -> String {
    neutral(&format::text(text))
}

fn neutral(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn shortened(text: &str, characters: usize) -> String {
    if text.chars().count() <= characters {
        return text.to_owned();
    }
    let kept: String = text.chars().take(characters - 1).collect();
    format!("{kept}\u{2026}")
}

/// A number of a row, 0 where there is none.
fn number(row: &Row<'_>, column: &str) -> f64 {
    row.number(column).unwrap_or_default()
}

/// Diameters of marks whose areas stand for `values`, in pixels.
fn diameters(values: &[f64]) -> Vec<f64> {
    let largest = values.iter().copied().fold(0.0, f64::max);
    let of = |value: &f64| {
        if largest > 0.0 { (7.0 + 23.0 * (value.max(0.0) / largest).sqrt()).round() } else { 9.0 }
    };
    values.iter().map(of).collect()
}

#[cfg(test)]
mod tests;
