//! Findings and incidents as Parquet, CSV and JSON lines.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use hindcast_base::{Error, Result};
use hindcast_detections::findings::Finding;
use hindcast_risk::correlate::Incident;
use hindcast_scan::ScanResult;
use serde_json::Value;

use super::{Choice, Format, json, ocsf, tables};

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
    tables::write_batch(file, &batch).map_err(|error| Error::io(action)(std::io::Error::other(error)))
}

/// Writes one JSON value per line.
pub(crate) fn write_lines<T: serde::Serialize>(
    values: impl IntoIterator<Item = T>,
    path: &Path,
) -> Result<()> {
    fs::write(path, json::lines(values)?).map_err(Error::io(format!("writing {}", path.display())))
}

/// `findings.csv`.
pub(super) fn findings_csv(result: &ScanResult, choice: Choice<'_>) -> Result<Vec<u8>> {
    csv(&findings_batch(&result.findings)?, choice)
}

/// `incidents.csv`.
pub(super) fn incidents_csv(result: &ScanResult, choice: Choice<'_>) -> Result<Vec<u8>> {
    csv(&incidents_batch(&result.report.incidents)?, choice)
}

fn csv(batch: &RecordBatch, choice: Choice<'_>) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let written = tables::write_csv_batch(&mut bytes, batch, choice);
    written.map_err(|error| Error::Internal(format!("writing CSV: {error}")))?;
    Ok(bytes)
}

/// Columns that hold JSON text.
const JSON_COLUMNS: [&str; 5] = ["entities", "techniques", "evidence", "watchlists", "roots"];

/// One row per finding. Lists and objects are JSON text. There is a column of roots only if the lake has several.
///
/// # Errors
/// [`Error::Engine`] if the columns make no batch.
pub fn findings_batch(findings: &[Finding]) -> Result<RecordBatch> {
    let json = |value: &dyn Fn(&Finding) -> Value| -> Vec<Option<String>> {
        findings.iter().map(|finding| Some(value(finding).to_string())).collect()
    };
    let text = |value: &dyn Fn(&Finding) -> Option<String>| findings.iter().map(value).collect::<Vec<_>>();
    let mut texts: Vec<(&str, Vec<Option<String>>)> = vec![
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
    if findings.iter().any(|finding| !finding.roots.is_empty()) {
        texts.push(("roots", json(&|f| serde_json::json!(f.roots))));
    }
    let numbers: Vec<(&str, Vec<i64>)> = vec![
        ("confidence", findings.iter().map(|f| i64::from(f.confidence)).collect()),
        ("rows", findings.iter().map(|f| f.rows as i64).collect()),
    ];
    batch_of(texts, numbers)
}

/// One row per incident. Lists and objects are JSON text. There is a column of roots only if the lake has several.
///
/// # Errors
/// [`Error::Engine`] if the columns make no batch.
pub(super) fn incidents_batch(incidents: &[Incident]) -> Result<RecordBatch> {
    let json = |value: &dyn Fn(&Incident) -> Value| -> Vec<Option<String>> {
        incidents.iter().map(|incident| Some(value(incident).to_string())).collect()
    };
    let text = |value: &dyn Fn(&Incident) -> Option<String>| incidents.iter().map(value).collect::<Vec<_>>();
    let mut texts: Vec<(&str, Vec<Option<String>>)> = vec![
        ("id", text(&|i| Some(i.id.clone()))),
        ("level", text(&|i| Some(i.risk.level.name().into()))),
        ("severity", text(&|i| Some(i.severity.name().into()))),
        ("first_seen", text(&|i| i.first_seen.clone())),
        ("last_seen", text(&|i| i.last_seen.clone())),
        ("suites", json(&|i| serde_json::json!(i.suites))),
        ("tactics", json(&|i| serde_json::json!(i.tactics))),
        ("stages", json(&|i| serde_json::json!(i.stages))),
        ("entities", json(&|i| serde_json::json!(i.entities))),
        ("ties", json(&|i| serde_json::json!(i.relations))),
        ("findings", json(&|i| serde_json::json!(i.findings))),
    ];
    if incidents.iter().any(|incident| !incident.roots.is_empty()) {
        texts.push(("roots", json(&|i| serde_json::json!(i.roots))));
    }
    let risks = incidents.iter().map(|incident| incident.risk.score as i64).collect();
    batch_of(texts, vec![("risk", risks)])
}

fn batch_of(texts: Vec<(&str, Vec<Option<String>>)>, numbers: Vec<(&str, Vec<i64>)>) -> Result<RecordBatch> {
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

/// The findings of batches that [`findings_batch`] made.
///
/// # Errors
/// [`Error::Internal`] if the batches have other columns or values.
pub fn findings_of_batches(batches: &[RecordBatch]) -> Result<Vec<Finding>> {
    let invalid = |what: &dyn std::fmt::Display| Error::Data(format!("a finding can't be read: {what}"));
    let mut findings = Vec::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            let mut object = serde_json::Map::new();
            for (column, field) in batch.columns().iter().zip(batch.schema().fields()) {
                let value = match (column.as_string_opt::<i32>(), column.as_primitive_opt::<Int64Type>()) {
                    _ if column.is_null(row) => Value::Null,
                    (Some(texts), _) if JSON_COLUMNS.contains(&field.name().as_str()) => {
                        serde_json::from_str(texts.value(row)).map_err(|error| invalid(&error))?
                    }
                    (Some(texts), _) => Value::from(texts.value(row)),
                    (None, Some(numbers)) => Value::from(numbers.value(row)),
                    (None, None) => return Err(invalid(&field.data_type())),
                };
                object.insert(field.name().clone(), value);
            }
            findings.push(serde_json::from_value(Value::Object(object)).map_err(|error| invalid(&error))?);
        }
    }
    Ok(findings)
}

