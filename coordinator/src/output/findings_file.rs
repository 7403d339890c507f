//! Findings as Parquet and JSON lines.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use hindcast_common::findings::Finding;
use hindcast_common::{Error, Result};
use serde_json::Value;

use super::{Format, ocsf, tables};

/// Writes `findings.parquet` and `findings.jsonl`.
pub(super) fn write(findings: &[Finding], folder: &Path, formats: &[Format], version: &str) -> Result<()> {
    let path = folder.join("findings.jsonl");
    if formats.contains(&Format::Ocsf) {
        write_lines(findings.iter().map(|finding| ocsf::detection_finding(finding, version)), &path)?;
    } else {
        write_lines(findings, &path)?;
    }

    let path = folder.join("findings.parquet");
    let action = format!("writing {}", path.display());
    let file = File::create(&path).map_err(Error::io(action.as_str()))?;
    let batch = findings_batch(findings)?;
    tables::write_parquet(file, &[batch]).map_err(|error| Error::io(action)(std::io::Error::other(error)))
}

/// Writes one JSON value a line.
pub(crate) fn write_lines<T: serde::Serialize>(
    values: impl IntoIterator<Item = T>,
    path: &Path,
) -> Result<()> {
    let mut lines = Vec::new();
    for value in values {
        serde_json::to_writer(&mut lines, &value).map_err(|error| Error::Internal(error.to_string()))?;
        lines.push(b'\n');
    }
    fs::write(path, lines).map_err(Error::io(format!("writing {}", path.display())))
}

/// Columns that hold JSON text.
const JSON_COLUMNS: [&str; 4] = ["entities", "techniques", "evidence", "watchlists"];

/// One row a finding; lists and objects as JSON text.
///
/// # Errors
/// [`Error::Engine`] where the columns do not fit each other.
pub fn findings_batch(findings: &[Finding]) -> Result<RecordBatch> {
    let json = |value: &dyn Fn(&Finding) -> Value| -> Vec<Option<String>> {
        findings.iter().map(|finding| Some(value(finding).to_string())).collect()
    };
    let text = |value: &dyn Fn(&Finding) -> Option<String>| findings.iter().map(value).collect::<Vec<_>>();
    let texts: Vec<(&str, Vec<Option<String>>)> = vec![
        ("id", text(&|f| Some(f.id.clone()))),
        ("analysis", text(&|f| Some(f.analysis.clone()))),
        ("suite", text(&|f| Some(f.suite.name().into()))),
        ("title", text(&|f| Some(f.title.clone()))),
        ("severity", text(&|f| Some(f.severity.name().into()))),
        ("first_seen", text(&|f| f.first_seen.clone())),
        ("last_seen", text(&|f| f.last_seen.clone())),
        ("stage", json(&|f| serde_json::json!(f.stage)).into_iter().map(unquoted).collect()),
        ("explanation", text(&|f| Some(f.explanation.clone()))),
        ("entities", json(&|f| serde_json::json!(f.entities))),
        ("techniques", json(&|f| serde_json::json!(f.techniques))),
        ("evidence", json(&|f| f.evidence.clone())),
        ("watchlists", json(&|f| serde_json::json!(f.watchlists))),
    ];
    let numbers: Vec<(&str, Vec<i64>)> = vec![
        ("confidence", findings.iter().map(|f| i64::from(f.confidence)).collect()),
        ("rows", findings.iter().map(|f| f.rows as i64).collect()),
    ];
    let mut fields = Vec::new();
    let mut columns: Vec<arrow::array::ArrayRef> = Vec::new();
    for (name, values) in texts {
        fields.push(Field::new(name, DataType::Utf8, true));
        columns.push(Arc::new(StringArray::from(values)));
    }
    for (name, values) in numbers {
        fields.push(Field::new(name, DataType::Int64, true));
        columns.push(Arc::new(Int64Array::from(values)));
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(|error| Error::Engine(error.into()))
}

/// The findings of batches made by [`findings_batch`].
///
/// # Errors
/// [`Error::Internal`] where the batches are others.
pub fn findings_of_batches(batches: &[RecordBatch]) -> Result<Vec<Finding>> {
    let strange = |what: &dyn std::fmt::Display| Error::Internal(format!("a finding can't be read: {what}"));
    let mut findings = Vec::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            let mut object = serde_json::Map::new();
            for (column, field) in batch.columns().iter().zip(batch.schema().fields()) {
                let value = match (column.as_string_opt::<i32>(), column.as_primitive_opt::<Int64Type>()) {
                    _ if column.is_null(row) => Value::Null,
                    (Some(texts), _) if JSON_COLUMNS.contains(&field.name().as_str()) => {
                        serde_json::from_str(texts.value(row)).map_err(|error| strange(&error))?
                    }
                    (Some(texts), _) => Value::from(texts.value(row)),
                    (None, Some(numbers)) => Value::from(numbers.value(row)),
                    (None, None) => return Err(strange(&field.data_type())),
                };
                object.insert(field.name().clone(), value);
            }
            findings.push(serde_json::from_value(Value::Object(object)).map_err(|error| strange(&error))?);
        }
    }
    Ok(findings)
}

fn unquoted(text: Option<String>) -> Option<String> {
    text.map(|text| text.trim_matches('"').to_owned())
}
