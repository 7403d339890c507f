//! Charts of an investigation of one entity.

use hindcast_common::findings::Row;
use hindcast_common::time::MICROS_PER_HOUR;

use super::areas::areas;
use super::bars::stacked;
use super::grids::{Place, map};
use super::{Chart, number, text_or};

const NONE: &str = "(none)";

fn by_hour(title: &str, axis: &str, rows: &[Row<'_>], series: &str, amount: &str) -> Option<Chart> {
    let values = rows.iter().filter_map(|row| {
        Some((row.micros("hour")?, text_or(row, series, NONE).to_owned(), number(row, amount)))
    });
    areas(title, axis, MICROS_PER_HOUR, values)
}

pub(super) fn entity_activity(rows: &[Row<'_>]) -> Option<Chart> {
    by_hour("Activity over time by table", "rows", rows, "table", "rows")
}

pub(super) fn entity_peers(rows: &[Row<'_>]) -> Option<Chart> {
    let values = rows.iter().map(|row| {
        (text_or(row, "peer", NONE).to_owned(), text_or(row, "table", NONE).to_owned(), number(row, "rows"))
    });
    stacked("Whom it talks to", "rows", values)
}

pub(super) fn user_activity_timeline(rows: &[Row<'_>]) -> Option<Chart> {
    by_hour("Office 365 operations over time", "operations", rows, "operation", "operations")
}

pub(super) fn user_activity_map(rows: &[Row<'_>]) -> Option<Chart> {
    let places = rows.iter().filter_map(|row| {
        Some(Place {
            longitude: row.number("longitude")?,
            latitude: row.number("latitude")?,
            amount: number(row, "operations"),
            name: text_or(row, "city", text_or_country(row)).to_owned(),
        })
    });
    map("Places of its addresses", "operations", places.collect())
}

fn text_or_country(row: &Row<'_>) -> &'static str {
    match row.text("country") {
        Some(_) => "a country without a city",
        None => "somewhere",
    }
}

pub(super) fn flow_totals(rows: &[Row<'_>]) -> Option<Chart> {
    let values = rows.iter().map(|row| {
        let (protocol, direction) = (text_or(row, "l7_protocol", NONE), text_or(row, "direction", NONE));
        (protocol.to_owned(), direction.to_owned(), number(row, "flows"))
    });
    stacked("Allowed flows by protocol and direction", "flows", values)
}

pub(super) fn flow_timeline(rows: &[Row<'_>]) -> Option<Chart> {
    by_hour("Allowed flows over time by protocol", "flows", rows, "l7_protocol", "flows")
}
