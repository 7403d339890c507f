//! Findings as OCSF Detection Findings (class 2004 of the Open Cybersecurity Schema Framework, version 1.3.0).

use hindcast_common::findings::{Entity, EntityKind, Finding, Severity};
use hindcast_common::time::parse_time_us;
use serde_json::{Value, json};

const OCSF_VERSION: &str = "1.3.0";
const ATTACK_VERSION: &str = "16.1";

/// The event of one finding. Its time is that of the last evidence, so the same finding is the same event.
pub(super) fn detection_finding(finding: &Finding, version: &str) -> Value {
    let millis = |text: &Option<String>| text.as_deref().and_then(parse_time_us).map(|micros| micros / 1_000);
    let (severity_id, severity) = match finding.severity {
        Severity::Low => (2, "Low"),
        Severity::Medium => (3, "Medium"),
        Severity::High => (4, "High"),
        Severity::Critical => (5, "Critical"),
    };
    let attacks: Vec<Value> = finding
        .techniques
        .iter()
        .map(|technique| json!({ "version": ATTACK_VERSION, "technique": { "uid": technique.id, "name": technique.name } }))
        .collect();
    json!({
        "category_uid": 2,
        "category_name": "Findings",
        "class_uid": 2004,
        "class_name": "Detection Finding",
        "activity_id": 1,
        "activity_name": "Create",
        "type_uid": 200_401,
        "type_name": "Detection Finding: Create",
        "time": millis(&finding.last_seen).unwrap_or_default(),
        "start_time": millis(&finding.first_seen),
        "end_time": millis(&finding.last_seen),
        "severity_id": severity_id,
        "severity": severity,
        "status_id": 1,
        "status": "New",
        "is_alert": true,
        "confidence_score": finding.confidence,
        "count": finding.rows,
        "message": finding.explanation,
        "metadata": {
            "version": OCSF_VERSION,
            "uid": finding.id,
            "product": { "name": "Hindcast", "vendor_name": "Hindcast", "version": version },
        },
        "finding_info": {
            "uid": finding.id,
            "title": finding.title,
            "desc": finding.explanation,
            "first_seen_time": millis(&finding.first_seen),
            "last_seen_time": millis(&finding.last_seen),
            "analytic": { "uid": finding.analysis, "name": finding.analysis, "type_id": 1, "type": "Rule" },
            "attacks": attacks,
        },
        "evidences": [{ "data": finding.evidence }],
        "observables": finding.entities.iter().map(observable).collect::<Vec<_>>(),
    })
}

fn observable(entity: &Entity) -> Value {
    // Type identifiers of OCSF's observable object.
    let (type_id, type_name, name) = match entity.kind {
        EntityKind::Device => (1, "Hostname", "device.hostname"),
        EntityKind::Ip => (2, "IP Address", "endpoint.ip"),
        EntityKind::User => (4, "User Name", "actor.user.name"),
        EntityKind::Url => (6, "URL String", "url.url_string"),
        EntityKind::StorageAccount => (10, "Resource UID", "resource.uid"),
    };
    json!({ "type_id": type_id, "type": type_name, "name": name, "value": entity.name })
}
