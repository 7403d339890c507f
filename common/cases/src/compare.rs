//! Compares the outcome of a case with the expectations in its file.

use std::collections::BTreeSet;

use arrow::array::RecordBatch;
use serde_json::Value;
use toml::{Table, Value as Toml};

use super::form::{Case, ExpectedFinding};
use super::lines::ListLines;
use super::outcome::CaseOutcome;
use hindcast_base::format::counted;
use hindcast_base::nearest::did_you_mean;
use hindcast_base::time::{format_micros, parse_time_us};
use hindcast_detections::findings::{Finding, Row};

/// Null in `cases.toml`, because TOML has none.
const NULL: &str = "null";
/// Relative tolerance for the last digits of a sum.
const TOLERANCE: f64 = 1e-9;

/// One difference from the expectations of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The line of the expectation in `cases.toml`, counted from 1.
    pub line: usize,
    /// The difference; further lines may list the actual values.
    pub message: String,
}

impl Difference {
    pub(super) fn new(line: usize, message: String) -> Self {
        Self { line, message }
    }

    /// A number of rows or findings that is not the expected one.
    fn count(line: usize, of: &str, expected: usize, actual: &[String]) -> Self {
        let listed: String = actual.iter().map(|one| format!("\n      {one}")).collect();
        let found = counted(actual.len() as u64, of);
        Self::new(line, format!("{found}, but the case expects {expected}{listed}"))
    }
}

/// All differences.
pub(super) fn differences(case: &Case, outcome: &CaseOutcome) -> Vec<Difference> {
    let lines = &case.lines;
    let mut found = of_table("row", (&case.expect, &lines.expect), &outcome.result);
    if let (Some(summary), Some(companion)) = (&case.summary, &outcome.companion) {
        found.extend(of_table("summary row", (summary, &lines.summary), companion));
    }
    if let Some(findings) = &case.findings {
        found.extend(of_findings((findings, &lines.findings), &outcome.findings));
    }
    found
}

fn of_table(of: &str, (expected, lines): (&[Table], &ListLines), actual: &RecordBatch) -> Vec<Difference> {
    let rows: Vec<Row<'_>> = (0..actual.num_rows()).map(|index| Row::new(actual, index)).collect();
    let named: BTreeSet<&String> = expected.iter().flat_map(Table::keys).collect();
    let schema = actual.schema();
    let known: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let absent = unknown_columns(of, (expected, lines), &known);
    if !absent.is_empty() {
        return absent;
    }
    if rows.len() != expected.len() {
        // Only the columns that the case names, or all if it names none.
        let describe = |row: &Row<'_>| match named.is_empty() {
            true => row.to_json(&[]).to_string(),
            false => {
                let cells = named.iter().map(|column| format!("{column} = {}", row.json_of(column)));
                format!("{{ {} }}", cells.collect::<Vec<_>>().join(", "))
            }
        };
        let actual: Vec<String> = rows.iter().map(describe).collect();
        return vec![Difference::count(lines.line_or(1), of, expected.len(), &actual)];
    }
    let mut found = Vec::new();
    for (index, (row, expected)) in rows.iter().zip(expected).enumerate() {
        for (column, value) in expected {
            let actual = row.json_of(column);
            if !is_equal(&actual, value) {
                let message =
                    format!("{of} {}: {column} is {actual}, but the case expects {value}", index + 1);
                found.push(Difference::new(lines.line_of(index, column), message));
            }
        }
    }
    found
}

/// The columns that rows name and `known` lacks, each at its first mention.
pub(super) fn unknown_columns(
    of: &str,
    (rows, lines): (&[Table], &ListLines),
    known: &[&str],
) -> Vec<Difference> {
    let named: BTreeSet<&String> = rows.iter().flat_map(Table::keys).collect();
    let unknown = named.into_iter().filter(|column| !known.contains(&column.as_str()));
    let differences = unknown.map(|column| {
        let hint = did_you_mean(column, known.iter().copied());
        Difference::new(lines.first_of(column), format!("the {of}s have no column {column}{hint}"))
    });
    differences.collect()
}

