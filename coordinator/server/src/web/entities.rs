//! The entities of a run: the list, and the page of one with its findings, incidents, risk and relations.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use askama::Template;
use axum::extract::RawQuery;
use axum::response::Response;
use hindcast_base::entities::{Entity, EntityKind};
use hindcast_risk::EntityRisk;

use super::frame::{Frame, Parameters, Problem, counted, link, page, words};
use super::incidents::{IncidentLine, contributions};
use super::scope::{EntityLink, FindingLine, Scope};

/// Entities on a page.
const PAGE_ROWS: usize = 100;
/// Findings and related entities on the page of an entity.
const SHOWN: usize = 50;

#[derive(Template)]
#[template(path = "web/entities.html")]
struct EntitiesPage {
    frame: Frame,
    action: String,
    name: String,
    kinds: Vec<KindChoice>,
    total: String,
    lines: Vec<EntityLine>,
    previous: Option<String>,
    next: Option<String>,
}

struct KindChoice {
    name: &'static str,
    label: String,
    is_chosen: bool,
}

struct EntityLine {
    link: EntityLink,
    score: u64,
    level: &'static str,
    findings: usize,
    sources: Option<String>,
}

pub(super) async fn list(scope: Scope, RawQuery(query): RawQuery) -> Response {
    let parameters = Parameters::of(query.as_ref());
    let (name, kind) = (parameters.get("name").to_lowercase(), parameters.get("kind"));
    let number = parameters.get("page").parse::<usize>().unwrap_or(1).max(1);
    let matches = |risk: &&EntityRisk| {
        let entity = &risk.entity;
        let is_named = |text: &str| text.contains(&name);
        (kind.is_empty() || entity.kind.name() == kind)
            && (is_named(&entity.name) || entity.full_name.as_deref().is_some_and(is_named))
    };
    let matching: Vec<&EntityRisk> = scope.results.entities.iter().filter(matches).collect();
    let at = |page: usize| {
        let page = page.to_string();
        link(&scope.path("/entities"), &[("name", name.as_str()), ("kind", kind), ("page", page.as_str())])
    };
    let first = (number - 1).saturating_mul(PAGE_ROWS);
    let shown = matching.iter().skip(first).take(PAGE_ROWS);
    let lines: Vec<EntityLine> = shown.map(|risk| line(&scope, risk)).collect();
    page(&EntitiesPage {
        frame: scope.frame("Entities", "/entities"),
        action: scope.path("/entities"),
        kinds: EntityKind::ALL
            .map(|known| KindChoice {
                name: known.name(),
                label: words(known.name()),
                is_chosen: known.name() == kind,
            })
            .into(),
        total: counted(matching.len() as u64, "entity"),
        previous: (number > 1).then(|| at(number - 1)),
        next: (first + lines.len() < matching.len()).then(|| at(number + 1)),
        name: parameters.get("name").to_owned(),
        lines,
    })
}

fn line(scope: &Scope, risk: &EntityRisk) -> EntityLine {
    EntityLine {
        link: scope.entity(&risk.entity),
        score: risk.risk.score,
        level: risk.risk.level.name(),
        findings: scope.results.naming(risk.entity.kind, &risk.entity.name).count(),
        sources: risk.sources.map(|sources| counted(sources, "source")),
    }
}

#[derive(Template)]
#[template(path = "web/entity.html")]
struct EntityPage {
    frame: Frame,
    kind: String,
    name: String,
    full_name: Option<String>,
    score: u64,
    level: &'static str,
    sources: Option<String>,
    contributions: Vec<(u64, String, Option<String>)>,
    incidents: Vec<IncidentLine>,
    findings: Vec<FindingLine>,
    total: String,
    search: String,
    relations: Vec<RelationLine>,
    named_together: Vec<(EntityLink, String)>,
}

/// Rows that name the entity together with another.
struct RelationLine {
    other: EntityLink,
    rows: String,
    table: String,
    date: String,
}

