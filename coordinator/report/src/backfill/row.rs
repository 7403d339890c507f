//! The row of one window: the main numbers of its scan's summary.

use std::collections::BTreeMap;

use hindcast_base::time::{Window, format_micros};
use hindcast_detections::findings::Severity;
use hindcast_risk::{Level, RunRisk};
use hindcast_scan::{Coverage, CoverageEntry, ReadVersion, ScanResult, SuiteScore, WindowSummary};
use serde::{Deserialize, Serialize};

/// Severities in the order of the columns.
pub const SEVERITIES: [Severity; 4] = [Severity::Critical, Severity::High, Severity::Medium, Severity::Low];

/// The row of a window. Fields that `summary.json` has too are the same as there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowRow {
    /// First instant, RFC 3339.
    pub from: String,
    /// First instant after it.
    pub to: String,
    /// Score and level by suite.
    pub suites: BTreeMap<String, SuiteScore>,
    /// Score and level of the window; none if the lake has no file in it.
    pub risk: Option<RunRisk>,
    /// Findings by severity.
    pub findings: BTreeMap<String, u64>,
    /// Findings that allow-lists suppressed.
    pub suppressed: u64,
    /// Number of incidents.
    pub incidents: u64,
    /// Rows of all tables in the window.
    pub rows: u64,
    /// Whether everything present in the window was looked at.
    pub complete: bool,
    /// What was not looked at, which dates the lake lacks of tables that it has, or why there is no risk.
    pub reason: Option<String>,
    /// Analyses that did not run, and why.
    pub disabled: BTreeMap<String, String>,
    /// The versions of tables with a log that were read. A cached row may have been computed from others with the same files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub versions: Vec<ReadVersion>,
}

impl WindowRow {
    /// The row of a finished scan.
    pub(super) fn of(result: &ScanResult) -> Self {
        let summary = &result.report.summary;
        let WindowSummary { from, to } = summary.window.clone();
        let of_severity = |severity: Severity| {
            result.findings.iter().filter(|finding| finding.severity == severity).count()
        };
        Self {
            from,
            to,
            suites: summary.suites.clone(),
            risk: Some(summary.risk.clone()),
            findings: counted(|severity| of_severity(severity) as u64),
            suppressed: summary.suppressed.values().sum(),
            incidents: summary.incidents as u64,
            rows: summary.coverage.rows(),
            complete: summary.coverage.complete,
            reason: unread(&summary.coverage).or_else(|| unassessed(&summary.risk)),
            disabled: summary.disabled.clone(),
            versions: Vec::new(),
        }
    }

    /// The row of a window in which the lake has no file.
    pub(super) fn without_data(window: &Window) -> Self {
        Self {
            from: format_micros(window.from_us),
            to: format_micros(window.to_us),
            suites: BTreeMap::new(),
            risk: None,
            findings: counted(|_| 0),
            suppressed: 0,
            incidents: 0,
            rows: 0,
            complete: true,
            reason: Some("the lake has no file in this window".into()),
            disabled: BTreeMap::new(),
            versions: Vec::new(),
        }
    }

    /// The window's score and level, if anything was looked at.
    pub fn assessed(&self) -> Option<(u64, Level)> {
        let risk = self.risk.as_ref()?;
        Some((risk.score()?, risk.level()))
    }

    /// The name of the window's level in output.
    pub(crate) fn level_name(&self) -> &'static str {
        self.assessed().map_or(Level::NotAssessed, |(_, level)| level).name()
    }

    /// Findings of all severities.
    pub(crate) fn all_findings(&self) -> u64 {
        self.findings.values().sum()
    }
}

fn counted(count: impl Fn(Severity) -> u64) -> BTreeMap<String, u64> {
    SEVERITIES.map(|severity| (severity.name().to_owned(), count(severity))).into_iter().collect()
}

/// What was not looked at or is absent, by table and date; none if everything was.
fn unread(coverage: &Coverage) -> Option<String> {
    let missing = coverage.tables.iter().filter(|entry| entry.reasons.is_absent());
    let missing = missing.map(CoverageEntry::unread_text);
    let past = coverage.unread_past().map(|entry| format!("looked back at: {}", entry.unread_text()));
    let text: Vec<String> = coverage.unread().chain(missing).chain(past).collect();
    (!text.is_empty()).then(|| text.join("; "))
}

/// Why nothing was assessed.
fn unassessed(risk: &RunRisk) -> Option<String> {
    (!risk.is_assessed()).then(|| risk.reasons().join("; "))
}
