//! Findings and incidents as a STIX 2.1 bundle: observed data, sightings of ATT&CK techniques, and the incidents that relate
//! them.
//!
//! Ids are version 5 UUIDs and times are those of the evidence, so that the same scan makes the same bundle.

mod ids;
mod observables;

use std::collections::BTreeMap;

use hindcast_base::Result;
use hindcast_base::time::parse_time_us;
use hindcast_detections::findings::{ATTACK_VERSION, Finding, Technique};
use hindcast_risk::correlate::{Incident, span_us};
use hindcast_scan::ScanResult;
use serde_json::{Value, json};

use super::json::{pretty, without_nulls};
use super::risks::Risks;
use ids::{id_of, timestamp, version_time};
use observables::observable;

/// The time of creation of objects that are the same in every bundle.
const ALWAYS: &str = "2026-01-01T00:00:00.000Z";
/// The largest count that STIX allows.
const LARGEST_COUNT: u64 = 999_999_999;

/// The bundle: techniques and observables by id, then sightings by finding, then incidents.
pub(super) fn bundle(result: &ScanResult) -> Result<Vec<u8>> {
    let risks = Risks::of(result);
    let mut techniques: BTreeMap<String, Value> = BTreeMap::new();
    let mut observables: BTreeMap<String, Value> = BTreeMap::new();
    let mut observations: Vec<Value> = Vec::new();
    let mut observed_of: BTreeMap<&str, String> = BTreeMap::new();
    let window_us = parse_time_us(&result.report.summary.window.from).unwrap_or_default();
    for finding in &result.findings {
        let span_us = span_us(finding).unwrap_or((window_us, window_us));
        let mut refs = Vec::new();
        for entity in &finding.entities {
            let (id, object) = observable(entity);
            refs.push(id.clone());
            observables.insert(id, object);
        }
        refs.sort();
        refs.dedup();
        if refs.is_empty() {
            continue;
        }
        for technique in &finding.techniques {
            techniques.insert(technique_id(technique), attack_pattern(technique));
        }
        let observed = observed_data(finding, span_us, &refs);
        observed_of.insert(&finding.id, id_of("observed-data", &finding.id));
        observations.push(observed);
        observations.extend(
            finding.techniques.iter().map(|one| sighting(finding, one, span_us, risks.score(finding))),
        );
    }
    for incident in &result.report.incidents {
        observations.extend(incident_objects(incident, &observed_of, window_us));
    }
    let mut objects = vec![identity()];
    objects.extend(techniques.into_values().chain(observables.into_values()));
    objects.extend(observations);
    let ids: Vec<&str> = objects.iter().filter_map(|object| object["id"].as_str()).collect();
    let id = id_of("bundle", &format!("{} {}", result.report.summary.config_hash, ids.join(" ")));
    let objects: Vec<Value> = objects.into_iter().map(without_nulls).collect();
    pretty(&json!({ "type": "bundle", "id": id, "objects": objects }))
}

/// The properties that all domain and relationship objects have.
fn object(kind: &str, name: &str, created_us: i64, modified_us: i64) -> Value {
    json!({
        "type": kind,
        "spec_version": "2.1",
        "id": id_of(kind, name),
        "created_by_ref": id_of("identity", "hindcast"),
        "created": version_time(created_us),
        "modified": version_time(modified_us),
    })
}

fn with(mut object: Value, fields: Value) -> Value {
    if let (Some(object), Value::Object(fields)) = (object.as_object_mut(), fields) {
        object.extend(fields);
    }
    object
}

fn identity() -> Value {
    json!({
        "type": "identity",
        "spec_version": "2.1",
        "id": id_of("identity", "hindcast"),
        "created": ALWAYS,
        "modified": ALWAYS,
        "name": "Hindcast",
        "identity_class": "system",
    })
}

fn technique_id(technique: &Technique) -> String {
    id_of("attack-pattern", &technique.id)
}

