//! The techniques that findings show as a layer for the ATT&CK Navigator, scored by risk.

use std::collections::{BTreeMap, BTreeSet};

use hindcast_base::Result;
use hindcast_detections::findings::{ATTACK_VERSION, Finding, Severity, Technique};
use hindcast_scan::ScanResult;
use serde_json::{Value, json};

use super::json::pretty;
use super::risks::Risks;

const LAYER_VERSION: &str = "4.5";
/// The first Navigator release that supports this version of ATT&CK.
const NAVIGATOR_VERSION: &str = "5.1.0";
/// Colours of scores 0, 50 and 100.
const COLOURS: [&str; 3] = ["#ffffff", "#f6b26b", "#c00000"];

/// The layer. The score of a technique is the highest risk among the incidents and entities of its findings.
pub(super) fn layer(result: &ScanResult) -> Result<Vec<u8>> {
    let risks = Risks::of(result);
    let mut shown: BTreeMap<&str, (&Technique, Vec<&Finding>)> = BTreeMap::new();
    for finding in &result.findings {
        for technique in &finding.techniques {
            shown.entry(&technique.id).or_insert((technique, Vec::new())).1.push(finding);
        }
    }
    let window = &result.report.summary.window;
    let (major, _) = ATTACK_VERSION.split_once('.').unwrap_or((ATTACK_VERSION, ""));
    pretty(&json!({
        "name": format!("Hindcast {} to {}", window.from, window.to),
        "versions": { "attack": major, "navigator": NAVIGATOR_VERSION, "layer": LAYER_VERSION },
        "domain": "enterprise-attack",
        "description": "Techniques that findings show. Score: the risk (0 to 100) of the worst incident or entity they have to do with.",
        "sorting": 3,
        "layout": { "layout": "side", "showName": true, "showID": true, "expandedSubtechniques": "annotated" },
        "hideDisabled": false,
        "techniques": shown.values().map(|(technique, findings)| entry(technique, findings, &risks)).collect::<Vec<_>>(),
        "gradient": { "colors": COLOURS, "minValue": 0, "maxValue": 100 },
        "metadata": [
            { "name": "window", "value": format!("{} to {}", window.from, window.to) },
            { "name": "risk of the run", "value": result.report.summary.risk.score_text() },
        ],
        "selectTechniquesAcrossTactics": true,
        "selectSubtechniquesWithParent": false,
    }))
}

fn entry(technique: &Technique, findings: &[&Finding], risks: &Risks<'_>) -> Value {
    let severities = [Severity::Critical, Severity::High, Severity::Medium, Severity::Low];
    let counts = severities.into_iter().filter_map(|severity| {
        let count = findings.iter().filter(|finding| finding.severity == severity).count();
        (count > 0).then(|| format!("{count} {}", severity.name()))
    });
    let counts = counts.collect::<Vec<_>>().join(", ");
    let titles: BTreeSet<&str> = findings.iter().map(|finding| finding.title.as_str()).collect();
    let analyses: BTreeSet<&str> = findings.iter().map(|finding| finding.analysis.as_str()).collect();
    let metadata =
        |name: &str, value: Option<&String>| value.map(|value| json!({ "name": name, "value": value }));
    let first = findings.iter().filter_map(|finding| finding.first_seen.as_ref()).min();
    let last = findings.iter().filter_map(|finding| finding.last_seen.as_ref()).max();
    let analyses = analyses.into_iter().collect::<Vec<_>>().join(", ");
    let known =
        [metadata("analyses", Some(&analyses)), metadata("first seen", first), metadata("last seen", last)];
    let mut entry = json!({
        "techniqueID": technique.id,
        "score": findings.iter().map(|finding| risks.score(finding)).max(),
        "comment": format!("{counts}: {}", titles.into_iter().collect::<Vec<_>>().join("; ")),
        "enabled": true,
        "metadata": known.into_iter().flatten().collect::<Vec<_>>(),
    });
    if let Some(tactic) = technique.tactic() {
        entry["tactic"] = tactic.short_name().into();
    }
    entry
}

#[cfg(test)]
mod tests {
    use super::super::example::result;
    use super::*;

    fn layer_of(result: &ScanResult) -> Value {
        serde_json::from_slice(&layer(result).unwrap()).unwrap()
    }

    #[test]
    fn techniques_have_the_highest_risk_of_their_findings() {
        let layer = layer_of(&result());
        let beacon = json!({
            "techniqueID": "T1071", "tactic": "command-and-control", "score": 85, "enabled": true,
            "comment": "1 critical: A beacon",
            "metadata": [
                { "name": "analyses", "value": "beaconing" },
                { "name": "first seen", "value": "2026-01-05T08:00:00Z" },
                { "name": "last seen", "value": "2026-01-05T08:00:00Z" },
            ],
        });
        assert_eq!(layer["techniques"][0], beacon);
        assert_eq!(layer["techniques"][1]["techniqueID"], "T1560.001");
        assert_eq!(layer["techniques"][1]["tactic"], "collection");
        assert_eq!(layer["techniques"].as_array().map(Vec::len), Some(2));
    }

    #[test]
    fn a_layer_names_its_versions_window_and_risk() {
        let layer = layer_of(&result());
        assert_eq!(layer["name"], "Hindcast 2026-01-01T00:00:00Z to 2026-02-01T00:00:00Z");
        assert_eq!(layer["versions"], json!({ "attack": "16", "navigator": "5.1.0", "layer": "4.5" }));
        assert_eq!(layer["domain"], "enterprise-attack");
        assert_eq!(layer["metadata"][1], json!({ "name": "risk of the run", "value": "85" }));
        assert_eq!(
            (&layer["gradient"]["minValue"], &layer["gradient"]["maxValue"]),
            (&json!(0), &json!(100))
        );
    }

    #[test]
    fn findings_of_a_technique_are_counted_by_severity() {
        let mut result = result();
        let mut second = result.findings[1].clone();
        (second.id, second.severity, second.title) = ("other".into(), Severity::Low, "A slow beacon".into());
        second.first_seen = Some("2026-01-04T08:00:00Z".into());
        result.findings.push(second);
        let beacon = &layer_of(&result)["techniques"][0];
        assert_eq!(beacon["comment"], "1 critical, 1 low: A beacon; A slow beacon");
        assert_eq!(beacon["metadata"][1]["value"], "2026-01-04T08:00:00Z");
    }

    #[test]
    fn without_incidents_the_risk_is_that_of_the_entities() {
        let mut result = result();
        result.report.incidents.clear();
        let layer = layer_of(&result);
        let scores = [0, 1].map(|index| layer["techniques"][index]["score"].as_u64());
        assert_eq!(scores, [Some(0), Some(56)]);
    }
}
