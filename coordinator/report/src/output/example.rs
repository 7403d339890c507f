//! A hand-made result for the tests of exports and sinks: staging on a device and a beacon of an address, in one incident.

use hindcast_detections::findings::Finding;
use hindcast_scan::ScanResult;
use serde_json::{Value, json};

/// The finding about staging, 2026-01-05 from 06:00:00.123456 to 07:00 (1,767,592,800 and 1,767,596,400 seconds since 1970).
pub fn staging() -> Finding {
    finding(json!({
        "id": "f-staging", "analysis": "compression_staging", "suite": "exfiltration", "title": "Data was compressed",
        "severity": "high", "confidence": 80, "rows": 3, "stage": "staging", "explanation": "7z packed files",
        "first_seen": "2026-01-05T06:00:00.123456Z", "last_seen": "2026-01-05T07:00:00Z",
        "entities": [
            { "kind": "device", "name": "ws-1", "full_name": "ws-1.corp.example" },
            { "kind": "user", "name": "ada", "full_name": "corp\\ada" },
        ],
        "techniques": [{ "id": "T1560.001", "name": "Archive via Utility" }],
        "evidence": { "command_line": "7z a x", "bytes": 5, "note": null },
        "watchlists": ["vip"],
    }))
}

/// The finding about a beacon, at 2026-01-05 08:00 (1,767,600,000 seconds since 1970).
pub fn beacon() -> Finding {
    finding(json!({
        "id": "f-beacon", "analysis": "beaconing", "suite": "firewall", "title": "A beacon",
        "severity": "critical", "confidence": 70, "rows": 1, "stage": "beacon", "explanation": "it calls out",
        "first_seen": "2026-01-05T08:00:00Z", "last_seen": "2026-01-05T08:00:00Z",
        "entities": [{ "kind": "ip", "name": "10.0.0.1" }, { "kind": "ip", "name": "198.51.100.3" }],
        "techniques": [{ "id": "T1071", "name": "Application Layer Protocol" }],
        "evidence": { "source_ip": "10.0.0.1", "destination_ip": "198.51.100.3" },
    }))
}

fn finding(value: Value) -> Finding {
    serde_json::from_value(value).unwrap()
}

/// Both findings, the incident `i-1` with a risk of 85, and the device with a risk of 56, in a window that is January 2026.
pub fn result() -> ScanResult {
    let findings = vec![staging(), beacon()];
    let window = json!({ "from": "2026-01-01T00:00:00Z", "to": "2026-02-01T00:00:00Z" });
    let entities: Vec<_> =
        findings.iter().flat_map(|finding| &finding.entities).map(|named| &named.entity).collect();
    let incident = json!({
        "id": "i-1", "score": 85, "level": "HIGH", "severity": "critical",
        "contributions": [
            { "from": "f-staging", "points": 50 }, { "from": "f-beacon", "points": 24 },
            { "from": "several tactics", "points": 11 },
        ],
        "first_seen": "2026-01-05T06:00:00.123456Z", "last_seen": "2026-01-05T08:00:00Z",
        "suites": ["exfiltration", "firewall"], "tactics": ["collection", "command_and_control"],
        "stages": ["staging", "beacon"], "entities": entities, "ties": [], "findings": ["f-staging", "f-beacon"],
    });
    let summary = json!({
        "window": window, "suites": {}, "risk_by_day": [], "findings": 2, "suppressed": {}, "incidents": 1,
        "risk": { "score": 85, "level": "HIGH", "explanation": ["85 points: the worst, incident i-1"] },
        "hubs": [], "analyses": {}, "disabled": {}, "coverage": { "tables": [], "complete": true },
        "version": "1.2.3", "config_hash": "abc",
    });
    let report = json!({
        "outline": { "window": window, "tables": [], "missing_tables": [], "analyses": [], "disabled": {} },
        "tables": [], "summary": summary, "parameters": {}, "incidents": [incident], "computed_units": [1, 1],
        "entities": [{
            "kind": "device", "name": "ws-1", "score": 56, "level": "MEDIUM",
            "contributions": [{ "from": "f-staging", "points": 56 }],
        }],
    });
    let report = serde_json::from_value(report).unwrap();
    ScanResult { tables: Vec::new(), findings, suppressed: Vec::new(), report, rollups: Vec::new() }
}

/// The JSON values of a file with one value per line.
pub fn values(lines: &[u8]) -> Vec<Value> {
    let lines = std::str::from_utf8(lines).unwrap().lines();
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}
