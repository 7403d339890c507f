//! Charts of the Office 365 suite: those of its notebook.

use std::collections::BTreeMap;

use hindcast_common::findings::Row;
use hindcast_common::time::MICROS_PER_HOUR;

use super::areas::areas;
use super::bars::{bars, stacked};
use super::grids::{Place, map, matrix};
use super::{Chart, number, text_or};

const NONE: &str = "(none)";

fn place(row: &Row<'_>) -> String {
    let names: Vec<&str> = [text_or(row, "city", ""), text_or(row, "country_code", "")]
        .into_iter()
        .filter(|name| !name.is_empty())
        .collect();
    if names.is_empty() { "somewhere".to_owned() } else { names.join(", ") }
}

pub(super) fn operation_summary(rows: &[Row<'_>]) -> Option<Chart> {
    let values = rows.iter().map(|row| {
        let (operation, kind) = (text_or(row, "operation", NONE), text_or(row, "record_type", NONE));
        (operation.to_owned(), kind.to_owned(), number(row, "operations"))
    });
    stacked("Operations by record type", "operations", values)
}

/// The users with the most addresses in any one operation.
pub(super) fn ip_variability(rows: &[Row<'_>]) -> Option<Chart> {
    let mut most: BTreeMap<&str, f64> = BTreeMap::new();
    for row in rows {
        let known = most.entry(text_or(row, "user", NONE)).or_default();
        *known = known.max(number(row, "distinct_ips"));
    }
    let values = most.into_iter().map(|(user, addresses)| (user.to_owned(), addresses));
    bars("Users with the most addresses in one operation", "addresses", values)
}

pub(super) fn multi_location_users(rows: &[Row<'_>]) -> Option<Chart> {
    let values = rows
        .iter()
        .map(|row| (text_or(row, "user", NONE).to_owned(), place(row), number(row, "distinct_ips")));
    stacked("Addresses of users in several places", "addresses", values)
}

pub(super) fn operation_matrix(rows: &[Row<'_>]) -> Option<Chart> {
    let values = rows
        .iter()
        .map(|row| (place(row), text_or(row, "operation", NONE).to_owned(), number(row, "operations")));
    matrix("Operations by place", "operations", values)
}

pub(super) fn operation_matrix_by_ip(rows: &[Row<'_>]) -> Option<Chart> {
    let values = rows.iter().map(|row| {
        let address = text_or(row, "ip", NONE);
        let named = match text_or(row, "country_code", "") {
            "" => address.to_owned(),
            country => format!("{address} ({country})"),
        };
        (named, text_or(row, "operation", NONE).to_owned(), number(row, "operations"))
    });
    matrix("Operations by address", "operations", values)
}

pub(super) fn ip_locations(rows: &[Row<'_>]) -> Option<Chart> {
    let places = rows.iter().filter_map(|row| {
        Some(Place {
            longitude: row.number("longitude")?,
            latitude: row.number("latitude")?,
            amount: 1.0,
            name: place(row),
        })
    });
    map("Places of client addresses", "addresses", places.collect())
}

/// All operations, and those on SharePoint files alone.
pub(super) fn operation_timeline(rows: &[Row<'_>]) -> Vec<Chart> {
    let of = |title: &str, column: &str| {
        let values = rows.iter().filter_map(|row| {
            let operations = row.number(column).filter(|count| *count > 0.0)?;
            Some((row.micros("hour")?, text_or(row, "operation", NONE).to_owned(), operations))
        });
        areas(title, "operations", MICROS_PER_HOUR, values)
    };
    let all = of("Operations over time", "operations");
    let files = of("SharePoint file operations over time", "sharepoint_file_operations");
    all.into_iter().chain(files).collect()
}

pub(super) fn top_accounts(rows: &[Row<'_>]) -> Option<Chart> {
    let values = rows.iter().map(|row| {
        let (account, operation) = (text_or(row, "account", NONE), text_or(row, "operation", NONE));
        (account.to_owned(), operation.to_owned(), number(row, "operations"))
    });
    stacked("Accounts with the busiest hours", "operations in these hours", values)
}
