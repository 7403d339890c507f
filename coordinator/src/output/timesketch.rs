//! Findings and incidents as a timeline for Timesketch.

use std::collections::BTreeMap;

use hindcast_common::Result;
use hindcast_common::entities::{Entity, EntityKind};
use hindcast_common::findings::Finding;
use hindcast_common::time::{format_micros, parse_time_us};
use serde_json::{Value, json};

use super::json::{fullest, lines};
use super::risks::Risks;
use crate::correlate::{Incident, span_us};
use crate::scan::ScanResult;

/// One line for the first evidence of each finding and incident, and one for the last if it is later, ordered by time.
pub(super) fn events(result: &ScanResult) -> Result<Vec<u8>> {
    let risks = Risks::of(result);
    let mut events: BTreeMap<(i64, String, bool), Value> = BTreeMap::new();
    for finding in &result.findings {
        // A timeline has no place for a finding without a time.
        let Some((first_us, last_us)) = span_us(finding) else { continue };
        let event = finding_event(finding, risks.score(finding));
        put(&mut events, &finding.id, (first_us, last_us), &event);
    }
    for incident in &result.report.incidents {
        let micros = |text: &Option<String>| text.as_deref().and_then(parse_time_us);
        let Some(first_us) = micros(&incident.first_seen) else { continue };
        let last_us = micros(&incident.last_seen).unwrap_or(first_us);
        put(&mut events, &incident.id, (first_us, last_us), &incident_event(incident));
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
    put_names(&mut event, finding.entities.iter());
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
    event
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
