//! Heat maps of coverage by table and date and of amounts by two labels, and the map of places.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use hindcast_base::Result;
use hindcast_base::format::format_bytes;
use hindcast_detections::chart::{Map, Matrix};
use hindcast_detections::findings::Row;
use hindcast_scan::{Coverage, CoverageEntry, Status};
use serde_json::{Value, json};

use super::bars::{Sums, largest};
use super::definitions::{reader, texts, value};
use super::{BLUE, BLUES, Chart, diameters, label, long_label, neutral};
use crate::output::report::format;

/// Most rows and columns of a matrix: those with the largest sums.
const MOST_ROWS: usize = 30;
const MOST_COLUMNS: usize = 25;
/// Longest window, in days, whose dates without data are shown too.
const MOST_DATES: usize = 800;
/// Places named on a map.
const MOST_NAMES: usize = 40;
/// Most places on a map: those with the largest amounts.
const MOST_PLACES: usize = 1_000;

/// The status of each table and date.
pub(in super::super) fn coverage(coverage: &Coverage) -> Option<Chart> {
    let entries = &coverage.tables;
    let places: Vec<String> = entries.iter().map(CoverageEntry::place).collect();
    let tables: BTreeSet<&str> = places.iter().map(String::as_str).collect();
    let dates = coverage.charted_dates(MOST_DATES);
    let of: BTreeMap<_, _> =
        entries.iter().zip(&places).map(|(entry, place)| ((place.as_str(), entry.date), entry)).collect();
    let cells = |value: &dyn Fn(&CoverageEntry) -> Value| -> Vec<Vec<Value>> {
        // The entry of a date is the last that begins on or before it, if it reaches that date.
        let entry = |table, date| of.range((table, NaiveDate::MIN)..=(table, date)).next_back();
        let entry = |table, date| entry(table, date).filter(|(_, entry)| entry.holds(date));
        let cell = |table, date| entry(table, date).map_or(Value::Null, |(_, entry)| value(entry));
        tables.iter().map(|table| dates.iter().map(|date| cell(*table, *date)).collect()).collect()
    };
    let hover = |entry: &CoverageEntry| -> Value {
        let (rows, files) = (format::count(entry.rows), format::count(entry.files));
        let reason = match entry.reasons.is_empty() {
            true => String::new(),
            false => format!("<br>{}", long_label(&entry.reasons.to_string())),
        };
        format!(
            "{}: {rows} rows, {files} files, {}{reason}",
            status(entry.status).1,
            format_bytes(entry.bytes)
        )
        .into()
    };
    let colours = ["#2f9e6e", "#a9c4e8", "#8b95a3", "#d9534f"];
    let scale: Vec<Value> =
        (0..8).map(|end| json!([f64::from((end + 1) / 2) / 4.0, colours[end as usize / 2]])).collect();
    let chart = Chart::new("Tables by date", 90 + 26 * tables.len()).with(json!({
        "type": "heatmap",
        "x": dates.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "y": tables.iter().map(|table| label(table)).collect::<Vec<_>>(),
        "z": cells(&|entry| status(entry.status).0.into()),
        "customdata": cells(&hover),
        "hovertemplate": "%{y}, %{x|%Y-%m-%d}<br>%{customdata}<extra></extra>",
        "colorscale": scale,
        "zmin": -0.5,
        "zmax": 3.5,
        "xgap": if dates.len() > 120 { 0 } else { 2 },
        "ygap": 2,
        "showscale": false,
    }));
    let keys = [Status::Scanned, Status::Empty, Status::Missing, Status::Failed].map(status);
    let chart = keys.into_iter().zip(colours).fold(chart, |chart, ((_, name), colour)| {
        // Plotly draws no legend for a heat map, so empty scatter traces make one.
        let marker = json!({ "color": colour, "symbol": "square", "size": 11 });
        chart.with(json!({ "type": "scatter", "mode": "markers", "x": [null], "y": [null], "name": name, "marker": marker }))
    });
    let chart = chart.with_layout(json!({
        "xaxis": { "type": "date", "showgrid": false, "dtick": if dates.len() <= 14 { json!(86_400_000) } else { Value::Null }, "tickformat": "%d %b" },
        "yaxis": { "type": "category", "autorange": "reversed", "showgrid": false },
    }));
    (!entries.is_empty()).then_some(chart)
}

fn status(status: Status) -> (u8, &'static str) {
    match status {
        Status::Scanned => (0, "scanned"),
        Status::Empty => (1, "empty"),
        Status::Missing => (2, "missing"),
        Status::Failed => (3, "failed"),
    }
}