fn of_findings((expected, lines): (&[ExpectedFinding], &ListLines), actual: &[Finding]) -> Vec<Difference> {
    if expected.len() != actual.len() {
        let describe = |finding: &Finding| {
            let entities: Vec<String> = named(finding).into_iter().collect();
            let (severity, confidence) = (finding.severity.name(), finding.confidence);
            format!("{severity}, {confidence}, {}: {}", entities.join(", "), finding.explanation)
        };
        let actual: Vec<String> = actual.iter().map(describe).collect();
        return vec![Difference::count(lines.line_or(1), "finding", expected.len(), &actual)];
    }
    let mut found = Vec::new();
    for (index, (expected, actual)) in expected.iter().zip(actual).enumerate() {
        let time = |text: &String| parse_time_us(text).map_or_else(|| text.clone(), format_micros);
        let entities = expected.entities.as_ref().map(|all| all.iter().cloned().collect::<BTreeSet<_>>());
        let list = |entities: &BTreeSet<String>| format!("{entities:?}");
        let seen = |time: &Option<String>| time.clone().unwrap_or_else(|| NULL.to_owned());
        let fields = [
            ("title", expected.title.clone(), actual.title.clone()),
            ("severity", expected.severity.map(|value| value.name().into()), actual.severity.name().into()),
            ("confidence", expected.confidence.map(|value| value.to_string()), actual.confidence.to_string()),
            ("entities", entities.as_ref().map(list), list(&named(actual))),
            ("explanation", expected.explanation.clone(), actual.explanation.clone()),
            ("rows", expected.rows.map(|value| value.to_string()), actual.rows.to_string()),
            ("first_seen", expected.first_seen.as_ref().map(time), seen(&actual.first_seen)),
            ("last_seen", expected.last_seen.as_ref().map(time), seen(&actual.last_seen)),
        ];
        for (column, expected, actual) in fields {
            if let Some(expected) = expected.filter(|expected| *expected != actual) {
                let message =
                    format!("finding {}: {column} is {actual}, but the case expects {expected}", index + 1);
                found.push(Difference::new(lines.line_of(index, column), message));
            }
        }
    }
    found
}

/// Kind and name of each entity of a finding.
fn named(finding: &Finding) -> BTreeSet<String> {
    finding.entities.iter().map(|entity| format!("{} {}", entity.kind.name(), entity.name)).collect()
}

/// Whether values are equal: numbers within the tolerance, times as instants.
fn is_equal(actual: &Value, expected: &Toml) -> bool {
    let number = match expected {
        Toml::Integer(whole) => Some(*whole as f64),
        Toml::Float(number) => Some(*number),
        _ => None,
    };
    if let (Some(actual), Some(expected)) = (actual.as_f64(), number) {
        return (actual - expected).abs() <= TOLERANCE * expected.abs().max(1.0);
    }
    match (actual, expected) {
        (Value::Null, Toml::String(text)) => text == NULL,
        (Value::Bool(actual), Toml::Boolean(expected)) => actual == expected,
        (Value::String(actual), Toml::String(expected)) => {
            actual == expected || is_same_time(actual, expected)
        }
        (Value::String(actual), Toml::Datetime(expected)) => is_same_time(actual, &expected.to_string()),
        _ => false,
    }
}

fn is_same_time(left: &str, right: &str) -> bool {
    parse_time_us(left).is_some_and(|left| parse_time_us(right) == Some(left))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn equal_values_match() {
        let time: Table = toml::from_str("time = 2026-03-01T10:00:00Z").unwrap();
        for (actual, expected) in [
            (json!(3), Toml::Integer(3)),
            (json!(0.1 + 0.2), Toml::Float(0.3)),
            (json!(3), Toml::Float(3.0)),
            (json!(null), Toml::String("null".into())),
            (json!(true), Toml::Boolean(true)),
            (json!("2026-03-01T10:00:00Z"), time["time"].clone()),
            (json!("2026-03-01T10:00:00Z"), Toml::String("2026-03-01T10:00:00.000Z".into())),
        ] {
            assert!(is_equal(&actual, &expected), "{actual} {expected}");
        }
        for (actual, expected) in [
            (json!(3), Toml::Integer(4)),
            (json!(3), Toml::String("3".into())),
            (json!("null"), Toml::String("nothing".into())),
            (json!(null), Toml::Integer(0)),
            (json!(0.3001), Toml::Float(0.3)),
        ] {
            assert!(!is_equal(&actual, &expected), "{actual} {expected}");
        }
    }
}
