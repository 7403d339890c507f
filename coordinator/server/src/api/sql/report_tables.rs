//! Parts of a job's report as tables: incidents, entities, and the risk of each day. Lists become JSON text.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use hindcast_base::{Error, Result};
use serde_json::Value;

use hindcast_scan::Report;

/// Names of these tables.
pub(super) const REPORT_TABLES: [&str; 3] = ["entities", "incidents", "risk_by_day"];

/// Columns of text or JSON, then columns of whole numbers.
type Columns = (&'static [&'static str], &'static [&'static str]);

const INCIDENTS: Columns = (
    &[
        "id",
        "level",
        "severity",
        "first_seen",
        "last_seen",
        "suites",
        "tactics",
        "stages",
        "entities",
        "ties",
        "findings",
        "contributions",
    ],
    &["score"],
);
const ENTITIES: Columns = (&["kind", "name", "full_name", "level", "contributions"], &["score", "sources"]);
const DAYS: Columns = (&["date", "through", "level"], &["score", "findings"]);

/// The table `name`, one of [`REPORT_TABLES`].
///
/// # Errors
/// If the report can't be converted to columns.
pub(super) fn report_table(name: &str, report: &Report) -> Result<RecordBatch> {
    let (rows, columns) = match name {
        "incidents" => (serde_json::to_value(&report.incidents), INCIDENTS),
        "entities" => (serde_json::to_value(&report.entities), ENTITIES),
        _ => (serde_json::to_value(&report.summary.risk_by_day), DAYS),
    };
    let rows = rows.map_err(|error| Error::Internal(error.to_string()))?;
    let mut texts = columns.0.to_vec();
    if name == "incidents" && !report.summary.roots.is_empty() {
        texts.push("roots");
    }
    batch(rows.as_array().map_or(&[] as &[Value], Vec::as_slice), &texts, columns.1)
}

fn batch(rows: &[Value], texts: &[&str], numbers: &[&str]) -> Result<RecordBatch> {
    let text = |value: &Value| match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    let text_columns = texts.iter().map(|name| {
        let values: StringArray = rows.iter().map(|row| text(&row[*name])).collect();
        (*name, Arc::new(values) as ArrayRef, true)
    });
    let number_columns = numbers.iter().map(|name| {
        let values: Int64Array = rows.iter().map(|row| row[*name].as_i64()).collect();
        (*name, Arc::new(values) as ArrayRef, true)
    });
    let columns: Vec<_> = text_columns.chain(number_columns).collect();
    RecordBatch::try_from_iter_with_nullable(columns).map_err(|error| Error::Engine(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    use arrow::array::AsArray;

    #[test]
    fn lists_become_text_and_missing_values_become_null() {
        let rows = [serde_json::json!({"kind": "user", "score": 7, "contributions": [{"from": "a"}]})];
        let entities = batch(&rows, ENTITIES.0, ENTITIES.1).unwrap();
        assert_eq!(entities["kind"].as_string::<i32>().value(0), "user");
        assert_eq!(entities["contributions"].as_string::<i32>().value(0), "[{\"from\":\"a\"}]");
        assert!(entities["full_name"].is_null(0) && entities["sources"].is_null(0));
        assert_eq!(batch(&[], INCIDENTS.0, INCIDENTS.1).unwrap().num_rows(), 0);
    }
}
