//! Findings as alerts of Microsoft Sentinel's normalised schema: ASIM AlertEvent.

use hindcast_base::Result;
use hindcast_base::entities::{Entity, EntityKind};
use hindcast_detections::findings::{Finding, Severity};
use hindcast_scan::ScanResult;
use serde_json::{Value, json};

use super::json::{fullest, lines, of_kind, without_nulls};
use super::risks::Risks;

const SCHEMA_VERSION: &str = "0.1";

/// One line per finding. Where the schema has a single field, it holds the first entity of its kind; AdditionalFields holds
/// all entities.
pub(super) fn alert_events(result: &ScanResult) -> Result<Vec<u8>> {
    let risks = Risks::of(result);
    let summary = &result.report.summary;
    lines(result.findings.iter().map(|finding| {
        let first = finding.first_seen.as_ref().unwrap_or(&summary.window.from);
        let last = finding.last_seen.as_ref().unwrap_or(first);
        let mut event = json!({
            "TimeGenerated": last,
            "EventSchema": "AlertEvent",
            "EventSchemaVersion": SCHEMA_VERSION,
            "EventVendor": "Hindcast",
            "EventProduct": "Hindcast",
            "EventProductVersion": summary.version,
            "EventType": "Alert",
            "EventSubType": "Suspicious Activity",
            "EventCount": 1,
            "EventStartTime": first,
            "EventEndTime": last,
            "EventUid": finding.id,
            "EventMessage": finding.explanation,
            "EventSeverity": severity(finding.severity),
            "EventOriginalSeverity": finding.severity,
            "AlertId": finding.id,
            "AlertName": finding.title,
            "AlertDescription": finding.explanation,
            "AlertStatus": "Active",
            "AlertVerdict": "Unknown",
            "DetectionMethod": "Behavioral Analytics",
            "RuleName": finding.analysis,
            "Rule": finding.analysis,
            "ThreatCategory": "Unknown",
            "ThreatConfidence": finding.confidence,
            "ThreatRiskLevel": risks.score(finding),
            "AttackTactics": finding.tactic().map(|tactic| tactic.title()),
            "AttackTechniques": techniques(finding),
            "AdditionalFields": {
                "Entities": finding.entities,
                "Evidence": finding.evidence,
                "Rows": finding.rows,
                "Suite": finding.suite,
                "Watchlists": finding.watchlists,
            },
        });
        if !finding.roots.is_empty() {
            event["AdditionalFields"]["Roots"] = json!(finding.roots);
        }
        put_entities(&mut event, finding);
        without_nulls(event)
    }))
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Low => "Low",
        Severity::Medium => "Medium",
        Severity::High | Severity::Critical => "High",
    }
}

fn techniques(finding: &Finding) -> Option<String> {
    let names = finding.techniques.iter().map(|technique| format!("{} ({})", technique.name, technique.id));
    let names: Vec<String> = names.collect();
    (!names.is_empty()).then(|| names.join(", "))
}

fn put_entities(event: &mut Value, finding: &Finding) {
    let first = |kind| of_kind(finding, kind).next();
    if let Some(device) = first(EntityKind::Device) {
        event["DvcHostname"] = device.name.clone().into();
        event["Hostname"] = device.name.clone().into();
        event["Dvc"] = fullest(device).into();
        if let Some((_, domain)) = fullest(device).split_once('.').filter(|_| device.full_name.is_some()) {
            event["DvcFQDN"] = fullest(device).into();
            event["DvcDomain"] = domain.into();
            event["DvcDomainType"] = "FQDN".into();
        }
    }
    if let Some(address) = source(finding).or_else(|| first(EntityKind::Ip).map(|ip| ip.name.clone())) {
        if event.get("Dvc").is_none() {
            event["Dvc"] = address.clone().into();
        }
        event["IpAddr"] = address.clone().into();
        event["DvcIpAddr"] = address.into();
    }
    if let Some(user) = first(EntityKind::User) {
        event["Username"] = fullest(user).into();
        event["User"] = fullest(user).into();
        event["UsernameType"] = username_type(user).into();
    }
    if let Some(url) = first(EntityKind::Url) {
        event["Url"] = url.name.clone().into();
    }
    if let Some(entity) = finding.entities.first() {
        event["IndicatorType"] = match entity.kind {
            EntityKind::Device => "Host",
            EntityKind::User => "User",
            EntityKind::Ip => "Ip",
            EntityKind::Url => "Url",
            EntityKind::StorageAccount => "Cloud Resource",
        }
        .into();
        event["IndicatorAssociation"] = "Associated".into();
    }
}

