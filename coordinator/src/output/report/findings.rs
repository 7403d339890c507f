//! The findings, the worst first, each with the row behind it; and those that an allow-list set aside.

use std::cmp::Reverse;

use askama::Template;
use askama::filters::HtmlSafe;
use hindcast_common::findings::Finding;

use super::incidents::evidence;
use super::table::Table;
use super::{Source, told};

/// Findings shown.
const SHOWN_FINDINGS: usize = 500;
/// Findings set aside that are shown.
const SHOWN_SUPPRESSED: usize = 50;

/// The section.
#[derive(Template)]
#[template(path = "report/findings.html")]
pub(super) struct Findings {
    findings: Vec<FindingRow>,
    note: String,
    /// By allow-list, how many it set aside.
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
    evidence: Vec<(String, String)>,
}

impl Findings {
    pub(super) fn of(source: &Source<'_>) -> Self {
        let result = source.result;
        let mut all: Vec<&Finding> = result.findings.iter().collect();
        all.sort_by_key(|finding| {
            (Reverse((finding.severity, finding.confidence)), &finding.first_seen, &finding.id)
        });
        let findings: Vec<FindingRow> = all.iter().take(SHOWN_FINDINGS).map(|finding| row(finding)).collect();
        let rows = result.suppressed.iter().take(SHOWN_SUPPRESSED).map(|finding| {
            vec![
                told::text(&finding.watchlists.join(", ")),
                told::time(finding.first_seen.as_deref()),
                finding.title.clone(),
                told::text(&finding.explanation),
            ]
        });
        let columns = [("watchlists", "text"), ("first seen", "time"), ("finding", "text"), ("seen", "long")];
        let allowed = &result.report.summary.suppressed;
        Self {
            note: told::cut(findings.len(), all.len(), "findings, the worst; all are in findings.jsonl"),
            findings,
            allowed: allowed.iter().map(|(list, count)| (told::text(list), told::count(*count))).collect(),
            suppressed: Table::new(
                &columns,
                rows.collect(),
                result.suppressed.len(),
                "findings set aside; all are in suppressed.jsonl",
            ),
        }
    }
}

fn row(finding: &Finding) -> FindingRow {
    let techniques: Vec<&str> = finding.techniques.iter().map(|technique| technique.id.as_ref()).collect();
    FindingRow {
        severity: finding.severity.name(),
        severity_class: told::severity_class(finding.severity),
        confidence: finding.confidence,
        time: told::time(finding.first_seen.as_deref()),
        title: finding.title.clone(),
        analysis: finding.analysis.clone(),
        explanation: told::text(&finding.explanation),
        entities: finding.entities.iter().map(told::entity).collect(),
        techniques: techniques.join(", "),
        evidence: evidence(finding),
    }
}
