//! Findings and incidents as events of the Open Cybersecurity Schema Framework: Detection Finding (class 2004) and Incident
//! Finding (2005).

use std::collections::{BTreeMap, BTreeSet};

use hindcast_base::Result;
use hindcast_base::entities::{Entity, EntityKind};
use hindcast_base::time::parse_time_us;
use hindcast_detections::findings::{ATTACK_VERSION, Finding, Severity, Technique};
use hindcast_risk::Level;
use hindcast_risk::correlate::Incident;
use hindcast_scan::ScanResult;
use serde_json::{Value, json};

use super::json::{fullest, lines, without_nulls};

const OCSF_VERSION: &str = "1.8.0";

/// The event of one finding. Its time is that of the last evidence, so that the same finding makes the same event.
pub(super) fn detection_finding(finding: &Finding, version: &str) -> Value {
    let (severity_id, severity) = severity_of(finding.severity);
    without_nulls(json!({
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
        "metadata": metadata(&finding.id, version),
        "finding_info": finding_info(finding),
        "evidences": [{ "data": finding.evidence }],
        "observables": finding.entities.iter().map(|named| observable(named)).collect::<Vec<_>>(),
        "unmapped": (!finding.roots.is_empty()).then(|| json!({ "roots": finding.roots })),
    }))
}

/// One line per incident.
pub(super) fn incident_findings(result: &ScanResult) -> Result<Vec<u8>> {
    let findings: BTreeMap<&str, &Finding> =
        result.findings.iter().map(|finding| (finding.id.as_str(), finding)).collect();
    let version = &result.report.summary.version;
    lines(result.report.incidents.iter().map(|incident| {
        let members = incident.findings.iter().filter_map(|id| findings.get(id.as_str()).copied());
        incident_finding(incident, &members.collect::<Vec<_>>(), version)
    }))
}

fn incident_finding(incident: &Incident, findings: &[&Finding], version: &str) -> Value {
    let (severity_id, severity) = severity_of(incident.severity);
    let priority_id = match incident.risk.level {
        Level::NotAssessed | Level::None => None,
        Level::Low => Some((1, "Low")),
        Level::Medium => Some((2, "Medium")),
        Level::High => Some((3, "High")),
    };
    let techniques: BTreeMap<&str, &Technique> =
        findings.iter().flat_map(|finding| &finding.techniques).map(|one| (&*one.id, one)).collect();
    let titles: BTreeSet<&str> = findings.iter().map(|finding| finding.title.as_str()).collect();
    let description = titles.into_iter().collect::<Vec<_>>().join("; ");
    without_nulls(json!({
        "category_uid": 2,
        "category_name": "Findings",
        "class_uid": 2005,
        "class_name": "Incident Finding",
        "activity_id": 1,
        "activity_name": "Create",
        "type_uid": 200_501,
        "type_name": "Incident Finding: Create",
        "time": millis(&incident.last_seen).unwrap_or_default(),
        "start_time": millis(&incident.first_seen),
        "end_time": millis(&incident.last_seen),
        "severity_id": severity_id,
        "severity": severity,
        "priority_id": priority_id.map(|(id, _)| id),
        "priority": priority_id.map(|(_, name)| name),
        "status_id": 1,
        "status": "New",
        // The class requires an assignee, and the incident has none yet.
        "assignee_group": { "name": "Unassigned" },
        "count": findings.len(),
        "desc": description,
        "message": format!("{} related findings, risk {} of 100", findings.len(), incident.risk.score),
        "metadata": metadata(&incident.id, version),
        "finding_info_list": findings.iter().map(|finding| finding_info(finding)).collect::<Vec<_>>(),
        "attacks": techniques.values().map(|technique| attack(technique)).collect::<Vec<_>>(),
        "observables": incident.entities.iter().map(observable).collect::<Vec<_>>(),
        // Values for which the class has no field.
        "unmapped": {
            "risk_score": incident.risk.score,
            "stages": incident.stages,
            "suites": incident.suites,
            "ties": incident.relations,
            "roots": (!incident.roots.is_empty()).then_some(&incident.roots),
        },
    }))
}

fn millis(text: &Option<String>) -> Option<i64> {
    text.as_deref().and_then(parse_time_us).map(|micros| micros.div_euclid(1_000))
}

fn severity_of(severity: Severity) -> (u8, &'static str) {
    match severity {
        Severity::Low => (2, "Low"),
        Severity::Medium => (3, "Medium"),
        Severity::High => (4, "High"),
        Severity::Critical => (5, "Critical"),
    }
}

fn metadata(uid: &str, version: &str) -> Value {
    json!({
        "version": OCSF_VERSION,
        "uid": uid,
        "product": { "name": "Hindcast", "vendor_name": "Hindcast", "version": version },
    })
}

fn finding_info(finding: &Finding) -> Value {
    json!({
        "uid": finding.id,
        "title": finding.title,
        "desc": finding.explanation,
        "first_seen_time": millis(&finding.first_seen),
        "last_seen_time": millis(&finding.last_seen),
        "analytic": { "uid": finding.analysis, "name": finding.analysis, "type_id": 1, "type": "Rule" },
        "attacks": finding.techniques.iter().map(attack).collect::<Vec<_>>(),
    })
}

