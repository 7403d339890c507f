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

fn rows(rows: &[&[(&str, &str)]]) -> RecordBatch {
    let column = |name: &str| {
        let texts = rows.iter().map(|row| row.iter().find(|(own, _)| *own == name).map(|(_, text)| *text));
        Arc::new(texts.collect::<DictionaryArray<Int32Type>>()) as ArrayRef
    };
    RecordBatch::try_from_iter_with_nullable(COLUMNS.map(|name| (name, column(name), true))).unwrap()
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

#[tokio::test]
async fn every_vendor_has_the_same_kinds_and_outcomes() {
    let all = config("[firewall]\nvendors = []");
    let cases: &[(&[(&str, &str)], &str, &str)] = &[
        (
            &[
                (VENDOR, "Palo Alto Networks"),
                ("DeviceEventClassID", "TRAFFIC"),
                ("SimplifiedDeviceAction", "Reset"),
            ],
            "TRAFFIC",
            "Reset",
        ),
        (
            &[
                (VENDOR, "Fortinet"),
                ("DeviceEventClassID", "00013"),
                ("Activity", "traffic:forward close"),
                ("DeviceAction", "close"),
            ],
            "TRAFFIC",
            "Allowed",
        ),
        (
            &[
                (VENDOR, "Fortinet"),
                ("DeviceEventClassID", "16384"),
                ("Activity", "utm:ips signature dropped"),
                ("DeviceAction", "dropped"),
            ],
            "THREAT",
            "Dropped",
        ),
        (
            &[
                (VENDOR, "Fortinet"),
                ("DeviceEventClassID", "13056"),
                ("Activity", "utm:webfilter ftgd_blk blocked"),
                ("DeviceAction", "blocked"),
            ],
            "THREAT",
            "Blocked",
        ),
        (
            &[
                (VENDOR, "Fortinet"),
                ("DeviceEventClassID", "13312"),
                ("Activity", "utm:webfilter ftgd_allow passthrough"),
                ("DeviceAction", "passthrough"),
            ],
            "13312",
            "Allowed",
        ),
        (
            &[
                (VENDOR, "Check Point"),
                ("DeviceProduct", "VPN-1 & FireWall-1"),
                ("DeviceEventClassID", "Log"),
                ("DeviceAction", "Drop"),
            ],
            "TRAFFIC",
            "Dropped",
        ),
        (
            &[
                (VENDOR, "CheckPoint"),
                ("DeviceProduct", "SmartDefense"),
                ("DeviceEventClassID", "Log"),
                ("DeviceAction", "Prevent"),
            ],
            "THREAT",
            "Blocked",
        ),
        (
            &[(VENDOR, "Cisco"), ("DeviceProduct", "ASA"), ("DeviceEventClassID", "106023")],
            "TRAFFIC",
            "Blocked",
        ),
        (
            &[
                (VENDOR, "Cisco"),
                ("DeviceProduct", "ASA"),
                ("DeviceEventClassID", "106100"),
                ("DeviceAction", "permitted"),
            ],
            "TRAFFIC",
            "Allowed",
        ),
        (
            &[(VENDOR, "Cisco"), ("DeviceProduct", "ASA"), ("DeviceEventClassID", "302014")],
            "TRAFFIC",
            "Allowed",
        ),
        (
            &[
                (VENDOR, "Cisco"),
                ("DeviceProduct", "ASA"),
                ("DeviceEventClassID", "302013"),
                ("DeviceAction", "Built"),
            ],
            "302013",
            "Allowed",
        ),
        (
            &[
                (VENDOR, "Cisco"),
                ("DeviceProduct", "FTD"),
                ("DeviceEventClassID", "430003"),
                ("DeviceAction", "Block with reset"),
            ],
            "TRAFFIC",
            "Reset",
        ),
        (
            &[
                (VENDOR, "Cisco"),
                ("DeviceProduct", "FTD"),
                ("DeviceEventClassID", "430001"),
                ("DeviceAction", "Would block"),
            ],
            "THREAT",
            "Allowed",
        ),
        (
            &[
                (VENDOR, "Cisco"),
                ("DeviceProduct", "Firepower"),
                ("DeviceEventClassID", "RNA:1003:1"),
                ("DeviceAction", "Allow"),
            ],
            "TRAFFIC",
            "Allowed",
        ),
        (
            &[
                (VENDOR, "Zscaler"),
                ("DeviceProduct", "NSSFWlog"),
                ("DeviceEventClassID", "Drop"),
                ("DeviceAction", "Drop"),
                ("DeviceCustomString6", "None"),
            ],
            "TRAFFIC",
            "Dropped",
        ),
        (
            &[
                (VENDOR, "Zscaler"),
                ("DeviceProduct", "NSSFWlog"),
                ("DeviceEventClassID", "IPS Reset"),
                ("DeviceAction", "IPS Reset"),
            ],
            "THREAT",
            "Reset",
        ),
        (
            &[
                (VENDOR, "Zscaler"),
                ("DeviceProduct", "NSSWeblog"),
                ("DeviceEventClassID", "Blocked"),
                ("DeviceAction", "Blocked"),
                ("DeviceCustomString5", "Win32.Emotet"),
            ],
            "THREAT",
            "Blocked",
        ),
        (
            &[
                (VENDOR, "Zscaler"),
                ("DeviceProduct", "NSSWeblog"),
                ("DeviceEventClassID", "Allowed"),
                ("DeviceAction", "Allowed"),
                ("DeviceCustomString5", ""),
            ],
            "TRAFFIC",
            "Allowed",
        ),
        (
            &[
                (VENDOR, "F5"),
                ("DeviceProduct", "ASM"),
                ("DeviceEventClassID", "Successful Request"),
                ("DeviceAction", "passed"),
            ],
            "TRAFFIC",
            "Allowed",
        ),
        (
            &[
                (VENDOR, "F5"),
                ("DeviceProduct", "ASM"),
                ("DeviceEventClassID", "200021069"),
                ("DeviceAction", "blocked"),
            ],
            "THREAT",
            "Blocked",
        ),
        (
            &[
                (VENDOR, "Zeek"),
                ("DeviceEventClassID", "TRAFFIC"),
                ("DeviceAction", "SF"),
                ("SimplifiedDeviceAction", "x"),
            ],
            "TRAFFIC",
            "x",
        ),
    ];
    let table = rows(&cases.iter().map(|(row, ..)| *row).collect::<Vec<_>>());
    let found = meanings(&all, table).await;
    for ((row, kind, outcome), found) in cases.iter().zip(&found) {
        assert_eq!(found, &(Some((*kind).to_owned()), Some((*outcome).to_owned())), "{row:?}");
    }
    assert_eq!(found.len(), cases.len());
}

#[tokio::test]
async fn a_meaning_of_ones_own_adds_a_vendor_or_replaces_one() {
    let own = config(
        "[firewall]\nvendors = ['SonicWall', 'Fortinet']\n[firewall.meanings.SonicWall]\n\
         kinds = [{ is = 'TRAFFIC', where = { Activity = ['Connection *'] } }]\n\
         outcomes = [{ is = 'Blocked', where = { DeviceAction = [\"drop\"] } }]\n[firewall.meanings.Fortinet]\n",
    );
    let table = rows(&[
        &[(VENDOR, "SonicWall"), ("Activity", "connection closed"), ("DeviceAction", "Drop")],
        &[(VENDOR, "Fortinet"), ("DeviceEventClassID", "13"), ("Activity", "traffic:forward close")],
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
