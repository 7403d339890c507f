//! The investigated entity: its names, rows and risk.

use askama::Template;
use askama::filters::HtmlSafe;
use hindcast_base::format::format_bytes;

use super::table::Table;
use super::{Source, format};

/// Names on the page: those with the most rows.
const SHOWN_NAMES: usize = 20;
/// Contributions to its risk.
const SHOWN_PARTS: usize = 30;

/// The section.
#[derive(Template)]
#[template(path = "report/investigated.html")]
pub(super) struct Investigated {
    score: u64,
    level: &'static str,
    level_class: &'static str,
    facts: Vec<(String, String)>,
    parts: Table,
}

impl HtmlSafe for Investigated {}

impl Investigated {
    pub(super) fn of(source: &Source<'_>) -> Option<Self> {
        let entity = source.result.report.summary.entity.as_ref()?;
        let mut names: Vec<_> = entity.names.iter().collect();
        names.sort_by(|left, right| right.1.cmp(left.1).then(left.0.cmp(right.0)));
        let shown_names: Vec<String> = names
            .iter()
            .take(SHOWN_NAMES)
            .map(|(name, rows)| format!("{} ({})", format::text(name), format::count(**rows)))
            .collect();
        let note = format::shown_of(shown_names.len(), names.len(), "names");
        let read = &entity.read;
        let mut facts = vec![
            ("entity", format!("{} {}", entity.kind.name(), format::text(&entity.requested))),
            ("rows", format::count(entity.rows)),
            ("seen", span(entity.first_seen.as_deref(), entity.last_seen.as_deref())),
            ("named", [shown_names.join(", "), note].join(" ").trim().to_owned()),
            (
                "read",
                format!(
                    "{} of {} row groups, {} of {}; {} table dates skipped",
                    format::count(read.row_groups_read),
                    format::count(read.row_groups),
                    format_bytes(read.bytes_read),
                    format_bytes(read.bytes),
                    format::count(entity.dates_passed_over)
                ),
            ),
        ];
        if !entity.similar_names.is_empty() {
            facts.push(("similar names", format::text(&entity.similar_names.join(", "))));
        }
        let contributions = &entity.risk.contributions;
        let rows = contributions.iter().take(SHOWN_PARTS).map(|part| {
            let finding = part.from.finding().and_then(|id| source.by_id.get(id));
            let explanation = finding.map_or_else(String::new, |finding| format::text(&finding.explanation));
            vec![format::count(part.points), source.contributor(&part.from), explanation]
        });
        let columns = [("points", "number"), ("from", "text"), ("seen", "long")];
        Some(Self {
            score: entity.risk.score,
            level: entity.risk.level.name(),
            level_class: format::level_class(entity.risk.level),
            facts: facts
                .into_iter()
                .filter(|(_, value)| !value.is_empty())
                .map(|(k, v)| (k.to_owned(), v))
                .collect(),
            parts: Table::new(&columns, rows.collect(), contributions.len(), "contributions"),
        })
    }
}

/// A span of time; one time if both ends are the same second.
pub(super) fn span(first: Option<&str>, last: Option<&str>) -> String {
    let (first, last) = (format::time(first), format::time(last));
    if first == last || last.is_empty() { first } else { format!("{first} to {last}") }
}
