//! What an import would do with a file: what is detected, the first rows as they would be stored, and what has no place.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Int64Type, TimestampMicrosecondType};
use hindcast_base::nearest::did_you_mean;
use hindcast_base::time::format_micros;
use hindcast_lake::{ADDITIONAL_FIELDS, Tables};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::parse::Parsed;
use super::rows::TableRows;
use super::runs;
use hindcast_records::format::{FileFormat, Kind};
use hindcast_records::framing::Shape;
use hindcast_records::inputs::Layers;
use hindcast_records::source::{Source, TableRule};
use hindcast_records::wrapped::{Message, Wrapped};

/// Rows of a table that are shown.
const SHOWN_ROWS: usize = 3;
/// Rejects that are shown, and characters of the text of each.
const SHOWN_REJECTS: usize = 3;
const SHOWN_TEXT: usize = 300;
/// Rows of a table whose additional fields are collected.
const SAMPLED_ROWS: usize = 10_000;

/// What is detected in a file, and what would be stored of it.
#[derive(Debug, Default, Serialize)]
pub struct FilePreview {
    /// What the text is in, outermost first: `gzip`, `Parquet`; empty for a plain file.
    pub container: Vec<&'static str>,
    /// How its characters are stored.
    pub encoding: &'static str,
    /// How records are separated.
    pub framing: String,
    /// How a record is written.
    pub format: String,
    /// Tables that get rows.
    pub tables: BTreeMap<String, TablePreview>,
    /// The first rejects.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rejects: Vec<RejectPreview>,
    /// Why the format and the source were chosen.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub explanation: Vec<String>,
}

/// What would be stored in a table.
#[derive(Debug, Default, Serialize)]
pub struct TablePreview {
    /// The first rows: the columns that have a value, in the order of the table.
    pub rows: Vec<Map<String, Value>>,
    /// Columns of the source's rules that no row has a value for, and the fields that would fill them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub empty_columns: BTreeMap<String, Vec<String>>,
    /// Columns of the source's rules that the table's definition does not have, with the nearest one that it has.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub undefined_columns: Vec<String>,
    /// Fields of the first rows for which the table has no column.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub additional_fields: BTreeSet<String>,
    /// Columns that a row has a value for.
    #[serde(skip)]
    filled: BTreeSet<String>,
    #[serde(skip)]
    sampled_rows: usize,
}

/// A record that can't be read.
#[derive(Debug, Serialize)]
pub struct RejectPreview {
    /// Its line, from 1.
    pub line: u64,
    /// Why.
    pub reason: String,
    /// The start of its text.
    pub text: String,
}

impl FilePreview {
    /// The preview of a file in this format, with no rows yet.
    pub(super) fn new(layers: &Layers, format: &FileFormat) -> Self {
        Self {
            container: layers.containers.clone(),
            encoding: layers.encoding,
            framing: framing_of(format),
            format: format_of(format),
            ..Self::default()
        }
    }

    /// Adds what was parsed of a block.
    pub(super) fn take(&mut self, parsed: &Parsed, known: Tables) {
        for reject in parsed.rejects.iter().take(SHOWN_REJECTS - self.rejects.len().min(SHOWN_REJECTS)) {
            self.rejects.push(RejectPreview {
                line: parsed.first_line + reject.line + 1,
                reason: reject.reason.clone(),
                text: reject.text.chars().take(SHOWN_TEXT).collect(),
            });
        }
        for rows in &parsed.tables {
            self.tables.entry(rows.table.clone()).or_default().take(rows, known);
        }
    }

    /// Completes the preview of a file of a source.
    pub(super) fn finish(&mut self, source: &Source) {
        let spec_of = |table: &str| source.known.by_name(table);
        for (table, preview) in &mut self.tables {
            let is_of_table = |rule: &TableRule| rule.table.as_ref() == Some(table);
            let has_own_rule = source.tables.iter().any(is_of_table);
            // Other rules are of tables that the records name, or that the user names instead of the rule's.
            let rules = source.tables.iter().filter(|rule| match has_own_rule {
                true => is_of_table(rule),
                false => rule.table.is_none() || spec_of(table).is_none(),
            });
            let spec = spec_of(table);
            for (column, fields) in rules.flat_map(|rule| &rule.columns) {
                if let Some(spec) = spec.filter(|spec| spec.column(column).is_none()) {
                    let hint = did_you_mean(column, spec.columns.iter().map(|known| known.name));
                    preview.undefined_columns.push(format!("{column}{hint}"));
                }
                if !preview.filled.contains(column) {
                    preview.empty_columns.entry(column.clone()).or_default().extend(fields.all().to_vec());
                }
            }
            preview.undefined_columns.dedup();
        }
    }
}

