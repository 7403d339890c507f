//! The devices, users and addresses with the highest risk, and the findings that contribute to it.

use askama::Template;
use askama::filters::HtmlSafe;
use hindcast_risk::EntityRisk;

use super::table::text_class;
use super::{Source, format};

/// Entities on the page: those with the highest risk.
const SHOWN_ENTITIES: usize = 40;
/// Contributions per entity.
const SHOWN_PARTS: usize = 3;

/// The section.
#[derive(Template)]
#[template(path = "report/entities.html")]
pub(super) struct Entities {
    entities: Vec<EntityRow>,
    note: String,
}

impl HtmlSafe for Entities {}

struct EntityRow {
    kind: String,
    name: String,
    name_class: &'static str,
    score: u64,
    level: &'static str,
    level_class: &'static str,
    findings: String,
    sources: String,
    parts: String,
}

impl Entities {
    pub(super) fn of(source: &Source<'_>) -> Self {
        let all = &source.result.report.entities;
        let entities: Vec<EntityRow> =
            all.iter().take(SHOWN_ENTITIES).map(|entity| row(entity, source)).collect();
        let what = "entities with the highest risk; entities.jsonl has all";
        Self { note: format::shown_of(entities.len(), all.len(), what), entities }
    }
}

fn row(risk: &EntityRisk, source: &Source<'_>) -> EntityRow {
    let contributions = &risk.risk.contributions;
    let mut parts: Vec<String> = contributions
        .iter()
        .take(SHOWN_PARTS)
        .map(|part| format!("{}: {}", part.points, source.contributor(&part.from)))
        .collect();
    if contributions.len() > SHOWN_PARTS {
        let rest: u64 = contributions[SHOWN_PARTS..].iter().map(|part| part.points).sum();
        parts.push(format!("{rest}: {} more", format::count((contributions.len() - SHOWN_PARTS) as u64)));
    }
    let name = format::text(risk.entity.full_name.as_ref().unwrap_or(&risk.entity.name));
    EntityRow {
        kind: risk.entity.kind.name().replace('_', " "),
        name_class: text_class(name.chars().count()),
        name,
        score: risk.risk.score,
        level: risk.risk.level.name(),
        level_class: format::level_class(risk.risk.level),
        findings: format::count(contributions.len() as u64),
        sources: risk.sources.map(format::count).unwrap_or_default(),
        parts: parts.join("; "),
    }
}
