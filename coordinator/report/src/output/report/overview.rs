//! The first section: the risk of the run and its contributions, by suite and by day.

use askama::Template;
use askama::filters::HtmlSafe;
use hindcast_detections::analyses::Suite;
use hindcast_risk::{Case, Contribution, RiskSource};
use hindcast_scan::{CoverageEntry, Status};

use super::charts::{self, Charts, PlacedChart};
use super::incidents::SHOWN_INCIDENTS;
use super::{Source, format};

/// The section.
#[derive(Template)]
#[template(path = "report/overview.html")]
pub(super) struct Overview {
    /// None if nothing was assessed.
    score: Option<u64>,
    level: &'static str,
    level_class: &'static str,
    explanation: Vec<Part>,
    /// Why nothing was assessed.
    unassessed: Vec<String>,
    facts: Vec<(String, String)>,
    suites: Vec<SuiteScoreCard>,
    days: Option<PlacedChart>,
    /// Table dates that could not be read in full.
    failed: u64,
    /// Data that was not read, independent of dates.
    gaps: Vec<String>,
}

impl HtmlSafe for Overview {}

/// A contribution to the score.
struct Part {
    points: u64,
    from: String,
    /// Its incident, if the page shows it.
    incident: Option<String>,
}

/// The score of a suite.
struct SuiteScoreCard {
    id: &'static str,
    title: &'static str,
    score: u64,
    level: &'static str,
    level_class: &'static str,
    signals: Vec<(String, String)>,
}

impl Overview {
    pub(super) fn of(source: &Source<'_>, charts: &mut Charts) -> Self {
        let report = &source.result.report;
        let summary = &report.summary;
        let shown: Vec<&str> =
            report.incidents.iter().take(SHOWN_INCIDENTS).map(|incident| incident.id.as_str()).collect();
        let part = |part: &Contribution| Part {
            points: part.points,
            from: format::text(&part.from.to_string()),
            incident: match &part.from {
                RiskSource::Worst(Case::Incident(id)) => {
                    Some(id.clone()).filter(|id| shown.contains(&id.as_str()))
                }
                _ => None,
            },
        };
        let suites = Suite::ALL.into_iter().filter_map(|suite| {
            let score = summary.suites.get(suite.name())?;
            Some(SuiteScoreCard {
                id: suite.name(),
                title: suite_title(suite),
                score: score.score,
                level: score.level.name(),
                level_class: format::level_class(score.level),
                signals: score.signals.iter().map(|(id, rows)| (id.clone(), format::count(*rows))).collect(),
            })
        });
        Self {
            score: summary.risk.score(),
            level: summary.risk.level().name(),
            level_class: format::level_class(summary.risk.level()),
            explanation: summary.risk.contributions().iter().map(part).collect(),
            unassessed: summary.risk.reasons().iter().map(|reason| format::text(reason)).collect(),
            facts: facts(source),
            suites: suites.collect(),
            days: charts::risk_by_day(&summary.risk_by_day).map(|chart| charts.place(chart)),
            failed: summary.coverage.count(Status::Failed),
            gaps: summary.coverage.gaps.iter().map(|gap| format::text(&gap.to_string())).collect(),
        }
    }
}

fn facts(source: &Source<'_>) -> Vec<(String, String)> {
    let report = &source.result.report;
    let coverage = &report.summary.coverage;
    let (rows, scanned) = (coverage.rows(), coverage.count(Status::Scanned));
    let all: u64 = coverage.tables.iter().map(CoverageEntry::dates).sum();
    let number = |count: usize| format::count(count as u64);
    let mut facts = vec![
        ("incidents".to_owned(), number(report.incidents.len())),
        ("findings".to_owned(), number(source.result.findings.len())),
        ("suppressed".to_owned(), number(source.result.suppressed.len())),
        ("entities".to_owned(), number(report.entities.len())),
        ("rows read".to_owned(), format::count(rows)),
        ("table dates".to_owned(), format!("{} scanned of {}", format::count(scanned), format::count(all))),
        ("analyses".to_owned(), number(report.outline.analyses.len())),
    ];
    if let Some(locations) = &report.summary.locations {
        facts.push((
            "locations".to_owned(),
            format::text(&format!("{}, built {}", locations.database, locations.built)),
        ));
    }
    facts
}

/// The title of a suite on the page.
pub(super) fn suite_title(suite: Suite) -> &'static str {
    match suite {
        Suite::Exfiltration => "Data staging and exfiltration",
        Suite::Firewall => "Firewall",
        Suite::Office365 => "Office 365",
        Suite::Correlation => "Correlation",
        Suite::Investigation => "Activity",
    }
}
