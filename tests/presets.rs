//! Rows in the schemas of others, read in place by presets, give the results of the same rows in our own schema; and rows of other
//! firewalls give those of Palo Alto Networks.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::json::ReaderBuilder;
use arrow::json::reader::infer_json_schema_from_iterator;
use serde_json::{Value, json};

use crate::support::{Place, files_below, hindcast, stderr, stdout};

const TABLE: &str = "CommonSecurityLog";
const DATE: &str = "2026-02-02";
/// 2026-02-02T08:00:00Z in seconds.
const START: i64 = 1_770_019_200;

/// What a session is, in no schema.
struct Session {
    second: i64,
    source: String,
    destination: String,
    port: i64,
    sent: i64,
    received: i64,
    is_refused: bool,
}

/// Sessions with a beacon, a large transfer, and some that are refused.
fn sessions() -> Vec<Session> {
    let session = |index: i64| Session {
        second: START + 60 * index,
        source: format!("10.0.0.{}", 1 + index % 7),
        destination: if index % 3 == 0 {
            "203.0.113.9".to_owned()
        } else {
            format!("198.51.100.{}", index % 11)
        },
        port: if index % 5 == 0 { 53 } else { 443 },
        sent: if index == 100 { 300_000_000 } else { 500 + index },
        received: 900,
        is_refused: index % 10 == 9,
    };
    (0..240).map(session).collect()
}

fn time(session: &Session) -> String {
    let minutes = (session.second - START) / 60;
    format!("{DATE}T{:02}:{:02}:00Z", 8 + minutes / 60, minutes % 60)
}

/// The session in our own schema.
fn own(session: &Session) -> Value {
    json!({
        "TimeGenerated": time(session), "DeviceVendor": "V", "DeviceProduct": "P", "DeviceEventClassID": "TRAFFIC",
        "Activity": "a", "LogSeverity": "1", "SimplifiedDeviceAction": if session.is_refused { "Blocked" } else { "Allowed" },
        "ApplicationProtocol": "ssl", "Protocol": "tcp", "SourceIP": session.source, "SourcePort": 5_000,
        "DestinationIP": session.destination, "DestinationPort": session.port,
        "SentBytes": session.sent, "ReceivedBytes": session.received,
    })
}

fn ocsf(session: &Session) -> Value {
    json!({
        "class_uid": 4001, "time": session.second * 1_000, "activity_name": "a", "severity": "1", "activity_id": 6,
        "action_id": if session.is_refused { 2 } else { 1 }, "app_name": "ssl",
        "metadata": { "product": { "vendor_name": "V", "name": "P" } },
        "src_endpoint": { "ip": session.source, "port": 5_000 },
        "dst_endpoint": { "ip": session.destination, "port": session.port },
        "connection_info": { "protocol_num": 6 },
        "traffic": { "bytes_out": session.sent, "bytes_in": session.received },
    })
}

fn asim(session: &Session) -> Value {
    json!({
        "TimeGenerated": time(session), "EventVendor": "V", "EventProduct": "P", "EventType": "a", "EventSchema": "NetworkSession",
        "EventSeverity": "1", "DvcAction": if session.is_refused { "Deny" } else { "Allow" },
        "NetworkApplicationProtocol": "ssl", "NetworkProtocol": "tcp", "SrcIpAddr": session.source, "SrcPortNumber": 5_000,
        "DstIpAddr": session.destination, "DstPortNumber": session.port, "SrcBytes": session.sent, "DstBytes": session.received,
    })
}

fn ecs(session: &Session) -> Value {
    json!({
        "@timestamp": time(session), "observer": { "vendor": "V", "product": "P" },
        "event": { "type": [if session.is_refused { "denied" } else { "allowed" }], "action": "a", "severity": 1 },
        "network": { "application": "ssl", "transport": "tcp" },
        "source": { "ip": session.source, "port": 5_000, "bytes": session.sent },
        "destination": { "ip": session.destination, "port": session.port, "bytes": session.received },
    })
}

/// A flat row of Zeek, whose vendor and activity the preset sets.
fn zeek(session: &Session) -> Value {
    json!({
        "ts": session.second as f64, "uid": "C1", "id.orig_h": session.source, "id.orig_p": 5_000,
        "id.resp_h": session.destination, "id.resp_p": session.port, "proto": "tcp", "service": "ssl",
        "conn_state": if session.is_refused { "REJ" } else { "SF" },
        "orig_bytes": session.sent, "resp_bytes": session.received,
    })
}

fn batch_of(rows: &[Value]) -> RecordBatch {
    let schema = infer_json_schema_from_iterator(rows.iter().map(Ok::<_, arrow::error::ArrowError>));
    let mut decoder =
        ReaderBuilder::new(Arc::new(schema.expect("a schema"))).build_decoder().expect("a decoder");
    decoder.serialize(rows).expect("rows");
    decoder.flush().expect("a batch").expect("rows")
}