/// The source address, if the finding names it as an entity.
fn source(finding: &Finding) -> Option<String> {
    let text = finding.evidence.get("source_ip")?.as_str()?;
    let source = Entity::of(EntityKind::Ip, text)?;
    of_kind(finding, EntityKind::Ip).find(|ip| ip.name == source.name).map(|ip| ip.name.clone())
}

fn username_type(user: &Entity) -> &'static str {
    match fullest(user) {
        name if name.contains('\\') => "Windows",
        name if name.contains('@') => "UPN",
        _ => "Simple",
    }
}

#[cfg(test)]
mod tests {
    use super::super::example::{result, values};
    use super::*;

    #[test]
    fn a_finding_on_a_device_is_an_alert_of_that_device_and_user() {
        let mut expected = json!({
            "TimeGenerated": "2026-01-05T07:00:00Z", "EventSchema": "AlertEvent", "EventSchemaVersion": "0.1",
            "EventVendor": "Hindcast", "EventProduct": "Hindcast", "EventProductVersion": "1.2.3",
            "EventType": "Alert", "EventSubType": "Suspicious Activity", "EventCount": 1,
            "EventStartTime": "2026-01-05T06:00:00.123456Z", "EventEndTime": "2026-01-05T07:00:00Z",
            "EventUid": "f-staging", "EventMessage": "7z packed files",
            "EventSeverity": "High", "EventOriginalSeverity": "high",
            "AlertId": "f-staging", "AlertName": "Data was compressed", "AlertDescription": "7z packed files",
            "AlertStatus": "Active", "AlertVerdict": "Unknown", "DetectionMethod": "Behavioral Analytics",
            "RuleName": "compression_staging", "Rule": "compression_staging", "ThreatCategory": "Unknown",
            "ThreatConfidence": 80, "ThreatRiskLevel": 85,
            "AttackTactics": "Collection", "AttackTechniques": "Archive via Utility (T1560.001)",
            "AdditionalFields": {
                "Entities": [
                    { "kind": "device", "name": "ws-1", "full_name": "ws-1.corp.example" },
                    { "kind": "user", "name": "ada", "full_name": "corp\\ada" },
                ],
                "Evidence": { "command_line": "7z a x", "bytes": 5 },
                "Rows": 3, "Suite": "exfiltration", "Watchlists": ["vip"],
            },
        });
        let of_entities = json!({
            "DvcHostname": "ws-1", "Hostname": "ws-1", "Dvc": "ws-1.corp.example",
            "DvcFQDN": "ws-1.corp.example", "DvcDomain": "corp.example", "DvcDomainType": "FQDN",
            "Username": "corp\\ada", "User": "corp\\ada", "UsernameType": "Windows",
            "IndicatorType": "Host", "IndicatorAssociation": "Associated",
        });
        expected.as_object_mut().unwrap().extend(of_entities.as_object().unwrap().clone());
        assert_eq!(values(&alert_events(&result()).unwrap())[0], expected);
    }

    #[test]
    fn a_finding_of_addresses_is_an_alert_of_its_source() {
        let alert = &values(&alert_events(&result()).unwrap())[1];
        for (field, expected) in [
            ("Dvc", json!("10.0.0.1")),
            ("IpAddr", json!("10.0.0.1")),
            ("DvcIpAddr", json!("10.0.0.1")),
            ("EventSeverity", json!("High")),
            ("EventOriginalSeverity", json!("critical")),
            ("ThreatRiskLevel", json!(85)),
            ("IndicatorType", json!("Ip")),
            ("AttackTactics", json!("Command and Control")),
        ] {
            assert_eq!(alert[field], expected, "{field}");
        }
        assert!(alert.get("DvcHostname").is_none() && alert.get("Username").is_none(), "{alert}");
    }

    #[test]
    fn user_names_have_the_type_of_their_form() {
        let types = ["CORP\\ada", "ada@corp.example", "ada"]
            .map(|name| username_type(&Entity::of(EntityKind::User, name).unwrap()));
        assert_eq!(types, ["Windows", "UPN", "Simple"]);
    }
}
