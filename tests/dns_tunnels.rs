//! DNS tunnels and generated domains, from the logs of a sensor to the findings.

use std::fmt::Write;

use serde_json::Value;

use crate::support::Place;

/// 2026-01-05T08:00:00Z.
const START: u64 = 1_767_600_000;
const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyz234567";

/// Letters and digits of base32 that look random: a linear congruential generator (Knuth's MMIX).
fn encoded(seed: u64, length: usize) -> String {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let letter = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(LETTERS[(state >> 59) as usize])
    };
    (0..length).map(letter).collect()
}

/// A `dns.log` of Zeek in JSON.
#[derive(Default)]
struct Log {
    text: String,
    queries: u64,
}

impl Log {
    /// A query of `source` `seconds` after the start.
    fn query(&mut self, seconds: u64, source: &str, name: &str, kind: &str, code: u8) {
        self.queries += 1;
        writeln!(
            self.text,
            r#"{{"ts":{}.5,"uid":"D{}","id.orig_h":"{source}","id.orig_p":50000,"id.resp_h":"10.0.0.53","id.resp_p":53,"proto":"udp","query":"{name}","qtype_name":"{kind}","rcode":{code}}}"#,
            START + seconds,
            self.queries
        )
        .expect("text");
    }
}

/// What ordinary hosts query: the names of pages, delivery networks, the own network, antivirus and block lists.
fn everyday() -> Log {
    let mut log = Log::default();
    for host in 1..=30 {
        let source = format!("10.0.1.{host}");
        for number in 0..60 {
            let seconds = number * 200 + host;
            log.query(seconds, &source, &format!("r{number}---sn-{host}.media.com"), "A", 0);
            log.query(seconds, &source, &format!("www.site{number}.com"), "AAAA", 0);
            log.query(seconds, &source, &format!("d{host}x{number}.cloudfront.net"), "A", 0);
            log.query(seconds, &source, &format!("host{number}.corp.local"), "A", 3);
            log.query(seconds, &source, &format!("{number}.{host}.0.10.in-addr.arpa"), "PTR", 3);
        }
    }
    for number in 0..400 {
        let hash = encoded(number, 32);
        log.query(number * 60, "10.0.1.1", &format!("{hash}.p1.4.i.sophosxl.net"), "TXT", 0);
        log.query(number * 60, "10.0.0.25", &format!("{number}.2.0.192.zen.spamhaus.org"), "A", 3);
    }
    log
}

fn of(findings: &[Value], analysis: &str) -> Vec<Value> {
    findings.iter().filter(|finding| finding["analysis"] == analysis).cloned().collect()
}

fn scanned(log: &Log) -> (Place, Vec<Value>) {
    let place = Place::new();
    let file = place.file("dns.log", &log.text);
    let report = place.import(&file, "");
    assert_eq!(report["files"][0]["source"], "zeek", "{report}");
    place.scan_well("--only dns_tunnels,generated_domains");
    let findings = place.findings();
    (place, findings)
}

#[test]
fn everyday_queries_are_no_findings() {
    let (place, findings) = scanned(&everyday());
    assert_eq!(findings, Vec::<Value>::new());
    let listed: Vec<Value> =
        place.table("dns_tunnels").into_iter().map(|row| row["domain"].clone()).collect();
    assert!(listed.contains(&"sophosxl.net".into()) && listed.contains(&"spamhaus.org".into()), "{listed:?}");
}

#[test]
fn a_tunnel_and_generated_domains_among_everyday_queries_are_the_only_findings() {
    let mut log = everyday();
    for number in 0..300 {
        let name = format!("{}.c2.a-tunnel.net", encoded(1_000 + number, 40));
        log.query(number * 3, "10.0.1.7", &name, "TXT", 0);
        // The server that forwards the query.
        log.query(number * 3 + 1, "10.0.0.53", &name, "TXT", 0);
    }
    for number in 0..129 {
        log.query(number * 3, "10.0.1.8", &format!("{}.biz", encoded(9_000 + number, 12)), "A", 3);
    }
    let (place, findings) = scanned(&log);
    assert_eq!(findings.len(), 2, "{findings:?}");

    let tunnel = &of(&findings, "dns_tunnels")[0];
    assert_eq!((&tunnel["severity"], &tunnel["techniques"][0]["id"]), (&"high".into(), &"T1071.004".into()));
    let names: Vec<&str> = tunnel["entities"]
        .as_array()
        .expect("entities")
        .iter()
        .filter_map(|entity| entity["name"].as_str())
        .collect();
    assert_eq!(names, ["10.0.1.7", "a-tunnel.net"]);
    let explanation = tunnel["explanation"].as_str().expect("a sentence");
    for part in ["300 different names below a-tunnel.net", "types TXT, 100 %", "answers NOERROR", ".c2"] {
        assert!(explanation.contains(part), "{part}: {explanation}");
    }
    let rows = place.table("dns_tunnels");
    let row = rows.iter().find(|row| row["source"] == "10.0.1.7").expect("the row of the tunnel");
    assert_eq!(
        ["names", "queries", "domain_sources"].map(|column| row[column].as_i64()),
        [300, 300, 2].map(Some)
    );

    let burst = &of(&findings, "generated_domains")[0];
    assert_eq!((&burst["severity"], &burst["techniques"][0]["id"]), (&"high".into(), &"T1568.002".into()));
    let row = &place.table("generated_domains")[0];
    assert_eq!(
        (&row["source"], &row["failed_domains"], &row["burst_domains"]),
        (&"10.0.1.8".into(), &129.into(), &129.into())
    );
}

/// A set above the limit: 6,000 names are an estimate, the same from one file as from two.
#[test]
fn more_names_than_a_set_holds_are_estimated_the_same_however_files_are_split() {
    let (mut whole, mut halves) = (Log::default(), [Log::default(), Log::default()]);
    for number in 0..6_000 {
        let name = format!("{}.a-tunnel.net", encoded(number, 20));
        whole.query(number, "10.0.1.7", &name, "A", 0);
        halves[number as usize % 2].query(number, "10.0.1.7", &name, "A", 0);
    }
    let (one, _) = scanned(&whole);
    let two = Place::new();
    for (number, half) in halves.iter().enumerate() {
        two.import(&two.file(&format!("dns-{number}.log"), &half.text), "");
    }
    two.scan_well("--only dns_tunnels");
    assert_eq!(one.table("dns_tunnels"), two.table("dns_tunnels"));
    let names = one.table("dns_tunnels")[0]["names"].as_i64().expect("a number");
    assert!((5_700..6_300).contains(&names), "{names}");
}
