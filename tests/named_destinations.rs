//! Destinations by host name, and connections that are still open, over imported logs of Zeek.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::support::Place;

/// 2026-01-05T08:00:00Z.
const START: u64 = 1_767_600_000;
const CONN: &str = "#separator \\x09\n#path\tconn\n#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tservice\tduration\torig_bytes\tresp_bytes\tconn_state\n";
const OPEN: &str = "#separator \\x09\n#path\topen_conn\n#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tservice\tduration\torig_bytes\tresp_bytes\tconn_state\n";
const HTTP: &str = "#separator \\x09\n#path\thttp\n#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\ttrans_depth\tmethod\thost\turi\trequest_body_len\tresponse_body_len\n";
const SSL: &str = "#separator \\x09\n#path\tssl\n#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tversion\tserver_name\tresumed\testablished\n";

/// A place with these logs as a scanned lake.
fn scanned(logs: &[(&str, &str, String)]) -> Place {
    let place = Place::new();
    for (name, header, lines) in logs {
        let report = place.import(&place.file(name, format!("{header}{lines}")), "");
        assert_eq!(report["files"][0]["rejects"], 0, "{report}");
    }
    let config = place.file("zeek.toml", "[firewall]\nvendors = [\"Zeek\"]\n");
    place.scan_well(&format!("--config {config}"));
    place
}

/// The entities of the findings of an analysis, as `kind name`.
fn entities(place: &Place, analysis: &str) -> Vec<Vec<String>> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let of_finding = |finding: &Value| -> Vec<String> {
        let entities = finding["entities"].as_array().expect("entities");
        entities.iter().map(|one| format!("{} {}", text(&one["kind"]), text(&one["name"]))).collect()
    };
    place.findings().iter().filter(|one| one["analysis"] == analysis).map(of_finding).collect()
}

/// A beacon of every minute behind a proxy, where 30 hosts ask for other names, and one whose address changes with each session. No
/// address has a beacon of its own.
#[test]
fn beacons_are_found_by_the_names_of_their_destinations() {
    let (mut http, mut conn, mut ssl) = (String::new(), String::new(), String::new());
    for minute in 0..120 {
        let time = START + 60 * minute;
        let _ = writeln!(
            http,
            "{time}.5\tP{minute}\t10.0.0.1\t5\t10.0.0.8\t8000\t1\tCONNECT\tc2.example.net:443\tc2.example.net:443\t0\t0"
        );
        let _ =
            writeln!(conn, "{time}.4\tP{minute}\t10.0.0.1\t5\t10.0.0.8\t8000\ttcp\thttp\t0.2\t500\t300\tSF");
        let last = 1 + minute * 7 % 120;
        let _ = writeln!(
            conn,
            "{time}.1\tD{minute}\t10.0.0.2\t5\t203.0.113.{last}\t443\ttcp\tssl\t0.2\t500\t300\tSF"
        );
        let _ = writeln!(
            ssl,
            "{time}.2\tD{minute}\t10.0.0.2\t5\t203.0.113.{last}\t443\tTLSv12\tCDN.example.org\tF\tT"
        );
        let (host, site) = (100 + minute % 30, minute * minute % 17);
        let seen = time + minute * minute * 13 % 59;
        let _ = writeln!(
            http,
            "{seen}.0\tB{minute}\t10.0.0.{host}\t5\t10.0.0.8\t8000\t1\tCONNECT\tsite-{site}.example.com:443\tsite-{site}.example.com:443\t0\t0"
        );
        let _ = writeln!(
            conn,
            "{seen}.0\tB{minute}\t10.0.0.{host}\t5\t10.0.0.8\t8000\ttcp\thttp\t0.2\t500\t30000\tSF"
        );
    }
    let place = scanned(&[("conn.log", CONN, conn), ("http.log", HTTP, http), ("ssl.log", SSL, ssl)]);
    let scores = place.table("beacon_scores");
    let names: Vec<&Value> = scores.iter().map(|row| &row["destination_name"]).collect();
    assert_eq!(names.len(), 2, "{scores:?}");
    for (source, name) in [("10.0.0.1", "c2.example.net"), ("10.0.0.2", "cdn.example.org")] {
        let row = scores.iter().find(|row| row["destination_name"] == name).expect(name);
        assert_eq!(
            (&row["source_ip"], &row["beats"], &row["interval_s"]),
            (&json!(source), &json!(120), &json!(60.0))
        );
        assert_eq!((&row["destination_ip"], &row["destination_sources"]), (&Value::Null, &json!(1)));
        assert!(row["score"].as_f64() > Some(0.6), "{row}");
        let found = entities(&place, "beacon_scores");
        assert!(found.contains(&vec![format!("ip {source}"), format!("url {name}")]), "{found:?}");
    }
    assert!(entities(&place, "beaconing").is_empty() && place.table("device_beacons").is_empty());
}

