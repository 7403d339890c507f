//! Runs analyses with the binary against the cases in `cases/<analysis>.toml`: input rows and expected rows. These are the analyses of
//! investigations, and one of a suite; the cases of other detections are in their folders and run in memory.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use hindcast_detections::Detections;
use serde::Deserialize;
use serde_json::Value;

use crate::location_database::write_location_database;
use crate::support::{Place, stderr};

/// A case: a lake of few rows, and the result of one analysis.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// Name of the case.
    name: String,
    /// Arguments in addition to the lake; `{geoip}` is a database of the places in `location_database.rs`.
    #[serde(default)]
    arguments: String,
    /// Kind and name of the investigated entity; without it all rows are scanned.
    #[serde(default)]
    investigate: Option<String>,
    /// Configuration on top of the preset.
    #[serde(default)]
    config: String,
    /// Exit status: 3 if the suite examines no row.
    #[serde(default)]
    status: i32,
    /// Rows by table; a row's time determines its date folder.
    rows: BTreeMap<String, Vec<BTreeMap<String, Value>>>,
    /// All rows of the result, in order, with the compared columns.
    expect: Vec<BTreeMap<String, Value>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cases {
    case: Vec<Case>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/cases")
}

/// The analyses and other tables with cases.
fn with_cases() -> Vec<String> {
    let entries = fs::read_dir(folder()).expect("the folder of cases");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut ids: Vec<String> =
        paths.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect();
    ids.sort();
    ids
}

#[test]
fn every_analysis_of_an_investigation_has_cases_with_results() {
    for analysis in Detections::built_in().investigation() {
        let cases = read_cases(analysis.id);
        let inputs: usize = cases.iter().flat_map(|case| case.rows.values()).map(Vec::len).sum();
        assert!(inputs > 0 && cases.iter().any(|case| !case.expect.is_empty()), "{}", analysis.id);
    }
}

#[test]
fn results_equal_the_cases() {
    for id in with_cases() {
        for case in read_cases(&id) {
            check(&id, &case);
        }
    }
}

fn read_cases(analysis: &str) -> Vec<Case> {
    let path = folder().join(format!("{analysis}.toml"));
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    toml::from_str::<Cases>(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display())).case
}

fn check(analysis: &str, case: &Case) {
    let place = Place::new();
    for (table, rows) in &case.rows {
        for (date, of_date) in by_date(rows) {
            place.write_rows(table, &date, "part-0.parquet", &of_date);
        }
    }
    let config = place.path("case.toml");
    fs::write(&config, &case.config).expect("a configuration file");
    let geoip = place.path("geoip.mmdb");
    write_location_database(&geoip);
    let own = case.arguments.replace("{geoip}", &geoip.display().to_string());
    let arguments = format!("--config {} {own}", config.display());
    let output = match &case.investigate {
        Some(entity) => place.investigate(entity, &arguments),
        None => place.scan(&format!("--only {analysis} {arguments}")),
    };
    assert_eq!(output.status.code(), Some(case.status), "{analysis}, {}: {}", case.name, stderr(&output));
    let rows = place.table(analysis);
    assert_eq!(rows.len(), case.expect.len(), "{analysis}, {}: {rows:#?}", case.name);
    for (row, expected) in rows.iter().zip(&case.expect) {
        for (column, value) in expected {
            assert!(
                is_alike(&row[column], value),
                "{analysis}, {}: {column} of {row:#}, not {value}",
                case.name
            );
        }
    }
}

fn by_date(rows: &[BTreeMap<String, Value>]) -> BTreeMap<String, Vec<BTreeMap<String, Value>>> {
    let mut dates: BTreeMap<String, Vec<BTreeMap<String, Value>>> = BTreeMap::new();
    for row in rows {
        let time = row.get("Timestamp").or(row.get("TimeGenerated")).and_then(Value::as_str).expect("a time");
        dates.entry(time[..10].to_owned()).or_default().push(row.clone());
    }
    dates
}

/// Whether two values are equal, numbers except for the last digits. The text `null` stands for null, which TOML lacks.
fn is_alike(actual: &Value, expected: &Value) -> bool {
    match (actual.as_f64(), expected.as_f64()) {
        (Some(actual), Some(expected)) => (actual - expected).abs() <= 1e-9 * expected.abs().max(1.0),
        _ if expected == "null" => actual.is_null(),
        _ => actual == expected,
    }
}