impl TablePreview {
    fn take(&mut self, rows: &TableRows, known: Tables) {
        let (schema, batch) = (rows.batch.schema(), &rows.batch);
        let in_order = runs::in_order(known, &rows.table, rows.cluster.as_deref(), &schema);
        for row in 0..batch.num_rows().min(SHOWN_ROWS - self.rows.len().min(SHOWN_ROWS)) {
            let values = in_order.fields().iter().filter_map(|field| {
                let column = batch.column_by_name(field.name())?;
                Some((field.name().clone(), value_of(column, row)?))
            });
            self.rows.push(values.collect());
        }
        for (field, column) in schema.fields().iter().zip(batch.columns()) {
            if column.null_count() < batch.num_rows() {
                self.filled.insert(field.name().clone());
            }
        }
        let left = SAMPLED_ROWS - self.sampled_rows.min(SAMPLED_ROWS);
        self.sampled_rows += batch.num_rows();
        self.add_additional_fields(batch, left);
    }

    fn add_additional_fields(&mut self, batch: &RecordBatch, rows: usize) {
        let texts = batch.column_by_name(ADDITIONAL_FIELDS).and_then(|column| column.as_string_opt::<i32>());
        for text in texts.into_iter().flatten().take(rows).flatten() {
            let object = serde_json::from_str::<BTreeMap<String, &RawValue>>(text);
            self.additional_fields.extend(object.into_iter().flat_map(BTreeMap::into_keys));
        }
    }
}

/// A value of a column; `None` if it is null.
fn value_of(column: &dyn Array, row: usize) -> Option<Value> {
    if column.is_null(row) {
        return None;
    }
    Some(match column.data_type() {
        DataType::Int64 => Value::from(column.as_primitive::<Int64Type>().value(row)),
        DataType::Timestamp(..) => {
            Value::from(format_micros(column.as_primitive::<TimestampMicrosecondType>().value(row)))
        }
        _ => Value::from(column.as_string_opt::<i32>()?.value(row)),
    })
}

fn framing_of(format: &FileFormat) -> String {
    let records = match format.framing.shape {
        Shape::Lines => "one record per line",
        Shape::Messages => "CEF messages, of one or several lines",
        Shape::OctetCounted { .. } => "records after their length (octet counting)",
        Shape::Csv { .. } => "CSV records",
        Shape::Documents => "JSON documents, of any number of lines",
        Shape::Events => "events in XML",
    };
    let end = match format.framing.line_end {
        b'\r' => "CR",
        0 => "NUL",
        _ => "LF",
    };
    format!("{records}; lines end with {end}")
}

fn format_of(format: &FileFormat) -> String {
    let record = match &format.kind {
        Kind::Json => "JSON".to_owned(),
        Kind::Csv { header, delimiter } => {
            let delimiter = char::from(*delimiter);
            format!("CSV with {} columns, separated by {delimiter:?}", header.len())
        }
        Kind::Rows(names) => format!("lists of values for {} columns, in JSON", names.len()),
        Kind::Cef => "CEF".to_owned(),
        Kind::Event => "Windows events in XML".to_owned(),
        Kind::Zeek(_) => "cells of a Zeek log".to_owned(),
        Kind::Lines(lines) => format!("text as {} writes it", lines.source.name),
    };
    match &format.messages_in {
        Some(Wrapped { path, message: Message::Cef }) => format!("CEF in the field {path} of {record}"),
        Some(Wrapped { path, message: Message::Json }) => format!("JSON in the field {path} of {record}"),
        Some(Wrapped { path, message: Message::Line(lines) }) => {
            format!("text as {} writes it, in the field {path} of {record}", lines.source.name)
        }
        None => record,
    }
}
