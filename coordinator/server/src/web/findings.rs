//! The findings of a run: the search, and the page of one finding with its evidence.

use std::time::Instant;

use askama::Template;
use axum::extract::{Path, RawQuery};
use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use hindcast_detections::analyses::Analysis;
use hindcast_report::output::GuidePart;
use hindcast_report::results::{FIELDS, Query};
use serde_json::Value;

use super::frame::{Frame, Parameters, Problem, counted, format_count, format_time, link, page, words};
use super::scope::{EntityLink, FindingLine, Scope};

/// Findings on a page.
const PAGE_ROWS: usize = 50;
/// Analyses offered as filters of a search.
const OFFERED: usize = 12;
/// Columns that can be sorted, with their fields.
const COLUMNS: [(&str, &str); 5] = [
    ("Severity", "severity"),
    ("Risk", "risk"),
    ("Confidence", "confidence"),
    ("First seen", "first"),
    ("Finding", "analysis"),
];

#[derive(Template)]
#[template(path = "web/findings.html")]
struct FindingsPage {
    frame: Frame,
    action: String,
    query: String,
    problem: Option<String>,
    total: String,
    from: usize,
    to: usize,
    columns: Vec<Column>,
    lines: Vec<FindingLine>,
    filters: Vec<Filter>,
    previous: Option<String>,
    next: Option<String>,
    /// An example and the meaning of each field.
    fields: Vec<(&'static str, &'static str)>,
    evidence: Vec<String>,
}

/// The heading of a column.
struct Column {
    label: &'static str,
    class: &'static str,
    href: String,
    /// The value of `aria-sort`.
    sort: &'static str,
}

/// A link that narrows the search to one value.
struct Filter {
    label: String,
    count: String,
    href: String,
}

pub(super) async fn list(scope: Scope, RawQuery(query): RawQuery) -> Response {
    let parameters = Parameters::of(query.as_ref());
    let text = parameters.get("q").to_owned();
    let number = parameters.get("page").parse::<usize>().unwrap_or(1).max(1);
    let read = Query::parse(&text, scope.results.columns(), scope.results.scan.detections);
    let (query, problem) = match read {
        Ok(query) => (query, None),
        Err(problem) => (Query::default(), Some(problem)),
    };
    let offset = (number - 1).saturating_mul(PAGE_ROWS);
    let limit = if problem.is_some() { 0 } else { PAGE_ROWS };
    let started = Instant::now();
    let found = scope.results.search(&query, offset, limit);
    let searched = started.elapsed();
    let lines: Vec<FindingLine> = found.page.iter().map(|entry| scope.line(entry)).collect();
    let at = |page: usize| {
        link(&scope.path("/findings"), &[("q", text.as_str()), ("page", page.to_string().as_str())])
    };
    let has_more = problem.is_none() && offset + lines.len() < found.total;
    let answer = page(&FindingsPage {
        frame: scope.frame("Findings", "/findings"),
        action: scope.path("/findings"),
        total: counted(found.total as u64, "finding"),
        from: offset + 1,
        to: offset + lines.len(),
        columns: COLUMNS.iter().map(|(label, field)| column(&scope, &text, label, field)).collect(),
        filters: if problem.is_some() { Vec::new() } else { filters(&scope, &text, &found) },
        previous: (number > 1 && problem.is_none()).then(|| at(number - 1)),
        next: has_more.then(|| at(number + 1)),
        fields: FIELDS.iter().map(|(_, _, example, what)| (*example, *what)).collect(),
        evidence: scope.results.columns().iter().cloned().collect(),
        query: text,
        problem,
        lines,
    });
    timed(answer, searched)
}

/// Adds the duration of the search as a `Server-Timing` header, for the developer tools of a browser.
fn timed(mut answer: Response, searched: std::time::Duration) -> Response {
    let timing = format!("search;dur={:.1}", searched.as_secs_f64() * 1e3);
    if let Ok(timing) = HeaderValue::from_str(&timing) {
        answer.headers_mut().insert(HeaderName::from_static("server-timing"), timing);
    }
    answer
}

/// The query without its sort order, and the first sort field.
fn without_sort(query: &str) -> (String, Option<&str>) {
    let is_sort = |token: &&str| token.starts_with("sort:");
    let rest: Vec<&str> = query.split_whitespace().filter(|token| !is_sort(token)).collect();
    let sort = query.split_whitespace().find(is_sort).and_then(|token| token.strip_prefix("sort:"));
    (rest.join(" "), sort)
}

fn column(scope: &Scope, query: &str, label: &'static str, field: &str) -> Column {
    let (rest, sorted) = without_sort(query);
    let (sort, next) = match sorted {
        Some(sorted) if sorted.strip_prefix('-') == Some(field) => ("descending", field.to_owned()),
        Some(sorted) if sorted == field => ("ascending", format!("-{field}")),
        // The first click sorts the worst, largest or newest first.
        _ => ("none", format!("-{field}")),
    };
    let class = if matches!(field, "risk" | "confidence") { "number" } else { "" };
    Column { label, class, href: scope.search(format!("{rest} sort:{next}").trim()), sort }
}