fn attack_pattern(technique: &Technique) -> Value {
    let phase = technique
        .tactic()
        .map(|tactic| json!([{ "kill_chain_name": "mitre-attack", "phase_name": tactic.short_name() }]));
    json!({
        "type": "attack-pattern",
        "spec_version": "2.1",
        "id": technique_id(technique),
        "created_by_ref": id_of("identity", "hindcast"),
        "created": ALWAYS,
        "modified": ALWAYS,
        "name": technique.name,
        "external_references": [{
            "source_name": "mitre-attack",
            "external_id": technique.id,
            "url": technique.url(),
            "description": format!("ATT&CK {ATTACK_VERSION}"),
        }],
        "kill_chain_phases": phase,
    })
}

/// The id of the finding, which is the same in the other files.
fn reference(finding: &Finding) -> Value {
    json!([{ "source_name": "hindcast", "external_id": finding.id, "description": finding.title }])
}

fn labels(finding: &Finding) -> Value {
    let mut labels = vec![
        finding.analysis.clone(),
        finding.suite.name().to_owned(),
        format!("severity-{}", finding.severity.name()),
    ];
    labels.extend(finding.roots.iter().map(|root| format!("root-{root}")));
    json!(labels)
}

fn observed_data(finding: &Finding, span_us: (i64, i64), refs: &[String]) -> Value {
    with(
        object("observed-data", &finding.id, span_us.0, span_us.1),
        json!({
            "first_observed": timestamp(span_us.0),
            "last_observed": timestamp(span_us.1),
            "number_observed": finding.rows.clamp(1, LARGEST_COUNT),
            "object_refs": refs,
            "labels": labels(finding),
            "external_references": reference(finding),
        }),
    )
}

fn sighting(finding: &Finding, technique: &Technique, span_us: (i64, i64), risk: u64) -> Value {
    with(
        object("sighting", &format!("{} {}", finding.id, technique.id), span_us.0, span_us.1),
        json!({
            "description": format!("{}: {} (risk {risk} of 100)", finding.title, finding.explanation),
            "first_seen": timestamp(span_us.0),
            "last_seen": timestamp(span_us.1),
            "count": finding.rows.clamp(1, LARGEST_COUNT),
            "confidence": finding.confidence.min(100),
            "sighting_of_ref": technique_id(technique),
            "observed_data_refs": [id_of("observed-data", &finding.id)],
            "where_sighted_refs": [id_of("identity", "hindcast")],
            "labels": labels(finding),
            "external_references": reference(finding),
        }),
    )
}

/// The incident and its relationships to the observed data of each finding.
fn incident_objects(incident: &Incident, observed: &BTreeMap<&str, String>, window_us: i64) -> Vec<Value> {
    let (first_us, last_us) = incident.span_us().unwrap_or((window_us, window_us));
    let stages = incident.stages.iter().map(|stage| stage.name());
    let stages = stages.collect::<Vec<_>>().join(", ");
    let object_of_incident = with(
        object("incident", &incident.id, first_us, last_us),
        json!({
            "name": format!("Incident of {} findings: {stages}", incident.findings.len()),
            "description": format!(
                "Risk {} of 100, severity {}, from {} to {}",
                incident.risk.score, incident.severity.name(), timestamp(first_us), timestamp(last_us)
            ),
            "labels": [format!("severity-{}", incident.severity.name())],
            "external_references": [{ "source_name": "hindcast", "external_id": incident.id }],
        }),
    );
    let related = incident.findings.iter().filter_map(|finding| observed.get(finding.as_str()));
    let relations = related.map(|target| {
        with(
            object("relationship", &format!("{} {target}", incident.id), first_us, last_us),
            json!({
                "relationship_type": "related-to",
                "source_ref": id_of("incident", &incident.id),
                "target_ref": target,
            }),
        )
    });
    let relations: Vec<Value> = relations.collect();
    std::iter::once(object_of_incident).chain(relations).collect()
}

#[cfg(test)]
mod tests;
