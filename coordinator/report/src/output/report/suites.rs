//! The sections of suites: the score with its signals, and every analysis with its charts and first rows.

use std::collections::BTreeMap;

use askama::Template;
use askama::filters::HtmlSafe;
use hindcast_base::Result;
use hindcast_detections::Detections;
use hindcast_detections::analyses::Suite;
use hindcast_scan::ResultTable;

use super::charts::{self, Charts, PlacedChart};
use super::overview::suite_title;
use super::table::Table;
use super::{Source, format};

/// Most rows of a table that is open when the page opens.
const OPEN_ROWS: usize = 20;

/// A suite's section.
#[derive(Template)]
#[template(path = "report/suite.html")]
pub(super) struct SuiteSection {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    score: Option<Score>,
    analyses: Vec<AnalysisCard>,
    /// Analyses that did not run, and why.
    disabled: Vec<(String, String)>,
}

impl HtmlSafe for SuiteSection {}

struct Score {
    score: u64,
    level: &'static str,
    level_class: &'static str,
    /// The signals that add up to the score.
    sum: String,
}

struct AnalysisCard {
    title: String,
    name: String,
    /// A description in one or two sentences.
    shows: String,
    rows: String,
    findings: Option<String>,
    charts: Vec<PlacedChart>,
    table: Table,
    /// Whether the table is open: short tables without a chart are.
    is_open: bool,
}

/// The sections of the suites that ran or were disabled.
pub(super) fn sections(source: &Source<'_>, charts: &mut Charts) -> Result<Vec<SuiteSection>> {
    let mut by_suite: BTreeMap<Suite, Vec<AnalysisCard>> = BTreeMap::new();
    for table in &source.result.tables {
        let (suite, title) = described(&table.name, source.config.detections);
        by_suite.entry(suite).or_default().push(card(table, title, source, charts)?);
    }
    let mut disabled: BTreeMap<Suite, Vec<(String, String)>> = BTreeMap::new();
    for (analysis, reason) in &source.result.report.summary.disabled {
        let suite = described(analysis, source.config.detections).0;
        disabled.entry(suite).or_default().push((analysis.clone(), format::text(reason)));
    }
    // The activity of an investigated entity comes before the suites.
    let order = [Suite::Investigation, Suite::Exfiltration, Suite::Firewall, Suite::Office365];
    let section = |suite: Suite| {
        let analyses = by_suite.remove(&suite).unwrap_or_default();
        let disabled = disabled.remove(&suite).unwrap_or_default();
        let is_there = !analyses.is_empty() || !disabled.is_empty();
        is_there.then(|| SuiteSection {
            id: suite.name(),
            title: suite_title(suite),
            score: score(suite, source),
            analyses,
            disabled,
        })
    };
    Ok(order.into_iter().filter_map(section).collect())
}

fn score(suite: Suite, source: &Source<'_>) -> Option<Score> {
    let score = source.result.report.summary.suites.get(suite.name())?;
    let cap = source.config.score.cap;
    let signals = score.signals.iter().map(|(id, rows)| {
        let cut = if *rows > cap { format!(" of {}", format::count(*rows)) } else { String::new() };
        format!("{id} {}{cut}", (*rows).min(cap))
    });
    Some(Score {
        score: score.score,
        level: score.level.name(),
        level_class: format::level_class(score.level),
        sum: format!("rows per signal, at most {cap}: {}", signals.collect::<Vec<_>>().join(" + ")),
    })
}

fn card(
    table: &ResultTable,
    title: String,
    source: &Source<'_>,
    charts: &mut Charts,
) -> Result<AnalysisCard> {
    let drawn = charts::of_table(table, &source.config)?;
    let analysis = source.config.detections.by_id(&table.name);
    let raises = analysis.is_some_and(|analysis| analysis.finding.is_some());
    let findings = source.result.findings.iter().filter(|finding| finding.analysis == table.name).count();
    let mut placed: Vec<PlacedChart> = drawn.into_iter().map(|chart| charts.place(chart)).collect();
    if let [only] = placed.as_mut_slice() {
        only.heading.clear();
    }
    Ok(AnalysisCard {
        is_open: placed.is_empty() && (1..=OPEN_ROWS).contains(&table.rows()),
        title,
        name: table.name.clone(),
        rows: format::counted(table.rows() as u64, "row"),
        findings: raises.then(|| format::counted(findings as u64, "finding")),
        shows: analysis.map_or_else(String::new, |analysis| analysis.about.shows.to_owned()),
        charts: placed,
        table: Table::of(table, analysis)?,
    })
}

/// The suite and the title of a result table.
fn described(table: &str, detections: Detections) -> (Suite, String) {
    match detections.by_table(table) {
        // Correlation results are shown only in an investigation.
        Some(analysis) if analysis.suite == Suite::Correlation => {
            (Suite::Investigation, analysis.title.to_owned())
        }
        Some(analysis) if analysis.id == table => (analysis.suite, analysis.title.to_owned()),
        Some(analysis) => (analysis.suite, format!("{}: summary", analysis.title)),
        None => (Suite::Investigation, table.to_owned()),
    }
}