pub(super) async fn entity(scope: Scope, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let parameters = Parameters::of(query.as_ref());
    let unknown = || Problem::not_found("no finding of this run names that");
    let kind = EntityKind::by_name(parameters.get("kind")).ok_or_else(unknown)?;
    // Every form of a name leads to the page of its canonical name.
    let given = parameters.get("name");
    let canonical = Entity::of(kind, given).map_or_else(|| given.to_owned(), |entity| entity.name);
    let risks = [given, canonical.as_str()].map(|name| scope.results.entity(kind, name));
    let risk = risks.into_iter().flatten().next();
    let name = risk.map_or(canonical.as_str(), |risk| risk.entity.name.as_str());
    let relations = relations(&scope, kind, name);
    // An entity may relate findings that do not name it.
    if risk.is_none() && relations.is_empty() {
        return Err(unknown());
    }
    let entries: Vec<_> = scope.results.naming(kind, name).collect();
    let quoted = if name.contains([' ', '\t', '"']) || name.is_empty() {
        format!("\"{}\"", name.replace('"', "*"))
    } else {
        name.to_owned()
    };
    let assessed = risk.map(|risk| risk.risk.clone()).unwrap_or_default();
    Ok(page(&EntityPage {
        frame: scope.frame(name, ""),
        kind: words(kind.name()),
        name: name.to_owned(),
        full_name: risk.and_then(|risk| risk.entity.full_name.clone()),
        score: assessed.score,
        level: assessed.level.name(),
        sources: risk.and_then(|risk| risk.sources).map(|sources| counted(sources, "source")),
        contributions: contributions(&scope, &assessed.contributions),
        incidents: scope.results.incidents_of(kind, name).map(|i| IncidentLine::of(&scope, i)).collect(),
        findings: entries.iter().take(SHOWN).map(|entry| scope.line(entry)).collect(),
        total: counted(entries.len() as u64, "finding"),
        search: scope.search(&format!("{}:{quoted}", kind.name())),
        relations,
        named_together: named_together(&scope, kind, name),
    }))
}

/// Rows that relate the entity to another, of all incidents.
fn relations(scope: &Scope, kind: EntityKind, name: &str) -> Vec<RelationLine> {
    let is_it = |entity: &Entity| entity.kind == kind && entity.name == name;
    let relations = scope.results.incidents.iter().flat_map(|incident| &incident.relations);
    let lines = relations.filter_map(|relation| {
        let (other, rows) = (relation.other.as_ref()?, relation.rows.as_ref()?);
        let other = if is_it(&relation.entity) {
            other
        } else if is_it(other) {
            &relation.entity
        } else {
            return None;
        };
        Some(RelationLine {
            other: scope.entity(other),
            rows: counted(rows.rows, "row"),
            table: rows.table.clone(),
            date: rows.date.clone(),
        })
    });
    lines.take(SHOWN).collect()
}

/// Entities that findings name together with this one, with the number of those findings, most first.
fn named_together(scope: &Scope, kind: EntityKind, name: &str) -> Vec<(EntityLink, String)> {
    let mut counts: BTreeMap<(EntityKind, &str), u64> = BTreeMap::new();
    for entry in scope.results.naming(kind, name) {
        let mut others: Vec<(EntityKind, &str)> =
            entry.finding.entities.iter().map(|entity| (entity.kind, entity.name.as_str())).collect();
        others.dedup();
        for other in others.into_iter().filter(|other| *other != (kind, name)) {
            *counts.entry(other).or_default() += 1;
        }
    }
    let mut most: Vec<_> = counts.into_iter().collect();
    most.sort_by_key(|(other, count)| (Reverse(*count), *other));
    let links = most.into_iter().take(SHOWN).map(|((kind, name), count)| {
        let link = EntityLink {
            kind: words(kind.name()),
            name: name.to_owned(),
            href: scope.entity_path(kind, name),
        };
        (link, counted(count, "finding"))
    });
    links.collect()
}
