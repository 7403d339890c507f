//! Tests of what rows of vendors mean.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, DictionaryArray, RecordBatch};
use arrow::datatypes::Int32Type;
use datafusion::prelude::SessionContext;

use super::*;
use crate::bindings::Bindings;
use crate::config::{Config, Layer, PRESETS};
use crate::sql::{SqlText, expression, session};

/// Columns that rules may read; all others of a row are null.
const COLUMNS: [&str; 8] = [
    VENDOR,
    "DeviceProduct",
    "DeviceEventClassID",
    "Activity",
    "DeviceAction",
    "SimplifiedDeviceAction",
    "DeviceCustomString5",
    "DeviceCustomString6",
];

fn config(text: &str) -> Config {
    Config::load("default", &[Layer { name: "mine.toml", text }]).unwrap()
}

fn rows(rows: &[BTreeMap<String, String>]) -> RecordBatch {
    let column = |name: &str| {
        let texts = rows.iter().map(|row| row.get(name).map(String::as_str));
        Arc::new(texts.collect::<DictionaryArray<Int32Type>>()) as ArrayRef
    };
    RecordBatch::try_from_iter_with_nullable(COLUMNS.map(|name| (name, column(name), true))).unwrap()
}

fn row<const N: usize>(cells: [(&str, &str); N]) -> BTreeMap<String, String> {
    cells.into_iter().map(|(column, text)| (column.to_owned(), text.to_owned())).collect()
}

/// The kind and the outcome of rows.
async fn meanings(config: &Config, table: RecordBatch) -> Vec<(Option<String>, Option<String>)> {
    let session: SessionContext = session().unwrap();
    let frame = session.read_batch(table).unwrap();
    let bindings = Bindings::of(config, "test", &[("kind", KIND), ("outcome", OUTCOME)]).unwrap();
    let value = |text: &'static str| {
        let sql = SqlText { file: "test", line: 1, text };
        expression(&sql, frame.schema(), &bindings).unwrap()
    };
    let values = [value("CAST($kind AS VARCHAR) AS kind"), value("CAST($outcome AS VARCHAR) AS outcome")];
    let batches = frame.clone().select(values).unwrap().collect().await.unwrap();
    let text = |column: &ArrayRef, row: usize| {
        let texts = column.as_string_view();
        texts.is_valid(row).then(|| texts.value(row).to_owned())
    };
    let of_batch = |batch: &RecordBatch| {
        (0..batch.num_rows())
            .map(|row| (text(batch.column(0), row), text(batch.column(1), row)))
            .collect::<Vec<_>>()
    };
    batches.iter().flat_map(of_batch).collect()
}

#[test]
fn the_built_in_meanings_are_read_and_their_rules_are_valid() {
    let read: BTreeMap<String, Meaning> = toml::from_str(BUILT_IN).unwrap();
    let names: Vec<&str> = read.keys().map(String::as_str).collect();
    assert_eq!(names, ["Check Point", "CheckPoint", "Cisco", "F5", "Fortinet", "Zscaler"]);
    for (vendor, meaning) in &read {
        for rule in meaning.kinds.iter().chain(&meaning.outcomes) {
            rule.check().unwrap_or_else(|error| panic!("{vendor}: {error}"));
        }
        assert!(
            meaning.kinds.iter().all(|rule| ["TRAFFIC", "THREAT"].contains(&rule.is.as_str())),
            "{vendor}"
        );
        let outcomes = ["Allowed", "Blocked", "Dropped", "Reset"];
        assert!(meaning.outcomes.iter().all(|rule| outcomes.contains(&rule.is.as_str())), "{vendor}");
    }
    assert_eq!(read["Check Point"], read["CheckPoint"]);
}

#[test]
fn palo_alto_networks_is_read_as_it_is() {
    for preset in PRESETS {
        let config = Config::load(preset, &[]).unwrap();
        assert_eq!(config.firewall.expression(KIND).unwrap(), "DeviceEventClassID");
        assert_eq!(config.firewall.expression(OUTCOME).unwrap(), "SimplifiedDeviceAction");
        assert_eq!(config.firewall.columns_of(KIND), ["DeviceEventClassID"].into());
    }
    assert_eq!(config("").firewall.expression("firewall.vendors"), None);
}

