//! Checks a `detection.toml` for contradictions and unknown names.

use std::collections::BTreeSet;

use toml::Spanned;

use super::bindings::{INVESTIGATED, WINDOW_FROM, WINDOW_TO};
use super::definition::{DetectionDefinition, RequirementDefinition};
use super::parameters::ParameterType;
use crate::analyses::HIDDEN_PREFIX;
use crate::analyses::{RESERVED_COLUMNS, one_of};
use crate::config::Layer;
use hindcast_base::Result;
use hindcast_base::nearest::did_you_mean;
use hindcast_lake::Tables;

/// Names of the run's own values in every query.
const OF_RUNS: [&str; 3] = [WINDOW_FROM, WINDOW_TO, INVESTIGATED];

/// Checks the metadata in `layer`, a `detection.toml`, which may name the tables of `tables`.
///
/// # Errors
/// [`hindcast_base::Error::Invalid`] with the file and line of a mistake.
pub(super) fn check_metadata(
    layer: &Layer<'_>,
    definition: &DetectionDefinition,
    tables: Tables,
) -> Result<()> {
    let wrong = |place: &Spanned<String>, what: String| Err(layer.error_at(place.span().start, what));
    check_names(layer, definition)?;
    let mut columns: BTreeSet<&str> = BTreeSet::new();
    for column in &definition.columns {
        if !columns.insert(column.name.get_ref()) {
            return wrong(&column.name, format!("there are two columns {}", column.name.get_ref()));
        }
    }
    for column in &definition.order {
        let name = column.get_ref().trim_start_matches('-');
        if !columns.contains(name) {
            let hint = did_you_mean(name, columns.iter().copied());
            return wrong(column, format!("order names {name:?}, which is not a column of the result{hint}"));
        }
    }
    for column in &definition.per_key {
        if !columns.contains(column.get_ref().as_str()) {
            let hint = did_you_mean(column.get_ref(), columns.iter().copied());
            return wrong(
                column,
                format!("per_key names {:?}, which is not a column of the result{hint}", column.get_ref()),
            );
        }
    }
    if let Some(limit) = &definition.limit {
        let kind = definition.parameters.get(limit.get_ref()).map(|parameter| parameter.kind);
        if kind != Some(ParameterType::Integer) {
            let what = if kind.is_none() { "not a parameter" } else { "not an integer" };
            return wrong(limit, format!("limit names {:?}, which is {what}", limit.get_ref()));
        }
        if definition.order.is_empty() {
            return wrong(limit, "limit needs an order, which decides which rows stay".to_owned());
        }
    }
    for rollup in definition.look_back.iter().flat_map(|look_back| &look_back.rollups) {
        if definition.rollups.iter().all(|read| read.get_ref() != rollup.get_ref()) {
            return wrong(rollup, format!("it looks back at {:?}, which it does not read", rollup.get_ref()));
        }
    }
    definition.requires.iter().try_for_each(|required| check_required(layer, required, tables))?;
    check_charts(layer, definition)
}

/// Checks that the names of columns and parameters are free, and that there is a column to show.
fn check_names(layer: &Layer<'_>, definition: &DetectionDefinition) -> Result<()> {
    let names = || definition.columns.iter().map(|column| &column.name);
    let is_reserved = |name: &str| name.trim().is_empty() || RESERVED_COLUMNS.contains(&name);
    if let Some(name) = names().find(|name| is_reserved(name.get_ref())) {
        let what = format!("a column can't be called {:?}: choose another name", name.get_ref());
        return Err(layer.error_at(name.span().start, what));
    }
    if names().all(|name| name.get_ref().starts_with(HIDDEN_PREFIX)) {
        return Err(layer.error_at(0, "it has no column to show: all names start with _"));
    }
    let is_taken = |name: &&String| {
        OF_RUNS.contains(&name.as_str())
            || (definition.parameters.contains_key(*name) && definition.uses.contains_key(*name))
    };
    match definition.parameters.keys().chain(definition.uses.keys()).find(is_taken) {
        Some(name) => {
            let place = layer.text.find(name.as_str()).unwrap_or_default();
            Err(layer.error_at(place, format!("${name} has a meaning already: choose another name for it")))
        }
        None => Ok(()),
    }
}

