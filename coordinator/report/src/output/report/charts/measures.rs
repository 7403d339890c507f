//! The first rows of a table, with a bar for each of several columns.

use hindcast_base::Result;
use hindcast_detections::chart::{Layout, Measure, Measures};
use hindcast_detections::findings::Row;
use serde_json::{Value, json};

use super::bars::{MOST_BARS, positions};
use super::definitions::{Parameters, hex, texts};
use super::lines::{Lines, with_lines};
use super::{COLOURS, Chart, label, long_label, neutral, number};
use crate::output::report::format;

/// Height of a chart of grouped bars, in pixels.
const HEIGHT_OF_GROUPS: usize = 380;
/// The gap between two panels, as a fraction of the width.
const GAP: f64 = 0.04;

/// The chart that `definition` describes.
///
/// # Errors
/// If a template is broken.
pub(super) fn draw(
    definition: &Measures,
    rows: &[Row<'_>],
    parameters: &Parameters<'_>,
) -> Result<Option<Chart>> {
    let shown = &rows[..rows.len().min(MOST_BARS)];
    let names = texts(&definition.label, shown)?;
    let chart = match definition.layout {
        Layout::Panels => panels(definition, shown, &names),
        Layout::Groups => {
            let chart = groups(definition, shown, &names);
            with_lines(chart, &Lines { lines: &definition.lines, is_log: false }, parameters)?
        }
    };
    let has_note = !definition.which.is_empty();
    let note =
        if has_note { format::shown_of(shown.len(), rows.len(), &definition.which) } else { String::new() };
    Ok(Some(chart.with_note(note)))
}

fn values(measure: &Measure, rows: &[Row<'_>]) -> Vec<f64> {
    let value = |row: &Row<'_>| number(row, &measure.column);
    rows.iter().map(|row| if measure.round { value(row).round() } else { value(row) }).collect()
}

fn colour(measure: &Measure, index: usize) -> &'static str {
    measure.colour.map_or(COLOURS[index % COLOURS.len()], hex)
}

fn long_labels(names: &[String]) -> Vec<String> {
    names.iter().map(|name| long_label(name)).collect()
}

fn labels(names: &[String]) -> Vec<String> {
    names.iter().map(|name| label(name)).collect()
}

/// Horizontal bars, with a panel and an axis per measure.
fn panels(definition: &Measures, rows: &[Row<'_>], names: &[String]) -> Chart {
    let count = definition.measures.len();
    let width = (1.0 - GAP * (count as f64 - 1.0)) / count as f64;
    let mut chart = Chart::new(&definition.title, 90 + 24 * rows.len());
    let mut layout = json!({
        "showlegend": false,
        "bargap": 0.25,
        "yaxis": { "autorange": "reversed", "tickvals": positions(rows.len()), "ticktext": labels(names), "showgrid": false },
    });
    for (index, measure) in definition.measures.iter().enumerate() {
        let number = if index == 0 { String::new() } else { (index + 1).to_string() };
        let start = index as f64 * (width + GAP);
        let title = neutral(measure.axis.as_ref().unwrap_or(&measure.name));
        layout[format!("xaxis{number}")] = json!({
            "domain": [start, start + width], "title": { "text": title, "standoff": 8 }, "automargin": true, "zeroline": false, "nticks": 4,
        });
        let name = neutral(&measure.name);
        chart = chart.with(json!({
            "type": "bar", "orientation": "h", "name": name, "xaxis": format!("x{number}"), "y": positions(rows.len()),
            "x": values(measure, rows),
            "customdata": long_labels(names),
            "hovertemplate": format!("%{{customdata}}: %{{x:,}} {name}<extra></extra>"),
            "marker": { "color": colour(measure, index) },
        }));
    }
    chart.with_layout(layout)
}

/// Vertical bars on one axis, grouped by row.
fn groups(definition: &Measures, rows: &[Row<'_>], names: &[String]) -> Chart {
    let axis = neutral(&definition.axis);
    let bar = |(index, measure): (usize, &Measure)| -> Value {
        let name = neutral(&measure.name);
        json!({
            "type": "bar", "name": name, "x": positions(rows.len()),
            "y": values(measure, rows),
            "customdata": long_labels(names),
            "hovertemplate": format!("%{{customdata}}: %{{y:,}} {axis}, {name}<extra></extra>"),
            "marker": { "color": colour(measure, index) },
        })
    };
    let chart = Chart::new(&definition.title, HEIGHT_OF_GROUPS);
    definition.measures.iter().enumerate().map(bar).fold(chart, Chart::with).with_layout(json!({
        "barmode": "group",
        "xaxis": { "tickvals": positions(rows.len()), "ticktext": labels(names), "tickangle": -45, "showgrid": false },
        "yaxis": { "title": { "text": axis }, "rangemode": "tozero" },
    }))
}
