//! Charts of the report, as data and layout for Plotly. Detections define the charts of their result tables, from a few kinds
//! of chart ([`of_table`]).

mod areas;
mod bars;
mod definitions;
mod grids;
mod lines;
mod measures;
mod parts;
mod points;
mod summary;

use hindcast_detections::findings::Row;
use serde_json::{Value, json};

pub(super) use definitions::of_table;
pub(super) use grids::coverage;
pub(super) use summary::{incident, risk_by_day};

use super::format;

/// Colours that people can distinguish on light and dark backgrounds.
const COLOURS: [&str; 10] = [
    "#3b7dd8", "#d9534f", "#2f9e6e", "#e09b2d", "#8a63d2", "#1fa2b8", "#c7508f", "#8fae3c", "#b5703c",
    "#7d8896",
];
const BLUE: &str = COLOURS[0];
const RED: &str = COLOURS[1];
const GREY: &str = COLOURS[9];
/// A scale from faint to full blue, for light and dark backgrounds.
const BLUES: [(f64, &str); 3] =
    [(0.0, "rgba(59,125,216,0.10)"), (0.5, "rgba(59,125,216,0.6)"), (1.0, "rgb(38,96,190)")];

/// Longest label on an axis or in a legend, in characters.
const LABEL_CHARACTERS: usize = 34;

/// A chart: Plotly data and layout, title and note.
pub(super) struct Chart {
    title: String,
    note: String,
    data: Vec<Value>,
    layout: Value,
}

/// The position of a chart on the page. The data of all charts are at the end of the page.
pub(super) struct PlacedChart {
    /// The index of its data.
    pub(super) index: usize,
    pub(super) title: String,
    /// The visible title. Empty if the surrounding card has the same title.
    pub(super) heading: String,
    /// A note to the reader; may be empty.
    pub(super) note: String,
}

/// The data of the charts of a page, by index.
#[derive(Default)]
pub(super) struct Charts(Vec<Value>);

impl Charts {
    /// Stores the data of a chart and returns its position.
    pub(super) fn place(&mut self, chart: Chart) -> PlacedChart {
        self.0.push(json!({ "data": chart.data, "layout": chart.layout }));
        PlacedChart {
            index: self.0.len() - 1,
            heading: chart.title.clone(),
            title: chart.title,
            note: chart.note,
        }
    }

    /// The data of all charts.
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

    /// Adds a note to the chart. Several notes are joined.
    fn with_note(mut self, note: impl AsRef<str>) -> Self {
        let note = note.as_ref();
        if !note.is_empty() {
            let separator = if self.note.is_empty() { "" } else { "; " };
            self.note.push_str(separator);
            self.note.push_str(note);
        }
        self
    }

    /// Adds a trace.
    fn with(mut self, trace: Value) -> Self {
        self.data.push(trace);
        self
    }

    /// Merges `changes` into the layout.
    fn with_layout(mut self, changes: Value) -> Self {
        merge_layout(&mut self.layout, changes);
        self
    }
}

fn merge_layout(below: &mut Value, changes: Value) {
    match (below, changes) {
        (Value::Object(below), Value::Object(changes)) => {
            for (key, change) in changes {
                merge_layout(below.entry(key).or_insert(Value::Null), change);
            }
        }
        (below, change) => *below = change,
    }
}

/// Text of a log, escaped for Plotly, which interprets `<b>`, `<a href>` and entities in every label.
fn label(text: &str) -> String {
    neutral(&shortened(&format::text(text), LABEL_CHARACTERS))
}

/// As [`label`], with the length limit of other texts, for tooltips.
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
    let start: String = text.chars().take(characters - 1).collect();
    format!("{start}\u{2026}")
}

/// A number of a row; 0 for a null.
fn number(row: &Row<'_>, column: &str) -> f64 {
    row.number(column).unwrap_or_default()
}

/// Diameters of points whose areas are proportional to `values`, in pixels.
fn diameters(values: &[f64]) -> Vec<f64> {
    let largest = values.iter().copied().fold(0.0, f64::max);
    let of = |value: &f64| {
        if largest > 0.0 { (7.0 + 23.0 * (value.max(0.0) / largest).sqrt()).round() } else { 9.0 }
    };
    values.iter().map(of).collect()
}

#[cfg(test)]
mod tests;