fn unquoted(text: Option<String>) -> Option<String> {
    text.map(|text| text.trim_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::example::result;
    use super::*;

    fn text(batch: &RecordBatch, column: &str, row: usize) -> String {
        batch[column].as_string::<i32>().value(row).to_owned()
    }

    #[test]
    fn findings_survive_their_columns() {
        let findings = result().findings;
        let batch = findings_batch(&findings).unwrap();
        assert_eq!(batch.num_rows(), 2);
        assert_eq!(text(&batch, "stage", 1), "beacon");
        assert_eq!(text(&batch, "watchlists", 0), "[\"vip\"]");
        assert_eq!(batch["rows"].as_primitive::<Int64Type>().values(), &[3, 1]);
        assert_eq!(findings_of_batches(&[batch]).unwrap(), findings);
        assert!(findings_of_batches(&[findings_batch(&[]).unwrap()]).unwrap().is_empty());
    }

    #[test]
    fn roots_are_a_column_only_in_a_lake_with_several() {
        let mut findings = result().findings;
        assert!(findings_batch(&findings).unwrap().column_by_name("roots").is_none());
        findings[0].roots = ["emea".to_owned(), "main".to_owned()].into();
        let batch = findings_batch(&findings).unwrap();
        assert_eq!(text(&batch, "roots", 0), "[\"emea\",\"main\"]");
        assert_eq!(findings_of_batches(&[batch]).unwrap(), findings);
    }

    #[test]
    fn columns_of_another_table_are_no_findings() {
        let numbers: arrow::array::ArrayRef = Arc::new(Int64Array::from(vec![1]));
        let batch = RecordBatch::try_from_iter([("id", numbers)]).unwrap();
        let error = findings_of_batches(&[batch]).unwrap_err().to_string();
        assert!(error.contains("a finding can't be read"), "{error}");
    }

    #[test]
    fn an_incident_is_one_row_with_its_risk() {
        let batch = incidents_batch(&result().report.incidents).unwrap();
        assert_eq!((text(&batch, "id", 0), text(&batch, "level", 0)), ("i-1".into(), "HIGH".into()));
        assert_eq!(text(&batch, "stages", 0), "[\"staging\",\"beacon\"]");
        assert_eq!(text(&batch, "ties", 0), "[]");
        assert_eq!(batch["risk"].as_primitive::<Int64Type>().values(), &[85]);
    }
}
