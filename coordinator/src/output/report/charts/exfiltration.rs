//! Charts of the exfiltration suite.

use std::collections::BTreeMap;

use hindcast_common::findings::Row;
use serde_json::{Value, json};

use super::bars::{bars, largest, stacked};
use super::points::{Point, Series, cut, points};
use super::{COLOURS, Chart, GREY, long_label, number, text_or};
use crate::output::report::told;

const NONE: &str = "(none)";
/// Devices told apart by colour.
const MOST_DEVICES: usize = 9;

pub(super) fn compression_staging(rows: &[Row<'_>]) -> Option<Chart> {
    let values = rows.iter().map(|row| {
        let (device, account) = (text_or(row, "device_name", NONE), text_or(row, "account_name", NONE));
        (device.to_owned(), account.to_owned(), 1.0)
    });
    stacked("Archives staged, by device and account", "rows", values)
}

/// When which device uploaded, and how much.
pub(super) fn cli_storage_uploads(rows: &[Row<'_>]) -> Option<Chart> {
    let point = |row: &Row<'_>| Point {
        x: told::instant(row.micros("network_timestamp").unwrap_or_default()).into(),
        y: number(row, "bytes_sent").max(1.0).into(),
        amount: 1.0,
        shade: 0.0,
        told: format!(
            "{}<br>{}, {}<br>{} bytes to {}",
            told::instant(row.micros("network_timestamp").unwrap_or_default()),
            long_label(text_or(row, "device_name", NONE)),
            long_label(text_or(row, "account_name", NONE)),
            told::decimal(number(row, "bytes_sent")),
            long_label(text_or(row, "remote_url", NONE)),
        ),
    };
    let chart = by_device("Uploads to cloud storage over time", rows, "uploads", point)?;
    Some(chart.laid_out(json!({
        "xaxis": { "type": "date" },
        "yaxis": { "type": "log", "title": { "text": "bytes sent" } },
    })))
}

/// The hours that stand out, by what was sent in them.
pub(super) fn egress_spikes(rows: &[Row<'_>]) -> Option<Chart> {
    let point = |row: &Row<'_>| Point {
        x: told::instant(row.micros("hour").unwrap_or_default()).into(),
        y: number(row, "bytes_sent").max(1.0).into(),
        amount: number(row, "ratio"),
        shade: 0.0,
        told: format!(
            "{}, {}<br>{} bytes sent, baseline {}, ratio {}",
            long_label(text_or(row, "device_name", NONE)),
            told::instant(row.micros("hour").unwrap_or_default()),
            told::decimal(number(row, "bytes_sent")),
            told::decimal(number(row, "baseline").round()),
            row.number("ratio").map_or_else(|| "unknown".to_owned(), told::decimal),
        ),
    };
    let chart = by_device("Hours of much outbound traffic", rows, "hours, those that sent most", point)?;
    Some(chart.noted("area: times the baseline").laid_out(json!({
        "xaxis": { "type": "date" },
        "yaxis": { "type": "log", "title": { "text": "bytes sent in the hour" } },
    })))
}

/// Marks coloured by device; those of devices with few marks are grey.
fn by_device<'a>(
    title: &str,
    rows: &[Row<'a>],
    which: &str,
    point: impl Fn(&Row<'a>) -> Point,
) -> Option<Chart> {
    let (rows, note) = cut(rows.to_vec(), which);
    let mut counts: BTreeMap<String, f64> = BTreeMap::new();
    rows.iter()
        .for_each(|row| *counts.entry(text_or(row, "device_name", NONE).to_owned()).or_default() += 1.0);
    let shown = largest(&counts, MOST_DEVICES);
    let series_of = |name: &str, colour, is_of: &dyn Fn(&str) -> bool| Series {
        name: name.to_owned(),
        colour: Some(colour),
        points: rows.iter().filter(|row| is_of(text_or(row, "device_name", NONE))).map(&point).collect(),
    };
    let mut series: Vec<Series> = shown
        .iter()
        .zip(COLOURS)
        .map(|(name, colour)| series_of(name, colour, &|device| device == name.as_str()))
        .collect();
    if counts.len() > shown.len() {
        series.push(series_of("others", GREY, &|device| !shown.iter().any(|name| name.as_str() == device)));
    }
    let chart = points(title, 400, series, &Value::Null).noted(note);
    (!rows.is_empty()).then_some(chart.laid_out(json!({ "showlegend": true })))
}

pub(super) fn storage_audit(rows: &[Row<'_>]) -> Option<Chart> {
    let values = rows.iter().map(|row| (text_or(row, "operation_name", NONE).to_owned(), 1.0));
    bars("Operations on storage keys and settings", "rows", values)
}
