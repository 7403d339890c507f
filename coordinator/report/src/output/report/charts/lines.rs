//! Reference lines across a chart, such as the value from which a row is a finding.

use hindcast_base::{Error, Result};
use hindcast_detections::chart::Line;
use hindcast_detections::row_text::text_of_number;
use serde_json::{Value, json};

use super::definitions::Parameters;
use super::{Chart, RED, neutral};

/// The lines of a chart.
pub(super) struct Lines<'a> {
    pub(super) lines: &'a [Line],
    /// Whether the upward axis is logarithmic.
    pub(super) is_log: bool,
}

/// `chart` with its lines.
///
/// # Errors
/// If the template of a text is broken.
pub(super) fn with_lines(chart: Chart, lines: &Lines<'_>, parameters: &Parameters<'_>) -> Result<Chart> {
    let mut shapes = Vec::new();
    let mut texts = Vec::new();
    for line in lines.lines {
        let Some(at) = parameters.number(&line.at) else { continue };
        let text = text_of_number(&line.text, at).map_err(Error::Internal)?;
        shapes.push(shape(at));
        // On a logarithmic axis, Plotly takes the position of a text as the logarithm, but that of a shape as the value.
        texts.push(annotation(if lines.is_log { at.log10() } else { at }, &neutral(&text)));
    }
    if shapes.is_empty() {
        return Ok(chart);
    }
    Ok(chart.with_layout(json!({ "shapes": shapes, "annotations": texts })))
}

fn shape(y: f64) -> Value {
    json!({ "type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": y, "y1": y, "line": { "color": RED, "width": 1.5, "dash": "dash" } })
}

fn annotation(y: f64, text: &str) -> Value {
    json!({ "xref": "paper", "x": 1, "xanchor": "right", "y": y, "yanchor": "bottom", "showarrow": false, "text": text })
}