/// A lake of the sessions in one schema, scanned with this configuration.
fn scanned(of: fn(&Session) -> Value, config: &str) -> (Place, std::process::Output) {
    let place = Place::new();
    let rows: Vec<Value> = sessions().iter().map(of).collect();
    place.write_batch(TABLE, DATE, "a.parquet", &batch_of(&rows));
    fs::write(place.lake().join("hindcast.toml"), config).expect("a configuration");
    let output = place.scan("");
    (place, output)
}

/// The result tables and findings, without those that name vendor and activity.
fn results(place: &Place) -> BTreeMap<String, Vec<u8>> {
    let is_result = |name: &str| name.ends_with(".json") || name.ends_with(".jsonl");
    let files = files_below(&place.out()).into_iter();
    let files = files
        .filter(|(name, _)| is_result(name) && (name.starts_with("tables/") || name == "findings.jsonl"));
    files.map(|(name, path)| (name, fs::read(path).expect("a file"))).collect()
}

#[test]
fn foreign_rows_give_the_results_of_the_same_rows_in_our_own_schema() {
    let (plain, output) = scanned(own, "[firewall]\nvendors = []\n");
    assert!(output.status.success(), "{}", stderr(&output));
    let expected = results(&plain);
    assert!(!plain.findings().is_empty() && plain.table("beaconing").len() > 1);
    for (preset, of) in [
        ("ocsf/network_activity", ocsf as fn(&Session) -> Value),
        ("asim/network_session", asim),
        ("ecs/network", ecs),
        ("zeek/conn", zeek),
    ] {
        let config = format!("[firewall]\nvendors = []\n[tables.{TABLE}]\npreset = \"{preset}\"\n");
        let (place, output) = scanned(of, &config);
        assert!(output.status.success(), "{preset}: {}{}", stdout(&output), stderr(&output));
        assert_eq!(place.coverage(TABLE, DATE)["rows"], 240, "{preset}");
        let mut found = results(&place);
        let mut expected = expected.clone();
        if preset == "zeek/conn" {
            // The preset sets the activity, and Zeek's sessions have no severity.
            let differs =
                |name: &str| ["attack_timeline", "threat_breakdown"].iter().any(|table| name.contains(table));
            for results in [&mut found, &mut expected] {
                results.retain(|name, _| !differs(name));
            }
        }
        assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "{preset}");
        for (name, content) in &found {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            assert_eq!(text(content), text(&expected[name]), "{preset}: {name}");
        }
    }
}