/// A beacon with one address and one name is one finding, and it names both.
#[test]
fn a_name_replaces_its_address() {
    let (mut conn, mut ssl) = (String::new(), String::new());
    for minute in 0..60 {
        let time = START + 60 * minute;
        let _ =
            writeln!(conn, "{time}.1\tD{minute}\t10.0.0.2\t5\t203.0.113.7\t443\ttcp\tssl\t0.2\t500\t300\tSF");
        let _ =
            writeln!(ssl, "{time}.9\tD{minute}\t10.0.0.2\t5\t203.0.113.7\t443\tTLSv12\tc2.example.org\tF\tT");
    }
    let place = scanned(&[("conn.log", CONN, conn), ("ssl.log", SSL, ssl)]);
    let scores = place.table("beacon_scores");
    assert_eq!(scores.len(), 1, "{scores:?}");
    // The handshakes have no sizes: those of the address count.
    assert_eq!(
        (&scores[0]["destination_ip"], &scores[0]["size_score"]),
        (&json!("203.0.113.7"), &json!(1.0))
    );
    assert_eq!(place.table("beaconing").len(), 1, "the notebook's table has the address");
    assert!(entities(&place, "beaconing").is_empty());
    let found = entities(&place, "beacon_scores");
    assert_eq!(found, [["ip 10.0.0.2", "ip 203.0.113.7", "url c2.example.org"].map(str::to_owned).to_vec()]);
}

/// Two snapshots of a connection that is still open are one connection with the bytes of the last; one that ended has those of its end.
#[test]
fn an_open_connection_counts_once() {
    let line = |uid: &str, address: &str, duration: &str, sent: u64| {
        format!(
            "{START}.6\t{uid}\t10.0.0.238\t60620\t{address}\t64004\ttcp\t-\t{duration}\t{sent}\t7208\tOTH\n"
        )
    };
    let first = line("C1", "203.0.113.39", "3600.370180", 1_271_422)
        + &line("C2", "203.0.113.40", "3600.0", 2_000_000);
    let second = line("C1", "203.0.113.39", "7200.169165", 3_099_059);
    let end = line("C2", "203.0.113.40", "5000.5", 2_097_152);
    let place = scanned(&[("a.log", OPEN, first), ("b.log", OPEN, second), ("c.log", CONN, end)]);
    let left = place.table("data_exfiltration");
    let sizes: Vec<_> =
        left.iter().map(|row| (&row["destination_ip"], &row["sessions"], &row["total_sent_mb"])).collect();
    assert_eq!(
        sizes,
        [(&json!("203.0.113.39"), &json!(1), &json!(2.96)), (&json!("203.0.113.40"), &json!(1), &json!(2.0))]
    );
    let long = place.table("long_connections");
    let lengths: Vec<_> =
        long.iter().map(|row| (&row["longest_s"], &row["open_sessions"], &row["bytes_sent"])).collect();
    assert_eq!(
        lengths,
        [(&json!(7200), &json!(1), &json!(3_099_059)), (&json!(5000), &json!(0), &json!(2_097_152))]
    );
}
