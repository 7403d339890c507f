//! Tests of the contents that a rollup's file may have, and of the lines that errors name.

use super::*;
use crate::Detections;
use crate::config::{Config, Layer, PRESETS};

const GOOD: &str = r#"
version = 1
tables = ["CommonSecurityLog"]
uses = { vendors = "firewall.vendors" }
filter = """
is_one_of(DeviceVendor, $vendors)
AND DestinationPort = 53"""
columns = [
  "SourceIP AS source_ip",
  "SentBytes AS sent",
  "TimeGenerated AS time",
  "second_of(TimeGenerated) AS second",
]
bucket_key = ["source_ip"]
keys = ["source_ip"]
measures = [
  { name = "sessions", kind = "count" },
  { name = "bytes_sent", kind = "sum", of = "sent" },
  { name = "first_seen", kind = "min", of = "time" },
  { name = "last_seen", kind = "max", of = "time" },
  { name = "seconds", kind = "seconds", of = "second", ends = ["first_seen", "last_seen"] },
]
populations = { device_vendor = "alone" }
"#;

fn parsed(text: &str) -> Result<Rollup> {
    parse("mine.toml", text, "mine", Tables::built_in())
}

/// The error of the valid file with `from` replaced by `to`.
fn error_with(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    parsed(&GOOD.replace(from, to)).map(|rollup| rollup.id).unwrap_err().to_string()
}

#[test]
fn columns_are_those_in_expressions_and_the_time() {
    let rollup = parsed(GOOD).unwrap();
    assert_eq!(rollup.columns, ["TimeGenerated", "DeviceVendor", "SourceIP", "DestinationPort", "SentBytes"]);
    assert_eq!(rollup.filter.unwrap().line, 6);
    assert_eq!(rollup.select[1].line, 10);
    assert_eq!(rollup.uses, [("vendors", "firewall.vendors")]);
    let kind = parsed(
        "version = 1\ntables = ['CommonSecurityLog']\nuses = { kind = 'firewall.kind' }\ncolumns = ['$kind AS k']\n\
         bucket_key = ['k']",
    )
    .unwrap();
    assert_eq!(kind.columns, ["TimeGenerated", "DeviceEventClassID"]);
    let config = |text| Config::load("default", &[Layer { name: "mine.toml", text }]).unwrap();
    assert_eq!(kind.columns_read(&config("")), kind.columns);
    assert_eq!(
        kind.columns_read(&config("[firewall]\nvendors = ['F5']")),
        ["TimeGenerated", "DeviceVendor", "DeviceProduct", "DeviceEventClassID", "Activity"]
    );
    let without_time =
        parsed("version = 1\ntables = ['AuditLogs']\ncolumns = ['OperationName AS o']\nbucket_key = ['o']");
    assert_eq!(without_time.unwrap().columns, ["TimeGenerated", "OperationName"]);
}

#[test]
fn errors_name_file_line_and_the_nearest_name() {
    for (from, to, expected) in [
        ("version = 1", "versoin = 1", "mine.toml, line 2: unknown field `versoin`"),
        (
            "\"CommonSecurityLog\"",
            "\"CommonSecurityLogs\"",
            "line 3: there is no table CommonSecurityLogs; did you mean CommonSecurityLog?",
        ),
        ("[\"CommonSecurityLog\"]", "[]", "line 3: `tables` is empty"),
        (
            "DestinationPort = 53",
            "DestinatonPort = 53",
            "line 7: CommonSecurityLog has no column DestinatonPort; did you mean DestinationPort?",
        ),
        ("$vendors)", "$venders)", "line 6: $venders is not in `uses`; did you mean $vendors?"),
        ("is_one_of(DeviceVendor, $vendors)", "DeviceVendor = 'x'", "line 4: no expression has $vendors"),
        ("\"SentBytes AS sent\"", "\"sum(SentBytes) AS sent\"", "line 10: sum uses several rows"),
        (
            "\"SentBytes AS sent\"",
            "\"SentBytes\"",
            "line 10: SentBytes needs a name: write SentBytes AS name",
        ),
        ("\"SentBytes AS sent\"", "\"SentBytes AS bucket\"", "line 10: bucket is reserved for state"),
        ("\"SentBytes AS sent\"", "\"SentBytes AS source_ip\"", "line 10: there are two columns source_ip"),
        ("kind = \"sum\"", "kind = \"average\"", "line 18: unknown variant `average`"),
        ("of = \"sent\"", "of = \"snet\"", "line 18: `columns` has no snet; did you mean sent?"),
        (", of = \"sent\"", "", "line 18: bytes_sent needs `of`, a column"),
        (
            "keys = [\"source_ip\"]",
            "keys = [\"source\"]",
            "line 15: `columns` has no source; did you mean source_ip?",
        ),
        ("keys = [\"source_ip\"]\n", "", "line 16: there are measures but no keys"),
        ("bucket_key = [\"source_ip\"]", "bucket_key = [\"sent\"]", "line 14: sent is not a key"),
        (
            "\"first_seen\", \"last_seen\"]",
            "\"first_seen\", \"sessions\"]",
            "line 21: no measure sessions is a min or max",
        ),
        ("\"first_seen\", \"last_seen\"]", "\"first_seen\"]", "line 21: seconds needs in `ends`"),
        (
            "device_vendor = \"alone\"",
            "device_vendr = \"alone\"",
            "line 23: there is no population device_vendr; did you mean device_vendor?",
        ),
        (
            "tables = [\"CommonSecurityLog\"]\nuses = { vendors = \"firewall.vendors\" }",
            "tables = [\"AuditLogs\"]\nuses = { vendors = \"firewall.kind\" }",
            "line 4: firewall.kind is computed from DeviceEventClassID, which AuditLogs lacks",
        ),
        (
            "device_vendor = \"alone\"",
            "user_type = \"alone\"",
            "line 23: user_type depends on UserType of OfficeActivity",
        ),
    ] {
        let error = error_with(from, to);
        assert!(error.contains("mine.toml") && error.contains(expected), "{expected}:\n{error}");
    }
}