/// Checks that the tables are known and have the columns. Otherwise no lake could ever have what is required.
fn check_required(layer: &Layer<'_>, required: &RequirementDefinition, tables: Tables) -> Result<()> {
    if required.tables.get_ref().is_empty() {
        return Err(layer.error_at(required.tables.span().start, "requires names no table"));
    }
    for name in required.tables.get_ref() {
        let Some(table) = tables.by_name(name.get_ref()) else {
            let hint = did_you_mean(name.get_ref(), tables.names());
            let what = format!("there is no table {}{hint}", name.get_ref());
            return Err(layer.error_at(name.span().start, what));
        };
        let unknown = required.columns.iter().find_map(|column| {
            let unknown = one_of(column.get_ref()).find(|name| table.column(name).is_none());
            unknown.map(|name| (name, column.span().start))
        });
        if let Some((column, place)) = unknown {
            let hint = did_you_mean(column, table.columns.iter().map(|column| column.name));
            let what = format!("{} has no column {column}{hint}", table.name);
            return Err(layer.error_at(place, what));
        }
    }
    Ok(())
}

/// Charts of a companion table are checked once its columns are known.
fn check_charts(layer: &Layer<'_>, definition: &DetectionDefinition) -> Result<()> {
    let shown = definition.columns.iter().filter(|column| !column.name.get_ref().starts_with(HIDDEN_PREFIX));
    let columns = shown.map(|column| (column.name.get_ref().as_str(), column.kind)).collect();
    let is_number = |name: &str| {
        let own = definition.parameters.get(name);
        own.map_or(definition.uses.contains_key(name), |parameter| {
            matches!(parameter.kind, ParameterType::Integer | ParameterType::Float)
        })
    };
    for chart in &definition.chart {
        let problem = match chart.table() {
            None => chart.check(&columns, is_number).err(),
            Some(table) if definition.companion.as_deref() == Some(table) => None,
            Some(table) => Some(format!("chart {:?}: {table:?} is not the companion", chart.title())),
        };
        if let Some(problem) = problem {
            return Err(layer.error_at(layer.text.find(chart.title()).unwrap_or_default(), problem));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = r#"version = 1
suite = "firewall"
title = "t"
shows = "s"
order = ["-events"]
limit = "most"
[[requires]]
tables = ["StorageBlobLogs", "BlobServiceLogs"]
columns = ["AccountName"]
[[columns]]
name = "events"
type = "integer"
doc = "d"
[parameters.most]
type = "integer"
default = 1
doc = "d"
"#;

    fn checked(text: &str) -> Result<()> {
        let definition: DetectionDefinition = toml::from_str(text).unwrap();
        check_metadata(&Layer { name: "mine/detection.toml", text }, &definition, Tables::built_in())
    }

    #[test]
    fn unknown_names_are_refused_with_line_and_suggestion() {
        checked(WHOLE).unwrap();
        let column = "[[columns]]\nname = \"events\"\ntype = \"text\"\ndoc = \"d\"\n[parameters";
        for (from, to, message) in [
            (
                "-events",
                "-event",
                "line 5: order names \"event\", which is not a column of the result; did you mean events?",
            ),
            (
                "limit = \"most\"",
                "limit = \"least\"",
                "line 6: limit names \"least\", which is not a parameter",
            ),
            (
                "order = [\"-events\"]",
                "order = []",
                "line 6: limit needs an order, which decides which rows stay",
            ),
            (
                "type = \"integer\"\ndefault = 1",
                "type = \"text\"\ndefault = \"x\"",
                "line 6: limit names \"most\", which is not an integer",
            ),
            ("name = \"events\"", "name = \"analysis\"", "line 11: a column can't be called \"analysis\""),
            ("name = \"events\"", "name = \"_events\"", "line 1: it has no column to show"),
            ("parameters.most", "parameters.window_to", "$window_to has a meaning already"),
            (
                "\"BlobServiceLogs\"",
                "\"BlobServiceLog\"",
                "line 8: there is no table BlobServiceLog; did you mean BlobServiceLogs?",
            ),
            ("\"BlobServiceLogs\"", "\"x\"", "line 8: there is no table x"),
            ("[\"StorageBlobLogs\", \"BlobServiceLogs\"]", "[]", "line 8: requires names no table"),
            (
                "AccountName",
                "AcountName",
                "line 9: StorageBlobLogs has no column AcountName; did you mean AccountName?",
            ),
            ("[parameters", column, "line 15: there are two columns events"),
        ] {
            let error = checked(&WHOLE.replace(from, to)).unwrap_err().to_string();
            assert!(error.starts_with("mine/detection.toml, line ") && error.contains(message), "{error}");
        }
    }
}
