//! The jobs of a coordinator and their progress. The script reloads the part of a page that changes.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Extension, Path, State};
use axum::response::Response;
use hindcast_base::entities::EntityKind;
use hindcast_base::format::{format_bytes, format_duration};
use hindcast_base::time::format_micros;
use hindcast_proto::v1::{Job, JobState};
use hindcast_scan::investigated_kind;

use super::Site;
use super::frame::{Frame, Problem, format_time, page};
use super::guard::Viewer;
use super::overview::overview;
use super::runs::{JobRuns, Runs};
use super::scope::{Scope, site_tabs};
use super::windows::window;
use crate::jobs::{format_progress, has_results, is_backfill_window, is_open, state_name};

/// Jobs on the page: the newest.
const SHOWN: usize = 200;

/// The jobs of a coordinator; not found on a site of one result folder.
pub(super) fn jobs_of(site: &Site) -> Result<&JobRuns, Problem> {
    match &site.runs {
        Runs::Jobs(jobs) => Ok(jobs),
        Runs::Folder(_) => Err(Problem::not_found("there are no jobs here")),
    }
}

pub(super) fn lake_of(job: &Job) -> &str {
    job.scan.as_ref().map_or("", |scan| scan.lake.as_str())
}

/// The request of a job: the entity or suites, the window, and whether it is part of a backfill.
pub(super) fn request_of(job: &Job) -> String {
    let Some(scan) = &job.scan else { return String::new() };
    let what = match &scan.investigation {
        Some(entity) => {
            let kind = investigated_kind(entity).map_or("entity", EntityKind::name);
            format!("{kind} {}", entity.name)
        }
        None if scan.suites.is_empty() => "all suites".to_owned(),
        None => scan.suites.join(", "),
    };
    let date = |micros: i64| format_time(Some(&format_micros(micros)));
    let window = match (scan.last_us, scan.from_us, scan.to_us) {
        (Some(last_us), ..) => format!("; last {}", format_duration(last_us)),
        (None, Some(from), Some(to)) => format!("; {} to {}", date(from), date(to)),
        (None, Some(from), None) => format!("; from {}", date(from)),
        (None, None, Some(to)) => format!("; to {}", date(to)),
        (None, None, None) => String::new(),
    };
    let backfill = if is_backfill_window(job) { "; of a backfill" } else { "" };
    what + &window + backfill
}

/// The frame of a page outside a run.
pub(super) fn frame(title: &str, path: &str, viewer: &Viewer) -> Frame {
    Frame {
        title: title.to_owned(),
        site: site_tabs(true, true, path),
        run: Vec::new(),
        run_name: String::new(),
        viewer: viewer.clone(),
    }
}

/// A job on a page.
struct JobLine {
    id: String,
    href: String,
    state: &'static str,
    is_open: bool,
    is_done: bool,
    lake: String,
    request: String,
    by: String,
    submitted: String,
    ended: String,
    progress: String,
    /// Units done and all units, for a progress bar.
    done: u64,
    of: u64,
    read: String,
    error: String,
}

impl JobLine {
    fn of(job: &Job) -> Self {
        let progress = job.progress.unwrap_or_default();
        let time = |micros: i64| (micros > 0).then(|| format_micros(micros));
        let is_done = job.state() == JobState::Done;
        Self {
            id: job.id.clone(),
            href: format!("/jobs/{}", job.id),
            state: state_name(job.state()),
            is_open: is_open(job),
            is_done,
            lake: lake_of(job).to_owned(),
            request: request_of(job),
            by: job.submitted_by.clone(),
            submitted: format_time(time(job.submitted_us).as_deref()),
            ended: format_time(time(job.ended_us).as_deref()),
            progress: format_progress(job),
            done: if is_done { 1 } else { progress.units_done + progress.units_cached },
            of: if is_done { 1 } else { progress.units },
            read: if progress.bytes == 0 {
                String::new()
            } else {
                format!("{} of {}", format_bytes(progress.bytes_done), format_bytes(progress.bytes))
            },
            error: job.error.clone(),
        }
    }
}

