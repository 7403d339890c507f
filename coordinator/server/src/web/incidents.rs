//! The incidents of a run: the list, and the page of one along the kill chain, with its relations.

use askama::Template;
use axum::extract::Path;
use axum::response::Response;
use hindcast_base::entities::EntityKind;
use hindcast_detections::findings::KillChainPhase;
use hindcast_risk::correlate::{Incident, Relation};

use super::frame::{Frame, Problem, counted, format_count, format_time, page, words};
use super::scope::{EntityLink, FindingLine, Scope};

/// Names per incident in a list.
const SHOWN_NAMES: usize = 4;

/// Contributions to a risk on a page.
const SHOWN_PARTS: usize = 50;

/// An incident in a list.
pub(super) struct IncidentLine {
    pub(super) href: String,
    pub(super) score: u64,
    pub(super) level: &'static str,
    pub(super) severity: &'static str,
    pub(super) first_seen: String,
    pub(super) last_seen: String,
    pub(super) phases: String,
    pub(super) findings: String,
    pub(super) names: Vec<EntityLink>,
    pub(super) more_names: usize,
}

impl IncidentLine {
    pub(super) fn of(scope: &Scope, incident: &Incident) -> Self {
        let is_somebody = |kind: EntityKind| matches!(kind, EntityKind::Device | EntityKind::User);
        let mut named: Vec<_> = incident.entities.iter().filter(|entity| is_somebody(entity.kind)).collect();
        if named.is_empty() {
            named = incident.entities.iter().collect();
        }
        named.dedup_by(|left, right| (left.kind, &left.name) == (right.kind, &right.name));
        let phases: Vec<&str> = incident.stages.iter().map(|phase| phase.name()).collect();
        Self {
            href: scope.incident_path(&incident.id),
            score: incident.risk.score,
            level: incident.risk.level.name(),
            severity: incident.severity.name(),
            first_seen: format_time(incident.first_seen.as_deref()),
            last_seen: format_time(incident.last_seen.as_deref()),
            phases: phases.join(" › "),
            findings: counted(incident.findings.len() as u64, "finding"),
            more_names: named.len().saturating_sub(SHOWN_NAMES),
            names: named.into_iter().take(SHOWN_NAMES).map(|entity| scope.entity(entity)).collect(),
        }
    }
}

#[derive(Template)]
#[template(path = "web/incidents.html")]
struct IncidentsPage {
    frame: Frame,
    lines: Vec<IncidentLine>,
    /// Entities that are too common to relate findings: link, number of related names, number of findings.
    hubs: Vec<(EntityLink, String, String)>,
}

pub(super) async fn list(scope: Scope) -> Response {
    let hubs = scope.results.scan.summary.hubs.iter();
    page(&IncidentsPage {
        frame: scope.frame("Incidents", "/incidents"),
        lines: scope.results.incidents.iter().map(|incident| IncidentLine::of(&scope, incident)).collect(),
        hubs: hubs
            .map(|hub| {
                (scope.entity(&hub.entity), format_count(hub.degree), counted(hub.findings, "finding"))
            })
            .collect(),
    })
}

#[derive(Template)]
#[template(path = "web/incident.html")]
struct IncidentPage {
    frame: Frame,
    line: IncidentLine,
    suites: String,
    tactics: String,
    /// Every phase of the kill chain, in order.
    chain: Vec<Step>,
    relations: Vec<RelationLine>,
    entities: Vec<EntityLink>,
    contributions: Vec<(u64, String, Option<String>)>,
    search: String,
}

struct Step {
    phase: &'static str,
    what: &'static str,
    findings: Vec<FindingLine>,
}

struct RelationLine {
    entity: EntityLink,
    other: Option<EntityLink>,
    rows: Option<String>,
    findings: String,
}

pub(super) async fn incident(
    scope: Scope,
    Path(parameters): Path<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let id = parameters.last().map_or("", |(_, value)| value.as_str());
    let incident =
        scope.results.incident(id).ok_or_else(|| Problem::not_found("there is no such incident"))?;
    let line = IncidentLine::of(&scope, incident);
    let step = |phase: KillChainPhase| Step {
        phase: phase.name(),
        what: what_happens(phase),
        findings: incident
            .findings
            .iter()
            .filter_map(|id| scope.results.finding(id))
            .filter(|entry| entry.finding.stage == phase)
            .map(|entry| scope.line(entry))
            .collect(),
    };
    let tactics: Vec<String> = incident.tactics.iter().map(|tactic| words(tactic.name())).collect();
    let suites: Vec<&str> = incident.suites.iter().map(|suite| suite.name()).collect();
    let mut entities: Vec<EntityLink> = incident.entities.iter().map(|named| scope.entity(named)).collect();
    entities.dedup_by(|left, right| left.href == right.href);
    Ok(page(&IncidentPage {
        frame: scope.frame("Incident", "/incidents"),
        suites: suites.join(", "),
        tactics: tactics.join(", "),
        chain: KillChainPhase::ALL.into_iter().map(step).collect(),
        relations: incident.relations.iter().map(|relation| relation_line(&scope, relation)).collect(),
        contributions: contributions(&scope, &incident.risk.contributions),
        search: scope.search(&format!("incident:{}", incident.id)),
        entities,
        line,
    }))
}

/// The largest contributions to a risk: points, source, and the page of the source if it is a finding.
pub(super) fn contributions(
    scope: &Scope,
    parts: &[hindcast_risk::Contribution],
) -> Vec<(u64, String, Option<String>)> {
    let rows = parts.iter().take(SHOWN_PARTS).map(|part| {
        match part.from.finding().and_then(|id| scope.line_of(id)) {
            Some(line) => (part.points, format!("{}, {}", line.title, line.first_seen), Some(line.href)),
            None => (part.points, part.from.to_string(), None),
        }
    });
    rows.collect()
}

fn relation_line(scope: &Scope, relation: &Relation) -> RelationLine {
    let rows = relation
        .rows
        .as_ref()
        .map(|rows| format!("{} of {} on {}", counted(rows.rows, "row"), rows.table, rows.date));
    RelationLine {
        entity: scope.entity(&relation.entity),
        other: relation.other.as_ref().map(|other| scope.entity(other)),
        rows,
        findings: counted(relation.findings.len() as u64, "finding"),
    }
}

fn what_happens(phase: KillChainPhase) -> &'static str {
    match phase {
        KillChainPhase::Staging => "data is gathered and packed",
        KillChainPhase::Upload => "data is sent by a tool made for it",
        KillChainPhase::Beacon => "a host calls out",
        KillChainPhase::Egress => "data leaves in bulk",
        KillChainPhase::Audit => "keys, settings and mailboxes are touched",
    }
}
