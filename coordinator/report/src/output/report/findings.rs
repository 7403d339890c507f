//! The findings, the worst first, each with its evidence, and the findings that an allow-list suppressed.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use askama::Template;
use askama::filters::HtmlSafe;
use hindcast_detections::findings::Finding;

use super::guide::GuidePart;
use super::incidents::evidence;
use super::table::Table;
use super::{Source, format};

/// Findings on the page.
const SHOWN_FINDINGS: usize = 500;
/// Suppressed findings on the page.
const SHOWN_SUPPRESSED: usize = 50;

/// The section.
#[derive(Template)]
#[template(path = "report/findings.html")]
pub(super) struct Findings {
    findings: Vec<FindingRow>,
    note: String,
    guides: Vec<GuideCard>,
    /// The number of suppressed findings per allow-list.
    allowed: Vec<(String, String)>,
    suppressed: Table,
}

impl HtmlSafe for Findings {}

struct FindingRow {
    severity: &'static str,
    severity_class: &'static str,
    confidence: u8,
    time: String,
    title: String,
    analysis: String,
    explanation: String,
    entities: Vec<String>,
    techniques: String,
    /// The roots of its rows; empty if the lake has one.
    roots: String,
    evidence: Vec<(String, String)>,
    has_guide: bool,
}

/// The guide to the findings of an analysis.
struct GuideCard {
    analysis: &'static str,
    title: &'static str,
    guide: GuidePart,
}

impl Findings {
    pub(super) fn of(source: &Source<'_>) -> Self {
        let result = source.result;
        let guides = guides(source);
        let has_guide = |analysis: &str| guides.iter().any(|guide| guide.analysis == analysis);
        let findings = worst(&result.findings).into_iter();
        let findings: Vec<FindingRow> =
            findings.map(|finding| row(finding, has_guide(&finding.analysis))).collect();
        let rows = result.suppressed.iter().take(SHOWN_SUPPRESSED).map(|finding| {
            vec![
                format::text(&finding.watchlists.join(", ")),
                format::time(finding.first_seen.as_deref()),
                finding.title.clone(),
                format::text(&finding.explanation),
            ]
        });
        let columns = [("watchlists", "text"), ("first seen", "time"), ("finding", "text"), ("seen", "long")];
        let allowed = &result.report.summary.suppressed;
        Self {
            note: format::shown_of(
                findings.len(),
                result.findings.len(),
                "findings, the worst first; findings.jsonl has all",
            ),
            findings,
            guides,
            allowed: allowed
                .iter()
                .map(|(list, count)| (format::text(list), format::count(*count)))
                .collect(),
            suppressed: Table::new(
                &columns,
                rows.collect(),
                result.suppressed.len(),
                "suppressed findings; suppressed.jsonl has all",
            ),
        }
    }
}

/// The findings on the page, the worst first, then by time.
fn worst(findings: &[Finding]) -> Vec<&Finding> {
    let mut all: Vec<&Finding> = findings.iter().collect();
    all.sort_by_key(|finding| {
        (Reverse((finding.severity, finding.confidence)), &finding.first_seen, &finding.id)
    });
    all.truncate(SHOWN_FINDINGS);
    all
}

/// The guides of the analyses that raised findings, in the order of the sections.
fn guides(source: &Source<'_>) -> Vec<GuideCard> {
    let raised: BTreeSet<&str> =
        source.result.findings.iter().map(|finding| finding.analysis.as_str()).collect();
    let analyses = source.config.detections.analyses().iter().filter(|analysis| raised.contains(analysis.id));
    let guides = analyses.map(|analysis| GuideCard {
        analysis: analysis.id,
        title: analysis.title,
        guide: GuidePart { guide: &analysis.about.guide },
    });
    guides.filter(|card| !card.guide.guide.is_empty()).collect()
}

fn row(finding: &Finding, has_guide: bool) -> FindingRow {
    let techniques: Vec<&str> = finding.techniques.iter().map(|technique| technique.id.as_ref()).collect();
    FindingRow {
        severity: finding.severity.name(),
        severity_class: format::severity_class(finding.severity),
        confidence: finding.confidence,
        time: format::time(finding.first_seen.as_deref()),
        title: finding.title.clone(),
        analysis: finding.analysis.clone(),
        explanation: format::text(&finding.explanation),
        entities: finding.entities.iter().map(|named| format::entity(named)).collect(),
        techniques: techniques.join(", "),
        roots: format::roots(&finding.roots),
        evidence: evidence(finding),
        has_guide,
    }
}

#[cfg(test)]
mod tests {
    use hindcast_detections::analyses::Suite;
    use hindcast_detections::findings::{KillChainPhase, Severity};
    use serde_json::json;

    use super::*;

    fn finding(index: u8, severity: Severity) -> Finding {
        Finding {
            id: format!("{index:03}"),
            analysis: "beaconing".into(),
            suite: Suite::Firewall,
            title: "Beacon".into(),
            severity,
            confidence: index % 100,
            first_seen: Some("2026-01-05T06:00:00Z".into()),
            last_seen: None,
            rows: 1,
            stage: KillChainPhase::Beacon,
            entities: BTreeSet::new(),
            techniques: Vec::new(),
            explanation: String::new(),
            evidence: json!({ "command": "<script>", "bytes": 3, "user": null }),
            watchlists: Vec::new(),
            roots: BTreeSet::new(),
        }
    }

    #[test]
    fn the_worst_findings_come_first_and_the_others_are_left_out() {
        let mut findings: Vec<Finding> = (0..=SHOWN_FINDINGS).map(|_| finding(1, Severity::Low)).collect();
        findings.extend([
            finding(40, Severity::High),
            finding(90, Severity::High),
            finding(2, Severity::Critical),
        ]);
        let shown = worst(&findings);
        assert_eq!(shown.len(), SHOWN_FINDINGS);
        let first: Vec<&str> = shown[..4].iter().map(|finding| finding.id.as_str()).collect();
        assert_eq!(first, ["002", "090", "040", "001"]);
    }

    #[test]
    fn evidence_has_a_value_per_column() {
        let evidence = evidence(&finding(1, Severity::Low));
        let columns: Vec<(&str, &str)> =
            evidence.iter().map(|(column, value)| (column.as_str(), value.as_str())).collect();
        assert_eq!(columns, [("command", "<script>"), ("bytes", "3")]);
    }
}
