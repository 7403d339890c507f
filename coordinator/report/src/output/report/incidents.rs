//! Incidents: for each a timeline along the kill chain, its findings in order, and their relations.

use std::collections::BTreeMap;

use askama::Template;
use askama::filters::HtmlSafe;
use hindcast_detections::findings::Finding;
use hindcast_risk::RiskSource;
use hindcast_risk::correlate::{Incident, Relation};

use super::charts::{self, Charts, PlacedChart};
use super::investigated::span;
use super::table::Table;
use super::{Source, format};

/// Incidents on the page: the worst.
pub(super) const SHOWN_INCIDENTS: usize = 20;
/// Findings, relations and entities per incident.
const SHOWN_STEPS: usize = 40;
const SHOWN_RELATIONS: usize = 40;
const SHOWN_ENTITIES: usize = 24;
/// Findings on the timeline of an incident.
const SHOWN_ON_TIMELINE: usize = 500;
const SHOWN_HUBS: usize = 30;

/// The section.
#[derive(Template)]
#[template(path = "report/incidents.html")]
pub(super) struct Incidents {
    incidents: Vec<IncidentCard>,
    note: String,
    hubs: Table,
}

impl HtmlSafe for Incidents {}

/// An incident.
struct IncidentCard {
    id: String,
    score: u64,
    level_class: &'static str,
    level: &'static str,
    severity: &'static str,
    severity_class: &'static str,
    span: String,
    chain: String,
    suites: String,
    tactics: String,
    /// The roots of its rows; empty if the lake has one.
    roots: String,
    entities: Vec<String>,
    entities_note: String,
    timeline: Option<PlacedChart>,
    steps: Vec<Step>,
    steps_note: String,
    /// Points that come from no single finding, such as from several tactics.
    others: Vec<(u64, String)>,
    relations: Vec<String>,
    relations_note: String,
}

/// A finding of an incident.
struct Step {
    time: String,
    phase: &'static str,
    title: String,
    severity: &'static str,
    severity_class: &'static str,
    explanation: String,
    entities: String,
    points: u64,
    /// The columns and values of its evidence.
    evidence: Vec<(String, String)>,
}

impl Incidents {
    pub(super) fn of(source: &Source<'_>, charts: &mut Charts) -> Self {
        let report = &source.result.report;
        let shown = report.incidents.iter().take(SHOWN_INCIDENTS);
        let incidents: Vec<_> = shown.map(|incident| card(incident, source, charts)).collect();
        let hubs = &report.summary.hubs;
        let rows = hubs.iter().take(SHOWN_HUBS).map(|hub| {
            vec![format::entity(&hub.entity), format::count(hub.degree), format::count(hub.findings)]
        });
        let columns = [("entity", "text"), ("related to, or contacted by", "number"), ("findings", "number")];
        Self {
            note: format::shown_of(
                incidents.len(),
                report.incidents.len(),
                "incidents, the worst first; incidents.jsonl has all",
            ),
            incidents,
            hubs: Table::new(&columns, rows.collect(), hubs.len(), "names"),
        }
    }
}

fn card(incident: &Incident, source: &Source<'_>, charts: &mut Charts) -> IncidentCard {
    let findings: Vec<&Finding> =
        incident.findings.iter().filter_map(|id| source.by_id.get(id.as_str()).copied()).collect();
    let parts = incident.risk.contributions.iter();
    let points: BTreeMap<&str, u64> =
        parts.filter_map(|part| Some((part.from.finding()?, part.points))).collect();
    let shown = &findings[..findings.len().min(SHOWN_ON_TIMELINE)];
    let timeline = charts::incident(shown).map(|chart| {
        let mut placed = charts.place(chart);
        placed.note = format::shown_of(shown.len(), findings.len(), "findings");
        placed
    });
    let steps: Vec<Step> = findings.iter().take(SHOWN_STEPS).map(|finding| step(finding, &points)).collect();
    let is_other = |from: &RiskSource| from.finding().is_none_or(|id| !source.by_id.contains_key(id));
    let others = incident.risk.contributions.iter().filter(|part| is_other(&part.from));
    let relations: Vec<String> = incident.relations.iter().take(SHOWN_RELATIONS).map(relation).collect();
    let names: Vec<String> = incident.entities.iter().take(SHOWN_ENTITIES).map(format::entity).collect();
    let phases: Vec<&str> = incident.stages.iter().map(|phase| phase.name()).collect();
    let tactics: Vec<&str> = incident.tactics.iter().map(|tactic| tactic.title()).collect();
    let suites: Vec<&str> = incident.suites.iter().map(|suite| suite.name()).collect();
    IncidentCard {
        id: incident.id.clone(),
        roots: format::roots(&incident.roots),
        score: incident.risk.score,
        level_class: format::level_class(incident.risk.level),
        level: incident.risk.level.name(),
        severity: incident.severity.name(),
        severity_class: format::severity_class(incident.severity),
        span: span(incident.first_seen.as_deref(), incident.last_seen.as_deref()),
        chain: phases.join(" > "),
        suites: suites.join(", "),
        tactics: tactics.join(", "),
        entities_note: format::shown_of(names.len(), incident.entities.len(), "names"),
        entities: names,
        timeline,
        steps_note: format::shown_of(steps.len(), findings.len(), "findings"),
        steps,
        others: others.map(|part| (part.points, format::text(&part.from.to_string()))).collect(),
        relations_note: format::shown_of(relations.len(), incident.relations.len(), "relations"),
        relations,
    }
}

fn step(finding: &Finding, points: &BTreeMap<&str, u64>) -> Step {
    let entities: Vec<String> = finding.entities.iter().map(|named| format::entity(named)).collect();
    Step {
        time: span(finding.first_seen.as_deref(), finding.last_seen.as_deref()),
        phase: finding.stage.name(),
        title: finding.title.clone(),
        severity: finding.severity.name(),
        severity_class: format::severity_class(finding.severity),
        explanation: format::text(&finding.explanation),
        entities: entities.join(", "),
        points: points.get(finding.id.as_str()).copied().unwrap_or_default(),
        evidence: evidence(finding),
    }
}

/// The evidence of a finding by column, without nulls.
pub(super) fn evidence(finding: &Finding) -> Vec<(String, String)> {
    let columns = finding.evidence.as_object().into_iter().flatten();
    let pairs = columns.filter(|(_, value)| !value.is_null()).map(|(column, value)| {
        let value = match value.as_str() {
            Some(text) => format::text(text),
            None => format::text(&value.to_string()),
        };
        (format::text(column), value)
    });
    pairs.collect()
}

fn relation(relation: &Relation) -> String {
    let name = format::entity(&relation.entity);
    let findings = format::counted(relation.findings.len() as u64, "finding");
    match (&relation.other, &relation.rows) {
        (Some(other), Some(rows)) => format!(
            "{} rows of {} on {} name {name} together with {}; this relates {findings}",
            format::count(rows.rows),
            rows.table,
            rows.date,
            format::entity(other),
        ),
        _ => format!("{findings} name {name}"),
    }
}
