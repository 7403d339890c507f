//! Compares two runs: findings added, gone and changed, with the reasons.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Extension, RawQuery, State};
use axum::response::Response;
use hindcast_base::Error;
use hindcast_base::time::format_micros;
use hindcast_proto::v1::Job;
use hindcast_report::compare::{Comparison, Difference, compare_scans};
use hindcast_report::results::Results;
use serde_json::Value;

use super::Site;
use super::frame::{Frame, Parameters, Problem, counted, format_time, page, words};
use super::guard::Viewer;
use super::jobs::{lake_of, request_of};
use super::runs::{JobRuns, Runs};
use super::scope::{Scope, site_tabs};
use crate::jobs::has_results;

/// Differences on the page per kind. The others are counted.
const SHOWN: usize = 200;

#[derive(Template)]
#[template(path = "web/compare.html")]
struct ComparePage {
    frame: Frame,
    choices: Vec<Choice>,
    comparison: Option<Compared>,
}

/// A run that can be chosen.
struct Choice {
    id: String,
    label: String,
    is_before: bool,
    is_after: bool,
}

struct Compared {
    before: String,
    after: String,
    risk: (String, String),
    same: String,
    /// Tables that were read in different versions.
    versions: Vec<String>,
    groups: Vec<Group>,
}

struct Group {
    name: &'static str,
    count: usize,
    more: usize,
    lines: Vec<Line>,
}

struct Line {
    severity: &'static str,
    first_seen: String,
    title: String,
    names: String,
    explanation: String,
    /// Its page in the run that has it.
    href: Option<String>,
    /// Field, before, after.
    fields: Vec<(String, String, String)>,
    why: Vec<String>,
}

pub(super) async fn compare(
    State(site): State<Arc<Site>>,
    Extension(viewer): Extension<Viewer>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    match &site.runs {
        Runs::Folder(folder) => {
            let Some((earlier, results)) = &folder.earlier else {
                return Err(Problem::not_found("there is no other run: start view with --against DIR"));
            };
            let scope = Scope::of(&site, "", viewer).await?;
            // The pages of the earlier run are not served.
            let before = Side { name: earlier.clone(), base: None, results: Arc::clone(results) };
            let after = Side {
                name: folder.name.clone(),
                base: Some(String::new()),
                results: Arc::clone(&folder.results),
            };
            let comparison = Some(compare_sides(before, after).await?);
            let frame = scope.frame("Compare", "/compare");
            Ok(page(&ComparePage { frame, choices: Vec::new(), comparison }))
        }
        Runs::Jobs(jobs) => {
            let parameters = Parameters::of(query.as_ref());
            let (before, after) = (parameters.get("before"), parameters.get("after"));
            let comparison = if before.is_empty() || after.is_empty() {
                None
            } else {
                Some(compare_sides(Side::of(jobs, before).await?, Side::of(jobs, after).await?).await?)
            };
            let frame = Frame {
                title: "Compare".into(),
                site: site_tabs(true, true, "/compare"),
                run: Vec::new(),
                run_name: String::new(),
                viewer,
            };
            Ok(page(&ComparePage { frame, choices: choices(jobs, before, after), comparison }))
        }
    }
}

fn choices(jobs: &JobRuns, before: &str, after: &str) -> Vec<Choice> {
    let with_results = jobs.manager.list().into_iter().filter(has_results);
    let choice = |job: Job| Choice {
        label: format!(
            "{}, {}, {}",
            format_time(Some(&format_micros(job.submitted_us))),
            lake_of(&job),
            request_of(&job)
        ),
        is_before: job.id == before,
        is_after: job.id == after,
        id: job.id,
    };
    with_results.map(choice).collect()
}

/// One of the two runs.
struct Side {
    name: String,
    /// The base path of its pages, if they are served.
    base: Option<String>,
    results: Arc<Results>,
}

impl Side {
    async fn of(jobs: &JobRuns, id: &str) -> Result<Self, Problem> {
        let results = jobs.results(id).await?;
        Ok(Self { name: format!("job {id}"), base: Some(format!("/jobs/{id}")), results })
    }
}

async fn compare_sides(before: Side, after: Side) -> Result<Compared, Problem> {
    let compare = move || {
        let comparison = compare_scans(&before.results.scan, &after.results.scan);
        summarize(&comparison, &before, &after)
    };
    // Runs that share few findings take long.
    let compared = tokio::task::spawn_blocking(compare).await;
    compared.map_err(|_| Error::Internal("comparing stopped".into()).into())
}

fn summarize(comparison: &Comparison, before: &Side, after: &Side) -> Compared {
    let group = |name, differences: &[Difference], side: &Side| Group {
        name,
        count: differences.len(),
        more: differences.len().saturating_sub(SHOWN),
        lines: differences.iter().take(SHOWN).map(|difference| line(difference, side)).collect(),
    };
    Compared {
        before: before.name.clone(),
        after: after.name.clone(),
        risk: comparison.risk_text.clone(),
        same: counted(comparison.same, "finding"),
        versions: comparison.versions.iter().map(ToString::to_string).collect(),
        groups: vec![
            group("added", &comparison.added, after),
            group("gone", &comparison.gone, before),
            group("changed", &comparison.changed, after),
        ],
    }
}

fn line(difference: &Difference, side: &Side) -> Line {
    let finding = &difference.finding;
    let mut names: Vec<&str> = finding.entities.iter().map(|entity| entity.name.as_str()).collect();
    names.dedup();
    let fields = difference.fields.iter().filter(|(field, _)| **field != "evidence");
    Line {
        severity: finding.severity.name(),
        first_seen: format_time(finding.first_seen.as_deref()),
        title: finding.title.clone(),
        names: names.join(", "),
        explanation: finding.explanation.clone(),
        href: side.base.as_ref().map(|base| format!("{base}/findings/{}", finding.id)),
        fields: fields.map(|(field, (one, other))| (words(field), value(one), value(other))).collect(),
        why: difference.why.iter().map(ToString::to_string).collect(),
    }
}

fn value(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