#[test]
fn a_gap_names_the_preset_that_fits() {
    let (place, output) = scanned(zeek, "");
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(
        stdout(&output).contains("write preset = \"zeek/conn\" in [tables.CommonSecurityLog]"),
        "{}",
        stdout(&output)
    );
    let shown = stdout(&hindcast(&format!("tables --lake {} show {TABLE}", place.lake().display())));
    assert!(shown.contains("write preset = \"zeek/conn\""), "{shown}");
    let own_columns = "[firewall]\nvendors = [\"Corelight\"]\n[tables.CommonSecurityLog]\npreset = \"zeek/conn\"\n\
                       [tables.CommonSecurityLog.columns]\nDeviceVendor = { value = \"Corelight\" }\n";
    fs::write(place.lake().join("hindcast.toml"), own_columns).expect("a configuration");
    let output = place.scan("");
    assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
    let filters = &place.summary()["coverage"]["filters"];
    assert_eq!(filters[0]["values"], json!([{ "value": "Corelight", "rows": 240, "kept": true }]));
    let wrong = own_columns.replace("zeek/conn", "zeek/con");
    fs::write(place.lake().join("hindcast.toml"), wrong).expect("a configuration");
    let output = place.scan("");
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("there is no preset zeek/con; did you mean zeek/conn?"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn presets_are_listed_and_printed() {
    let listed = stdout(&hindcast("tables presets"));
    for words in ["ocsf/network_activity", "CommonSecurityLog", "asim/process_event", "zeek/ssl"] {
        assert!(listed.contains(words), "{words}: {listed}");
    }
    let printed = stdout(&hindcast("tables presets zeek/conn"));
    assert!(printed.contains("SourceIP = \"id.orig_h\""), "{printed}");
    let as_json: Vec<Value> =
        serde_json::from_str(&stdout(&hindcast("tables presets --json"))).expect("JSON");
    assert!(
        as_json.iter().all(|preset| preset["source"].as_str().is_some_and(|url| url.starts_with("https://")))
    );
    let unknown = hindcast("tables presets zeek/com");
    assert!(stderr(&unknown).contains("did you mean zeek/conn?"), "{}", stderr(&unknown));
}

/// A session as these vendors fill CommonSecurityLog.
fn of_vendor(vendor: &str, session: &Session) -> Value {
    let (product, class, activity, action) = match (vendor, session.is_refused) {
        ("Palo Alto Networks", false) => ("PAN-OS", "TRAFFIC", "end", "Allowed"),
        ("Palo Alto Networks", true) => ("PAN-OS", "TRAFFIC", "end", "Blocked"),
        ("Fortinet", false) => ("Fortigate", "00013", "traffic:forward close", "close"),
        ("Fortinet", true) => ("Fortigate", "00013", "traffic:forward deny", "deny"),
        ("Check Point", false) => ("VPN-1 & FireWall-1", "Log", "https", "Accept"),
        ("Check Point", true) => ("VPN-1 & FireWall-1", "Log", "https", "Reject"),
        ("Cisco", false) => ("ASA", "302014", "Teardown TCP connection", "Teardown"),
        ("Cisco", true) => ("ASA", "106023", "Deny tcp", "Deny"),
        ("Zscaler", false) => ("NSSFWlog", "Allow", "Rule 1", "Allow"),
        ("Zscaler", true) => ("NSSFWlog", "Block ICMP", "Rule 1", "Block ICMP"),
        (_, false) => ("ASM", "Successful Request", "Successful Request", "passed"),
        (_, true) => ("Advanced Firewall Module", "23003137", "Network Event", "Reject"),
    };
    let mut row = own(session);
    let own_words = vendor == "Palo Alto Networks";
    for (name, value) in [
        ("DeviceVendor", json!(vendor)),
        ("DeviceProduct", json!(product)),
        ("DeviceEventClassID", json!(class)),
        ("Activity", json!(activity)),
        ("DeviceAction", json!(action)),
        ("SimplifiedDeviceAction", if own_words { json!(action) } else { Value::Null }),
    ] {
        row[name] = value;
    }
    row
}

#[test]
fn firewalls_of_every_vendor_give_the_same_results() {
    let lake_of = |vendor: &str| {
        let place = Place::new();
        let rows: Vec<Value> = sessions().iter().map(|session| of_vendor(vendor, session)).collect();
        place.write_batch(TABLE, DATE, "a.parquet", &batch_of(&rows));
        fs::write(place.lake().join("hindcast.toml"), format!("[firewall]\nvendors = [\"{vendor}\"]\n"))
            .expect("written");
        place.scan_well("");
        place
    };
    let is_compared = |name: &str| !name.starts_with("tables/attack_timeline");
    let compared = |place: &Place| {
        let mut results = results(place);
        results.retain(|name, _| is_compared(name));
        results
    };
    let expected = compared(&lake_of("Palo Alto Networks"));
    for vendor in ["Fortinet", "Check Point", "Cisco", "Zscaler", "F5"] {
        let place = lake_of(vendor);
        let found = compared(&place);
        assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
        for (name, content) in &found {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            assert_eq!(text(content), text(&expected[name]), "{vendor}: {name}");
        }
        let refused =
            place.table("attack_timeline").into_iter().filter(|row| row["action"] == "Blocked").count();
        assert_eq!(refused, 24, "{vendor}");
    }
}

#[test]
fn the_vendor_filter_reports_what_it_kept_and_what_it_saw() {
    let place = Place::new();
    let vendors = ["Palo Alto Networks", "Fortinet", "Cisco"];
    let rows: Vec<Value> = sessions()
        .iter()
        .enumerate()
        .map(|(index, session)| of_vendor(vendors[index % 3], session))
        .collect();
    place.write_batch(TABLE, DATE, "a.parquet", &batch_of(&rows));
    place.scan_well("");
    let filter = &place.summary()["coverage"]["filters"][0];
    assert_eq!((&filter["kept"], &filter["left_out"]), (&json!(80), &json!(160)));
    assert_eq!(filter["parameter"], "firewall.vendors");
    let output = place.scan("--only dns_tunneling");
    assert!(stdout(&output).contains("left out Cisco (80), Fortinet (80)"), "{}", stdout(&output));
    // All vendors.
    fs::write(place.lake().join("hindcast.toml"), "[firewall]\nvendors = []\n").expect("written");
    place.scan_well("");
    let filter = &place.summary()["coverage"]["filters"][0];
    assert_eq!((&filter["kept"], &filter["left_out"]), (&json!(240), &json!(0)));
    let events: u64 =
        place.table("traffic_overview").iter().map(|row| row["events"].as_u64().expect("a number")).sum();
    assert_eq!(events, 240);
    let is_traffic = |row: &Value| row["event_class"] == "TRAFFIC";
    assert!(place.table("traffic_overview").iter().all(is_traffic), "{:?}", place.table("traffic_overview"));
    // State without counts does not exist: a second scan, from state, reports the same.
    let cached =
        format!("scan --lake {} --out {} --format json", place.lake().display(), place.out().display());
    for _ in 0..2 {
        assert!(hindcast(&cached).status.success());
        assert_eq!(place.summary()["coverage"]["filters"][0]["kept"], 240);
    }
}
