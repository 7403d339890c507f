//! Findings and incidents as a timeline for Timesketch.

use std::collections::{BTreeMap, BTreeSet};

use hindcast_base::Result;
use hindcast_base::entities::{Entity, EntityKind};
use hindcast_base::time::format_micros;
use hindcast_detections::findings::Finding;
use hindcast_risk::correlate::{Incident, span_us};
use hindcast_scan::ScanResult;
use serde_json::{Value, json};

use super::json::{fullest, lines};
use super::risks::Risks;

/// One line for the first evidence of each finding and incident, and one for the last if it is later, ordered by time.
pub(super) fn events(result: &ScanResult) -> Result<Vec<u8>> {
    let risks = Risks::of(result);
    let mut events: BTreeMap<(i64, String, bool), Value> = BTreeMap::new();
    for finding in &result.findings {
        // A timeline has no place for a finding without a time.
        let Some(span_us) = span_us(finding) else { continue };
        let event = finding_event(finding, risks.score(finding));
        put(&mut events, &finding.id, span_us, &event);
    }
    for incident in &result.report.incidents {
        let Some(span_us) = incident.span_us() else { continue };
        put(&mut events, &incident.id, span_us, &incident_event(incident));
    }
    lines(events.into_values())
}

fn put(events: &mut BTreeMap<(i64, String, bool), Value>, id: &str, span_us: (i64, i64), event: &Value) {
    let mut add = |micros: i64, is_last: bool, description: &str| {
        let mut event = event.clone();
        event["timestamp"] = micros.into();
        event["datetime"] = format_micros(micros).into();
        event["timestamp_desc"] = description.into();
        events.insert((micros, id.to_owned(), is_last), event);
    };
    add(span_us.0, false, "First Seen");
    if span_us.1 > span_us.0 {
        add(span_us.1, true, "Last Seen");
    }
}

fn finding_event(finding: &Finding, risk: u64) -> Value {
    let mut tags =
        vec![finding.suite.name().to_owned(), finding.analysis.clone(), finding.severity.name().into()];
    tags.extend(finding.techniques.iter().map(|technique| technique.id.clone().into_owned()));
    tags.extend(finding.watchlists.iter().cloned());
    let mut event = json!({
        "message": format!("{}: {}", finding.title, finding.explanation),
        "data_type": "hindcast:finding",
        "tag": tags,
        "finding_id": finding.id,
        "severity": finding.severity,
        "confidence": finding.confidence,
        "risk": risk,
        "rows": finding.rows,
        "evidence": finding.evidence.to_string(),
    });
    put_names(&mut event, finding.entities.iter().map(|named| &named.entity));
    put_roots(&mut event, &finding.roots);
    event
}

fn incident_event(incident: &Incident) -> Value {
    let mut tags = vec!["incident".to_owned(), incident.severity.name().to_owned()];
    tags.extend(incident.suites.iter().map(|suite| suite.name().to_owned()));
    let mut event = json!({
        "message": format!("Incident of {} findings, risk {} of 100", incident.findings.len(), incident.risk.score),
        "data_type": "hindcast:incident",
        "tag": tags,
        "incident_id": incident.id,
        "finding_ids": incident.findings,
        "severity": incident.severity,
        "risk": incident.risk.score,
    });
    put_names(&mut event, incident.entities.iter());
    put_roots(&mut event, &incident.roots);
    event
}

/// Puts the roots from which rows came, if the lake has several.
fn put_roots(event: &mut Value, roots: &BTreeSet<String>) {
    if !roots.is_empty() {
        event["roots"] = json!(roots);
    }
}

/// Puts names under the attribute of their kind.
fn put_names<'a>(event: &mut Value, entities: impl Iterator<Item = &'a Entity> + Clone) {
    for kind in EntityKind::ALL {
        let named = entities.clone().filter(|entity| entity.kind == kind);
        let names: Vec<&str> = named.map(fullest).collect();
        if !names.is_empty() {
            event[kind.name()] = json!(names);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::example::{result, values};
    use super::*;

    #[test]
    fn first_and_last_evidence_are_events_in_order_of_time() {
        let events = values(&events(&result()).unwrap());
        let id = |event: &Value| {
            event["finding_id"].as_str().or(event["incident_id"].as_str()).unwrap().to_owned()
        };
        let found: Vec<_> = events
            .iter()
            .map(|event| (event["timestamp"].as_i64().unwrap(), id(event), event["timestamp_desc"].clone()))
            .collect();
        let expected = [
            (1_767_592_800_123_456, "f-staging", "First Seen"),
            (1_767_592_800_123_456, "i-1", "First Seen"),
            (1_767_596_400_000_000, "f-staging", "Last Seen"),
            (1_767_600_000_000_000, "f-beacon", "First Seen"),
            (1_767_600_000_000_000, "i-1", "Last Seen"),
        ];
        assert_eq!(found, expected.map(|(time, id, description)| (time, id.to_owned(), json!(description))));
    }

    #[test]
    fn an_event_has_the_names_and_tags_of_its_finding() {
        let event = values(&events(&result()).unwrap()).remove(0);
        assert_eq!(event["datetime"], "2026-01-05T06:00:00.123456Z");
        assert_eq!(event["message"], "Data was compressed: 7z packed files");
        assert_eq!(event["data_type"], "hindcast:finding");
        assert_eq!(event["tag"], json!(["exfiltration", "compression_staging", "high", "T1560.001", "vip"]));
        assert_eq!(
            (&event["device"], &event["user"]),
            (&json!(["ws-1.corp.example"]), &json!(["corp\\ada"]))
        );
        assert_eq!((&event["risk"], &event["rows"]), (&json!(85), &json!(3)));
        let evidence: Value = serde_json::from_str(event["evidence"].as_str().unwrap()).unwrap();
        assert_eq!(evidence, json!({ "command_line": "7z a x", "bytes": 5, "note": null }));
    }

    #[test]
    fn an_event_of_an_incident_names_its_findings() {
        let event = values(&events(&result()).unwrap()).remove(1);
        assert_eq!(event["message"], "Incident of 2 findings, risk 85 of 100");
        assert_eq!(event["tag"], json!(["incident", "critical", "exfiltration", "firewall"]));
        assert_eq!(event["finding_ids"], json!(["f-staging", "f-beacon"]));
        assert_eq!(event["ip"], json!(["10.0.0.1", "198.51.100.3"]));
    }

    #[test]
    fn a_finding_without_a_time_has_no_event() {
        let mut result = result();
        result.report.incidents.clear();
        result.findings[0].first_seen = None;
        assert_eq!(values(&events(&result).unwrap()).len(), 1);
    }
}
