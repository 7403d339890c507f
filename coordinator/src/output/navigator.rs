//! The techniques that findings show as a layer for the ATT&CK Navigator, scored by risk.

use std::collections::{BTreeMap, BTreeSet};

use hindcast_common::Result;
use hindcast_common::findings::{ATTACK_VERSION, Finding, Severity, Technique};
use serde_json::{Value, json};

use super::json::pretty;
use super::risks::Risks;
use crate::scan::ScanResult;

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
