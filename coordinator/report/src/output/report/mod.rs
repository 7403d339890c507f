//! `report.html`: the result of a scan as one file that opens offline. It depends on the result alone, so that the same
//! result makes the same bytes. docs/report.md describes its contents and its security.

mod charts;
mod coverage;
mod embedded;
mod entities;
mod findings;
mod format;
mod guide;
mod incidents;
mod investigated;
mod overview;
mod parameters;
mod suites;
mod table;

use std::collections::HashMap;

use askama::Template;
use hindcast_base::{Error, Result};
use hindcast_detections::config::Config;
use hindcast_detections::findings::Finding;

pub use guide::GuidePart;
use hindcast_risk::RiskSource;
use hindcast_scan::ScanResult;

/// The page.
#[derive(Template)]
#[template(path = "report/page.html")]
struct Page {
    embedded: embedded::Embedded,
    title: String,
    from: String,
    to: String,
    version: String,
    config_hash: String,
    overview: overview::Overview,
    investigated: Option<investigated::Investigated>,
    incidents: incidents::Incidents,
    entities: entities::Entities,
    findings: findings::Findings,
    suites: Vec<suites::SuiteSection>,
    parameters: parameters::Parameters,
    coverage: coverage::CoverageSection,
}

/// The data of all sections.
struct Source<'a> {
    result: &'a ScanResult,
    config: Config,
    by_id: HashMap<&'a str, &'a Finding>,
}

impl<'a> Source<'a> {
    fn of(result: &'a ScanResult) -> Result<Self> {
        let config = serde_json::from_value(result.report.parameters.clone())
            .map_err(|error| Error::Data(format!("reading the parameters of the run: {error}")))?;
        let by_id = result.findings.iter().map(|finding| (finding.id.as_str(), finding)).collect();
        Ok(Self { result, config, by_id })
    }

    /// The source of a contribution to a risk: the title if the source is a finding.
    fn contributor(&self, from: &RiskSource) -> String {
        let finding = from.finding().and_then(|id| self.by_id.get(id));
        finding.map_or_else(|| format::text(&from.to_string()), |finding| finding.title.clone())
    }
}

/// The report of `result`.
///
/// # Errors
/// [`Error::Internal`] if a template or the parameters of the run are broken.
pub(super) fn page(result: &ScanResult) -> Result<Vec<u8>> {
    let source = Source::of(result)?;
    let summary = &result.report.summary;
    let mut charts = charts::Charts::default();
    let overview = overview::Overview::of(&source, &mut charts);
    let investigated = investigated::Investigated::of(&source);
    let incidents = incidents::Incidents::of(&source, &mut charts);
    let suites = suites::sections(&source, &mut charts)?;
    let coverage = coverage::CoverageSection::of(&source, &mut charts);
    let page = Page {
        title: match &summary.entity {
            Some(entity) => format!("{} {}", entity.kind.name(), format::text(&entity.requested)),
            None => "Scan report".to_owned(),
        },
        from: format::time(Some(&summary.window.from)),
        to: format::time(Some(&summary.window.to)),
        version: summary.version.clone(),
        config_hash: summary.config_hash.chars().take(12).collect(),
        overview,
        investigated,
        incidents,
        entities: entities::Entities::of(&source),
        findings: findings::Findings::of(&source),
        suites,
        parameters: parameters::Parameters::of(&source),
        coverage,
        embedded: embedded::Embedded::new(&charts.into_data()),
    };
    let html = page.render().map_err(|error| Error::Internal(format!("making the report: {error}")))?;
    Ok(html.into_bytes())
}

#[cfg(test)]
mod tests;