fn filters(scope: &Scope, query: &str, found: &hindcast_report::results::Found<'_>) -> Vec<Filter> {
    let offer = |field: &str, value: &str, count: usize| Filter {
        label: words(value),
        count: format_count(count as u64),
        href: scope.search(format!("{query} {field}:{value}").trim()),
    };
    let severities = found.severities.iter().map(|(name, count)| offer("severity", name, *count));
    let analyses = found.analyses.iter().take(OFFERED).map(|(name, count)| offer("analysis", name, *count));
    // A single value narrows nothing.
    let severities = severities.filter(|_| found.severities.len() > 1);
    severities.chain(analyses.filter(|_| found.analyses.len() > 1)).collect()
}

#[derive(Template)]
#[template(path = "web/finding.html")]
struct FindingPage {
    frame: Frame,
    title: String,
    severity: &'static str,
    confidence: u8,
    risk: u64,
    explanation: String,
    suite: &'static str,
    analysis: String,
    analysis_href: String,
    phase: &'static str,
    tactic: Option<String>,
    first_seen: String,
    last_seen: String,
    rows: String,
    id: String,
    entities: Vec<EntityLink>,
    techniques: Vec<(String, String)>,
    watchlists: Vec<String>,
    /// The roots of its rows; none if the lake has one.
    roots: Vec<String>,
    /// Column, description and value.
    evidence: Vec<(String, String, String)>,
    guide: Option<GuidePart>,
    incident: Option<IncidentLink>,
    /// Its points in the risk of each entity: points, entity, score.
    points: Vec<(u64, EntityLink, u64)>,
}

struct IncidentLink {
    href: String,
    score: u64,
    findings: String,
    points: u64,
}

pub(super) async fn finding(
    scope: Scope,
    Path(parameters): Path<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let id = parameters.last().map_or("", |(_, value)| value.as_str());
    let entry = scope.results.finding(id).ok_or_else(|| Problem::not_found("there is no such finding"))?;
    let finding = &entry.finding;
    let points_of = |contributions: &[hindcast_risk::Contribution]| {
        contributions
            .iter()
            .find(|part| part.from.finding() == Some(finding.id.as_str()))
            .map_or(0, |part| part.points)
    };
    let incident = entry.incident_id.as_deref().and_then(|id| scope.results.incident(id));
    let line = scope.line(entry);
    let analysis = scope.results.scan.detections.by_id(&finding.analysis);
    let mut named: Vec<_> = finding.entities.iter().collect();
    named.dedup_by(|left, right| (left.kind, &left.name) == (right.kind, &right.name));
    let risks = named.into_iter().filter_map(|entity| {
        let known = scope.results.entity(entity.kind, &entity.name)?;
        Some((points_of(&known.risk.contributions), scope.entity(entity), known.risk.score))
    });
    Ok(page(&FindingPage {
        frame: scope.frame(&finding.title, ""),
        title: line.title,
        severity: line.severity,
        confidence: finding.confidence,
        risk: entry.risk,
        explanation: line.explanation,
        suite: finding.suite.name(),
        analysis_href: scope.search(&format!("analysis:{}", finding.analysis)),
        analysis: line.analysis,
        phase: entry.phase,
        tactic: entry.tactic.map(words),
        first_seen: line.first_seen,
        last_seen: format_time(finding.last_seen.as_deref()),
        rows: format_count(finding.rows),
        id: finding.id.clone(),
        entities: line.entities,
        techniques: finding.techniques.iter().map(|t| (t.id.to_string(), t.name.to_string())).collect(),
        watchlists: finding.watchlists.clone(),
        roots: finding.roots.iter().cloned().collect(),
        evidence: evidence_rows(&finding.evidence, analysis),
        guide: analysis
            .map(|analysis| GuidePart { guide: &analysis.about.guide })
            .filter(|part| !part.guide.is_empty()),
        incident: incident.map(|incident| IncidentLink {
            href: scope.incident_path(&incident.id),
            score: incident.risk.score,
            findings: counted(incident.findings.len() as u64, "finding"),
            points: points_of(&incident.risk.contributions),
        }),
        points: risks.collect(),
    }))
}

/// The columns of the evidence: name, description by `analysis`, and value.
fn evidence_rows(evidence: &Value, analysis: Option<&Analysis>) -> Vec<(String, String, String)> {
    let text = |value: &Value| match value {
        Value::Null => "—".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let about =
        |name: &str| analysis.map_or_else(String::new, |analysis| analysis.about.describe_column(name));
    let columns = evidence.as_object().into_iter().flatten();
    columns.map(|(name, value)| (words(name), about(name), text(value))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_query_is_split_from_its_sort_order() {
        assert_eq!(
            without_sort("src:10.1.2.3 sort:-risk rclone"),
            ("src:10.1.2.3 rclone".to_owned(), Some("-risk"))
        );
        assert_eq!(without_sort("sort:first sort:risk"), (String::new(), Some("first")));
        assert_eq!(without_sort("  a  b "), ("a b".to_owned(), None));
    }

    #[test]
    fn evidence_is_shown_as_text() {
        let evidence = json!({ "bytes_sent": 5, "note": null, "user": "ada", "tags": ["a"] });
        let rows: Vec<(String, String)> =
            evidence_rows(&evidence, None).into_iter().map(|(name, _, value)| (name, value)).collect();
        let expected = [("bytes sent", "5"), ("note", "—"), ("user", "ada"), ("tags", "[\"a\"]")];
        assert_eq!(rows, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
}