/// The grid that `definition` describes.
///
/// # Errors
/// If a template is broken.
pub(super) fn draw_matrix(definition: &Matrix, rows: &[Row<'_>]) -> Result<Option<Chart>> {
    let (names, columns) = (texts(&definition.row, rows)?, texts(&definition.column, rows)?);
    let values = rows.iter().map(|row| value(row, definition.value.as_deref()));
    let values =
        names.into_iter().zip(columns).zip(values).map(|((row, column), value)| (row, column, value));
    Ok(matrix(&definition.title, &neutral(&definition.unit), values))
}

/// The map that `definition` describes.
///
/// # Errors
/// If a template is broken.
pub(super) fn draw_map(definition: &Map, rows: &[Row<'_>]) -> Result<Option<Chart>> {
    let name = reader(&definition.name)?;
    let places = rows.iter().filter_map(|row| {
        Some(Place {
            longitude: row.number(&definition.longitude)?,
            latitude: row.number(&definition.latitude)?,
            amount: value(row, definition.value.as_deref()),
            name: name.of(row, str::to_owned),
        })
    });
    Ok(map(&definition.title, &neutral(&definition.unit), places.collect()))
}

/// Amounts by row and column label: the rows and columns with the largest sums, shaded on a logarithmic scale.
fn matrix(title: &str, what: &str, values: impl Iterator<Item = (String, String, f64)>) -> Option<Chart> {
    let Sums { cells, of_row, of_column } = Sums::of(values);
    let rows = largest(&of_row, MOST_ROWS);
    let columns = largest(&of_column, MOST_COLUMNS);
    if rows.is_empty() {
        return None;
    }
    let value = |row: &String, column: &String| cells.get(&(row.clone(), column.clone())).copied();
    let of = |cell: &dyn Fn(&String, &String) -> Value| -> Vec<Vec<Value>> {
        rows.iter().map(|row| columns.iter().map(|column| cell(row, column)).collect()).collect()
    };
    let hover = |row: &String, column: &String| {
        let amount = format::decimal(value(row, column).unwrap_or_default());
        json!(format!("{}<br>{}<br>{amount} {what}", long_label(row), long_label(column)))
    };
    let shade =
        |row: &String, column: &String| json!(value(row, column).map(|amount| (1.0 + amount).log10()));
    let largest_shade = cells.values().map(|amount| (1.0 + amount).log10()).fold(0.0, f64::max);
    let ticks: Vec<f64> =
        (0..).map(|power| 10f64.powi(power)).take_while(|tick| tick.log10() <= largest_shade).collect();
    let names = |keys: &[&String]| keys.iter().map(|key| label(key)).collect::<Vec<_>>();
    let numbers = |count: usize| (0..count).collect::<Vec<usize>>();
    let chart = Chart::new(title, 190 + 22 * rows.len())
        .with_note(format::shown_of(rows.len(), of_row.len(), "rows"))
        .with_note(format::shown_of(columns.len(), of_column.len(), "columns"))
        .with(json!({
            "type": "heatmap",
            "z": of(&shade),
            "customdata": of(&hover),
            "hovertemplate": "%{customdata}<extra></extra>",
            "colorscale": BLUES,
            "zmin": 0,
            "xgap": 2,
            "ygap": 2,
            "colorbar": {
                "thickness": 12,
                "outlinewidth": 0,
                "tickvals": ticks.iter().map(|tick| (1.0 + tick).log10()).collect::<Vec<_>>(),
                "ticktext": ticks.iter().map(|tick| format::decimal(*tick)).collect::<Vec<_>>(),
            },
        }))
        .with_layout(json!({
            "xaxis": { "tickvals": numbers(columns.len()), "ticktext": names(&columns), "tickangle": -45, "showgrid": false },
            "yaxis": { "tickvals": numbers(rows.len()), "ticktext": names(&rows), "autorange": "reversed", "showgrid": false },
        }));
    Some(chart)
}

/// A place on the map.
#[derive(Clone)]
struct Place {
    longitude: f64,
    latitude: f64,
    amount: f64,
    /// Its name, unescaped.
    name: String,
}

/// Places on a plain grid of longitude and latitude, because the page can fetch no map tiles.
fn map(title: &str, what: &str, places: Vec<Place>) -> Option<Chart> {
    let mut by_point: BTreeMap<(i64, i64), Place> = BTreeMap::new();
    for place in places {
        let key = ((place.longitude * 100.0).round() as i64, (place.latitude * 100.0).round() as i64);
        let known = by_point.entry(key).or_insert(Place { amount: 0.0, ..place.clone() });
        known.amount += place.amount;
    }
    let mut places: Vec<Place> = by_point.into_values().collect();
    let all = places.len();
    places.sort_by(|left, right| right.amount.total_cmp(&left.amount));
    places.truncate(MOST_PLACES);
    let of = |value: &dyn Fn(&Place) -> Value| places.iter().map(value).collect::<Vec<_>>();
    let hover = |place: &Place| {
        json!(format!("{}: {} {what}", long_label(&place.name), format::decimal(place.amount)))
    };
    let sizes = diameters(&places.iter().map(|place| place.amount).collect::<Vec<_>>());
    let chart = Chart::new(title, 420)
        .with_note(format::shown_of(places.len(), all, "places"))
        .with(json!({
            "type": "scatter",
            "mode": "markers+text",
            "x": of(&|place| place.longitude.into()),
            "y": of(&|place| place.latitude.into()),
            "text": names_apart(&places),
            "textposition": "top center",
            "customdata": of(&hover),
            "hovertemplate": "%{customdata}<extra></extra>",
            "marker": { "size": sizes, "color": BLUE, "opacity": 0.7 },
        }))
        .with_layout(json!({
            "xaxis": { "range": [-180, 180], "dtick": 30, "ticksuffix": "\u{b0}", "zeroline": true, "title": { "text": "longitude" } },
            "yaxis": { "range": [-70, 85], "dtick": 30, "ticksuffix": "\u{b0}", "zeroline": true, "title": { "text": "latitude" } },
        }));
    (!places.is_empty()).then_some(chart)
}

/// The names of places. A place near a larger one has no name, because the two would overlap.
fn names_apart(places: &[Place]) -> Vec<String> {
    let mut named: Vec<&Place> = Vec::new();
    let mut names = Vec::with_capacity(places.len());
    for place in places {
        let is_near = |other: &&Place| {
            (place.longitude - other.longitude).abs() < 24.0 && (place.latitude - other.latitude).abs() < 8.0
        };
        if named.len() == MOST_NAMES || named.iter().any(is_near) {
            names.push(String::new());
            continue;
        }
        named.push(place);
        names.push(label(&place.name));
    }
    names
}