#[derive(Template)]
#[template(path = "web/jobs.html")]
struct JobsPage {
    frame: Frame,
    rows: JobRows,
}

#[derive(Template)]
#[template(path = "web/job_rows.html")]
struct JobRows {
    jobs: Vec<JobLine>,
    more: usize,
}

impl JobRows {
    fn of(jobs: &JobRuns) -> Self {
        let all = jobs.manager.list();
        Self {
            more: all.len().saturating_sub(SHOWN),
            jobs: all.iter().take(SHOWN).map(JobLine::of).collect(),
        }
    }
}

pub(super) async fn list(
    State(site): State<Arc<Site>>,
    Extension(viewer): Extension<Viewer>,
) -> Result<Response, Problem> {
    let rows = JobRows::of(jobs_of(&site)?);
    Ok(page(&JobsPage { frame: frame("Jobs", "/", &viewer), rows }))
}

/// The part of the list that changes.
pub(super) async fn rows(State(site): State<Arc<Site>>) -> Result<Response, Problem> {
    Ok(page(&JobRows::of(jobs_of(&site)?)))
}

#[derive(Template)]
#[template(path = "web/job.html")]
struct JobPage {
    frame: Frame,
    progress: JobProgress,
}

#[derive(Template)]
#[template(path = "web/job_progress.html")]
struct JobProgress {
    job: JobLine,
    may_submit: bool,
}

fn job_of(site: &Site, id: &str) -> Result<Job, Problem> {
    Ok(jobs_of(site)?.manager.snapshot(id)?)
}

/// The page of an open job or one without results, the overview of the results, or the row of a backfill window.
pub(super) async fn job(
    State(site): State<Arc<Site>>,
    Extension(viewer): Extension<Viewer>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let job = job_of(&site, &id)?;
    if has_results(&job) {
        return Ok(overview(Scope::of(&site, &id, viewer).await?).await);
    }
    if job.state() == JobState::Done {
        return window(&site, &job, &viewer).await;
    }
    let progress = JobProgress { job: JobLine::of(&job), may_submit: viewer.may_submit };
    Ok(page(&JobPage { frame: frame("Job", "", &viewer), progress }))
}

/// The part of the page of a job that changes.
pub(super) async fn progress(
    State(site): State<Arc<Site>>,
    Extension(viewer): Extension<Viewer>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let job = JobLine::of(&job_of(&site, &id)?);
    Ok(page(&JobProgress { job, may_submit: viewer.may_submit }))
}

#[cfg(test)]
mod tests {
    use hindcast_proto::v1::ScanRequest;

    use super::*;

    const HOUR_US: i64 = 3_600_000_000;

    fn request(scan: ScanRequest) -> String {
        request_of(&Job { scan: Some(scan), ..Job::default() })
    }

    #[test]
    fn a_request_names_suites_window_and_backfill() {
        assert_eq!(request(ScanRequest::default()), "all suites");
        let suites = vec!["firewall".to_owned(), "office365".to_owned()];
        let last = ScanRequest { suites, last_us: Some(6 * HOUR_US), ..ScanRequest::default() };
        assert_eq!(request(last), "firewall, office365; last 6 h");
        let bounds = ScanRequest {
            from_us: Some(0),
            to_us: Some(24 * HOUR_US),
            backfill_window: true,
            ..ScanRequest::default()
        };
        assert_eq!(request(bounds), "all suites; 1970-01-01 00:00:00 to 1970-01-02 00:00:00; of a backfill");
        let open = ScanRequest { from_us: Some(HOUR_US), ..ScanRequest::default() };
        assert_eq!(request(open), "all suites; from 1970-01-01 01:00:00");
        assert_eq!(request_of(&Job::default()), "");
    }

    #[test]
    fn a_job_that_is_done_has_a_full_bar() {
        let job = Job { id: "7".into(), state: JobState::Done.into(), ..Job::default() };
        let line = JobLine::of(&job);
        assert_eq!((line.done, line.of, line.is_open), (1, 1, false));
        assert_eq!((line.href.as_str(), line.submitted.as_str(), line.read.as_str()), ("/jobs/7", "", ""));
    }
}