fn attack(technique: &Technique) -> Value {
    let named = json!({ "uid": technique.id, "name": technique.name, "src_url": technique.url() });
    let tactic = technique.tactic().map(|tactic| json!({ "uid": tactic.id(), "name": tactic.title() }));
    let (whole, sub) = match technique.parent() {
        Some(parent) => (json!({ "uid": parent }), named),
        None => (named, Value::Null),
    };
    json!({ "version": ATTACK_VERSION, "tactic": tactic, "technique": whole, "sub_technique": sub })
}

fn observable(entity: &Entity) -> Value {
    // Type identifiers of OCSF's observable object.
    let (type_id, type_name) = match entity.kind {
        EntityKind::Device => (1, "Hostname"),
        EntityKind::Ip => (2, "IP Address"),
        EntityKind::User => (4, "User Name"),
        EntityKind::Url => (6, "URL String"),
        EntityKind::StorageAccount => (10, "Resource UID"),
    };
    json!({ "type_id": type_id, "type": type_name, "value": fullest(entity) })
}

#[cfg(test)]
mod tests {
    use super::super::example::{beacon, result, staging, values};
    use super::*;

    #[test]
    fn a_finding_is_a_detection_finding() {
        let expected = json!({
            "category_uid": 2, "category_name": "Findings", "class_uid": 2004, "class_name": "Detection Finding",
            "activity_id": 1, "activity_name": "Create", "type_uid": 200_401,
            "type_name": "Detection Finding: Create",
            "time": 1_767_596_400_000_i64, "start_time": 1_767_592_800_123_i64, "end_time": 1_767_596_400_000_i64,
            "severity_id": 4, "severity": "High", "status_id": 1, "status": "New", "is_alert": true,
            "confidence_score": 80, "count": 3, "message": "7z packed files",
            "metadata": {
                "version": "1.8.0", "uid": "f-staging",
                "product": { "name": "Hindcast", "vendor_name": "Hindcast", "version": "9" },
            },
            "finding_info": {
                "uid": "f-staging", "title": "Data was compressed", "desc": "7z packed files",
                "first_seen_time": 1_767_592_800_123_i64, "last_seen_time": 1_767_596_400_000_i64,
                "analytic": {
                    "uid": "compression_staging", "name": "compression_staging", "type_id": 1, "type": "Rule",
                },
                "attacks": [{
                    "version": ATTACK_VERSION, "tactic": { "uid": "TA0009", "name": "Collection" },
                    "technique": { "uid": "T1560" },
                    "sub_technique": {
                        "uid": "T1560.001", "name": "Archive via Utility",
                        "src_url": "https://attack.mitre.org/techniques/T1560/001/",
                    },
                }],
            },
            "evidences": [{ "data": { "command_line": "7z a x", "bytes": 5 } }],
            "observables": [
                { "type_id": 1, "type": "Hostname", "value": "ws-1.corp.example" },
                { "type_id": 4, "type": "User Name", "value": "corp\\ada" },
            ],
        });
        assert_eq!(detection_finding(&staging(), "9"), expected);
    }

    #[test]
    fn a_technique_without_a_parent_has_no_sub_technique() {
        let attacks = &detection_finding(&beacon(), "9")["finding_info"]["attacks"];
        let expected = json!([{
            "version": ATTACK_VERSION, "tactic": { "uid": "TA0011", "name": "Command and Control" },
            "technique": {
                "uid": "T1071", "name": "Application Layer Protocol",
                "src_url": "https://attack.mitre.org/techniques/T1071/",
            },
        }]);
        assert_eq!(*attacks, expected);
    }

    #[test]
    fn severities_and_entities_have_the_ids_of_the_schema() {
        let severities =
            [Severity::Low, Severity::Medium, Severity::High, Severity::Critical].map(severity_of);
        assert_eq!(severities, [(2, "Low"), (3, "Medium"), (4, "High"), (5, "Critical")]);
        let types =
            EntityKind::ALL.map(|kind| observable(&Entity::of(kind, "a").unwrap())["type_id"].clone());
        assert_eq!(types, [1, 4, 2, 6, 10].map(Value::from));
    }

    #[test]
    fn an_incident_is_an_incident_finding() {
        let events = values(&incident_findings(&result()).unwrap());
        let [event] = events.as_slice() else { panic!("{events:?}") };
        for (field, expected) in [
            ("class_uid", json!(2005)),
            ("type_uid", json!(200_501)),
            ("time", json!(1_767_600_000_000_i64)),
            ("start_time", json!(1_767_592_800_123_i64)),
            ("severity_id", json!(5)),
            ("priority_id", json!(3)),
            ("priority", json!("High")),
            ("assignee_group", json!({ "name": "Unassigned" })),
            ("count", json!(2)),
            ("desc", json!("A beacon; Data was compressed")),
            ("message", json!("2 related findings, risk 85 of 100")),
        ] {
            assert_eq!(event[field], expected, "{field}");
        }
        let uids: Vec<_> =
            event["finding_info_list"].as_array().unwrap().iter().map(|info| &info["uid"]).collect();
        assert_eq!(uids, ["f-staging", "f-beacon"]);
        assert_eq!(event["attacks"].as_array().map(Vec::len), Some(2));
        assert_eq!(event["observables"].as_array().map(Vec::len), Some(4));
        let unmapped = json!({
            "risk_score": 85, "stages": ["staging", "beacon"], "suites": ["exfiltration", "firewall"], "ties": [],
        });
        assert_eq!(event["unmapped"], unmapped);
    }
}
