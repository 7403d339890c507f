//! The lines of the parts of a case in `cases.toml`, for error messages.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use hindcast_detections::config::Layer;

/// The lines of a case, counted from 1.
#[derive(Debug, Clone, Default)]
pub(super) struct CaseLines {
    /// First line of the case.
    pub(super) line: usize,
    pub(super) expect: ListLines,
    pub(super) summary: ListLines,
    pub(super) findings: ListLines,
    /// The input rows by table.
    rows: BTreeMap<String, ListLines>,
    config: Option<ConfigPlace>,
}

/// The lines of a list of tables.
#[derive(Debug, Clone, Default)]
pub(super) struct ListLines {
    /// First line of the list; 0 if there is none.
    line: usize,
    rows: Vec<RowPlaces>,
}

/// The lines of a row, or of a finding.
#[derive(Debug, Clone)]
struct RowPlaces {
    line: usize,
    columns: BTreeMap<String, usize>,
}

/// First line of a configuration in the file, and whether its lines are lines of the file.
#[derive(Debug, Clone, Copy)]
struct ConfigPlace {
    line: usize,
    has_lines: bool,
}

impl ListLines {
    /// The first line of the list, or `other`.
    pub(super) fn line_or(&self, other: usize) -> usize {
        if self.line == 0 { other } else { self.line }
    }

    /// The line of a column of the row `index`; the line of the row or the list if it has none.
    pub(super) fn line_of(&self, index: usize, column: &str) -> usize {
        let row = self.rows.get(index);
        row.map_or(self.line, |row| row.columns.get(column).copied().unwrap_or(row.line))
    }

    /// The first line on which a column is named.
    pub(super) fn first_of(&self, column: &str) -> usize {
        self.rows.iter().find_map(|row| row.columns.get(column).copied()).unwrap_or(self.line)
    }
}

impl CaseLines {
    /// The line of the case's rows of a table.
    pub(super) fn of_table(&self, table: &str) -> usize {
        self.rows.get(table).map_or(self.line, |rows| rows.line_or(self.line))
    }

    /// The first line on which rows of a table name a column.
    pub(super) fn of_column(&self, table: &str, column: &str) -> usize {
        self.rows.get(table).map_or(self.line, |rows| rows.first_of(column))
    }

    /// The line of the file for a line of the case's configuration.
    pub(super) fn of_config(&self, line: usize) -> usize {
        match self.config {
            Some(config) if config.has_lines => config.line + line.max(1) - 1,
            Some(config) => config.line,
            None => self.line,
        }
    }
}

/// The places of each case of a file, in order.
pub(super) fn lines(layer: &Layer<'_>) -> Vec<CaseLines> {
    let Ok(table) = DeTable::parse(layer.text) else { return Vec::new() };
    let cases = table.get_ref().get("case").and_then(|cases| cases.get_ref().as_array());
    cases.into_iter().flatten().map(|case| of_case(layer, case.get_ref())).collect()
}

fn of_case(layer: &Layer<'_>, case: &DeValue<'_>) -> CaseLines {
    let list = |name: &str| case.get(name).map(|list| of_list(layer, list)).unwrap_or_default();
    let mut rows = BTreeMap::new();
    for (table, list) in case.get("rows").and_then(|rows| rows.get_ref().as_table()).into_iter().flatten() {
        rows.insert(table.get_ref().to_string(), of_list(layer, list));
    }
    CaseLines {
        line: 0,
        expect: list("expect"),
        summary: list("summary"),
        findings: list("findings"),
        rows,
        config: case.get("config").map(|config| of_config(layer, config)),
    }
}

fn of_list(layer: &Layer<'_>, list: &Spanned<DeValue<'_>>) -> ListLines {
    let row = |row: &Spanned<DeValue<'_>>| RowPlaces {
        line: layer.line_of(row.span().start),
        columns: row
            .get_ref()
            .as_table()
            .into_iter()
            .flatten()
            .map(|(name, _)| (name.get_ref().to_string(), layer.line_of(name.span().start)))
            .collect(),
    };
    ListLines {
        line: layer.line_of(list.span().start),
        rows: list.get_ref().as_array().into_iter().flatten().map(row).collect(),
    }
}

fn of_config(layer: &Layer<'_>, config: &Spanned<DeValue<'_>>) -> ConfigPlace {
    let start = config.span().start;
    let written = layer.text.get(start..).unwrap_or_default();
    let quotes = ["\"\"\"", "'''"].into_iter().find(|quotes| written.starts_with(quotes));
    let begins_below = quotes.is_some_and(|quotes| written[quotes.len()..].starts_with(['\n', '\r']));
    ConfigPlace { line: layer.line_of(start) + usize::from(begins_below), has_lines: quotes.is_some() }
}
