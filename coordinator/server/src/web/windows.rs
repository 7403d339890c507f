//! The page of a backfill window: its row, and a link to the scan with its findings.

use askama::Template;
use axum::response::Response;
use hindcast_base::Error;
use hindcast_detections::findings::Severity;
use hindcast_proto::v1::Job;
use hindcast_report::backfill::{SEVERITIES, WindowOutcome, WindowRow};
use hindcast_risk::RunRisk;

use super::Site;
use super::frame::{Frame, Problem, counted, format_count, format_time, link, page};
use super::guard::Viewer;
use super::jobs::{frame, jobs_of, lake_of};

#[derive(Template)]
#[template(path = "web/window.html")]
struct WindowPage {
    frame: Frame,
    from: String,
    to: String,
    lake: String,
    risk: Option<RunRisk>,
    /// Name, score and level.
    suites: Vec<(String, u64, &'static str)>,
    /// Severity and number of findings.
    findings: Vec<(&'static str, String)>,
    incidents: String,
    rows: String,
    reason: Option<String>,
    was_computed: bool,
    /// The form that submits the scan behind the row.
    scan: Option<String>,
}

/// The page of `job`, which computed one row.
pub(super) async fn window(site: &Site, job: &Job, viewer: &Viewer) -> Result<Response, Problem> {
    let report =
        jobs_of(site)?.manager.results().report(&job.id).await.map_err(Problem::from)?.unwrap_or_default();
    let outcome: WindowOutcome = serde_json::from_str(&report)
        .map_err(|error| Error::Data(format!("the row of job {} can't be read: {error}", job.id)))?;
    let WindowOutcome { row, was_computed } = outcome;
    let count = |severity: Severity| row.findings.get(severity.name()).copied().unwrap_or_default();
    let findings = SEVERITIES.map(|severity| (severity.name(), count(severity)));
    let findings = findings.into_iter().filter(|(_, count)| *count > 0);
    Ok(page(&WindowPage {
        frame: frame("Window of a backfill", "", viewer),
        from: format_time(Some(&row.from)),
        to: format_time(Some(&row.to)),
        lake: lake_of(job).to_owned(),
        suites: row.suites.iter().map(|(name, s)| (name.clone(), s.score, s.level.name())).collect(),
        findings: findings.map(|(severity, count)| (severity, format_count(count))).collect(),
        incidents: counted(row.incidents, "incident"),
        rows: counted(row.rows, "row"),
        scan: viewer.may_submit.then(|| scan_of(job, &row)),
        risk: row.risk,
        reason: row.reason,
        was_computed,
    }))
}

/// The link to a submit form that is filled in with the request of the row.
fn scan_of(job: &Job, row: &WindowRow) -> String {
    let Some(scan) = &job.scan else { return "/submit".to_owned() };
    let mut filled = vec![("lake", scan.lake.as_str()), ("from", &row.from), ("to", &row.to)];
    filled.extend(scan.suites.iter().map(|suite| ("suite", suite.as_str())));
    filled.push(("preset", &scan.preset));
    link("/submit", &filled)
}