#[test]
fn a_name_with_a_suffix_of_queries_is_refused() {
    let error = parse("mine.toml", GOOD, "mine_past", Tables::built_in())
        .map(|rollup| rollup.id)
        .unwrap_err()
        .to_string();
    assert!(error.contains("can't end in _past"), "{error}");
}

#[test]
fn the_hash_depends_only_on_what_is_computed() {
    let hash = |from: &str, to: &str| parsed(&GOOD.replace(from, to)).unwrap().hash;
    let good = hash("", "");
    assert_eq!(good, hash("version = 1", "# A comment.\nversion = 2"));
    assert_eq!(good, hash("AND DestinationPort = 53", "  AND\n  DestinationPort=53"));
    assert_eq!(good, hash("\"alone\"", "\"some\""));
    for (from, to) in [
        ("53", "54"),
        ("SentBytes", "ReceivedBytes"),
        ("\"firewall.vendors\"", "\"dns_tunneling.vendors\""),
        ("kind = \"sum\"", "kind = \"max\""),
        ("  { name = \"sessions\", kind = \"count\" },\n", ""),
    ] {
        let changed = parsed(&GOOD.replacen(from, to, 1)).map(|rollup| rollup.hash);
        assert_ne!(changed.ok(), Some(good), "{from}");
    }
    assert_ne!(good, parse("mine.toml", GOOD, "other", Tables::built_in()).unwrap().hash);
}

#[test]
fn the_hash_covers_what_an_own_table_says_of_the_columns_that_are_read() {
    let rollup = "version = 1\ntables = ['Own']\ncolumns = ['Bytes AS bytes']\nbucket_key = ['bytes']";
    let table = "time_column = 'T'\nentities = [{ column = 'Who', names = 'user' }]\n\
                 [columns]\nT = 'time'\nWho = 'text'\nBytes = 'text'\nPort = 'text'";
    let hash = |from: &str, to: &str| {
        let known = Tables::with_own(&[("tables/Own.toml", &table.replace(from, to))]).unwrap();
        parse("rollups/mine.toml", rollup, "mine", known).unwrap().hash
    };
    assert_eq!(hash("", ""), hash("Port = 'text'", "Port = 'integer'"));
    assert_ne!(hash("", ""), hash("Bytes = 'text'", "Bytes = 'integer'"));
    assert_ne!(hash("", ""), hash("names = 'user'", "names = 'device'"));
}

#[test]
fn every_built_in_rollup_can_be_planned_with_every_preset() {
    for preset in PRESETS {
        let config = Config::load(preset, &[]).unwrap();
        for rollup in Detections::built_in().rollups() {
            rollup.check(&config).unwrap_or_else(|error| panic!("{preset}, {}: {error}", rollup.id));
        }
    }
}

#[test]
fn types_that_do_not_merge_and_unknown_parameters_are_refused() {
    let config = Config::load("default", &[]).unwrap();
    parsed(GOOD).unwrap().check(&config).unwrap();
    for (from, to, expected) in [
        (
            "SentBytes AS sent",
            "SentBytes * 0.5 AS sent",
            "mine.toml, line 18: bytes_sent needs a whole number",
        ),
        ("SentBytes AS sent", "size_clas(SentBytes) AS sent", "mine.toml, line 10: "),
        ("AND DestinationPort = 53", "AND nosuch(DestinationPort)", "nosuch"),
        ("\"TimeGenerated AS time\"", "\"SourcePort AS time\"", "line 21: seconds needs times in `ends`"),
        ("firewall.vendors", "firewall.venders", "firewall.venders: there is no such parameter"),
        ("DestinationPort = 53", "random() < 0.5", "random"),
        ("DestinationPort = 53", "TimeGenerated < now()", "now"),
    ] {
        let error = parsed(&GOOD.replace(from, to)).and_then(|rollup| rollup.check(&config)).unwrap_err();
        assert!(
            error.to_string().contains("mine.toml") && error.to_string().contains(expected),
            "{expected}:\n{error}"
        );
    }
}