/// A row, and its kind and outcome.
#[derive(Deserialize)]
struct Case {
    row: BTreeMap<String, String>,
    kind: Option<String>,
    outcome: Option<String>,
}

#[derive(Deserialize)]
struct Cases {
    case: Vec<Case>,
}

#[tokio::test]
async fn every_vendor_has_the_same_kinds_and_outcomes() {
    let cases: Cases = toml::from_str(include_str!("../../data/vendors-cases.toml")).unwrap();
    let table = rows(&cases.case.iter().map(|case| case.row.clone()).collect::<Vec<_>>());
    let found = meanings(&config("[firewall]\nvendors = []"), table).await;
    assert_eq!(found.len(), cases.case.len());
    for (case, found) in cases.case.into_iter().zip(found) {
        assert_eq!(found, (case.kind, case.outcome), "{:?}", case.row);
    }
}

#[tokio::test]
async fn a_meaning_of_ones_own_adds_a_vendor_or_replaces_one() {
    let own = config(
        "[firewall]\nvendors = ['SonicWall', 'Fortinet']\n[firewall.meanings.SonicWall]\n\
         kinds = [{ is = 'TRAFFIC', where = { Activity = ['Connection *'] } }]\n\
         outcomes = [{ is = 'Blocked', where = { DeviceAction = [\"drop\"] } }]\n[firewall.meanings.Fortinet]\n",
    );
    let table = rows(&[
        row([(VENDOR, "SonicWall"), ("Activity", "connection closed"), ("DeviceAction", "Drop")]),
        row([(VENDOR, "Fortinet"), ("DeviceEventClassID", "13"), ("Activity", "traffic:forward close")]),
    ]);
    let found = meanings(&own, table).await;
    assert_eq!(found[0], (Some("TRAFFIC".into()), Some("Blocked".into())));
    assert_eq!(found[1], (Some("13".into()), None));
}

#[test]
fn a_rule_that_no_row_can_fit_is_refused() {
    let error = |rule: &str| {
        let text = format!("[firewall.meanings.X]\nkinds = [{{ is = 'TRAFFIC', {rule} }}]");
        Config::load("default", &[Layer { name: "mine.toml", text: &text }]).unwrap_err().to_string()
    };
    for (rule, expected) in [
        (
            "where = { Actvity = ['a'] }",
            "CommonSecurityLog has no column Actvity of text; did you mean Activity?",
        ),
        ("where = { SourcePort = ['a'] }", "has no column SourcePort of text"),
        ("where = { Activity = [] }", "Activity has no text"),
        ("where = { Activity = ['a*b'] }", "a * may only be at the end, or at both ends"),
        ("where = { Activity = ['*b'] }", "a * may only be at the end, or at both ends"),
        ("where = {}", "has no column in `where`"),
    ] {
        let error = error(rule);
        assert!(error.contains("mine.toml") && error.contains(expected), "{rule}: {error}");
    }
}

#[test]
fn the_former_key_is_read_in_any_layer() {
    let lake = Layer { name: "hindcast.toml", text: "[firewall]\nvendor = 'Fortinet'" };
    let own = Layer { name: "mine.toml", text: "[firewall]\nvendors = ['Cisco', 'F5']" };
    assert_eq!(Config::load("default", &[lake]).unwrap().firewall.vendors, ["Fortinet"]);
    assert_eq!(Config::load("default", &[lake, own]).unwrap().firewall.vendors, ["Cisco", "F5"]);
    assert_eq!(Config::load("default", &[own, lake]).unwrap().firewall.vendors, ["Fortinet"]);
    let wrong = Layer { name: "mine.toml", text: "[firewall]\nvendors = 3" };
    assert!(Config::load("default", &[wrong]).unwrap_err().to_string().contains("a list of texts"));
}

#[test]
fn vendors_are_read_as_named_or_all() {
    let firewall = |vendors: &[&str]| Firewall {
        vendors: vendors.iter().map(|vendor| (*vendor).to_owned()).collect(),
        ..Firewall::default()
    };
    assert!(firewall(&["F5"]).reads(Some("F5")));
    assert!(!firewall(&["F5"]).reads(Some("f5")) && !firewall(&["F5"]).reads(None));
    assert!(firewall(&[]).reads(None));
}
