//! Submits a scan from a form, and cancels a job. The guard has checked the origin of the form and the role of its sender.

use std::sync::Arc;

use askama::Template;
use axum::body::Bytes;
use axum::extract::{Extension, Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use hindcast_base::time::{parse_duration, parse_time};
use hindcast_base::{Error, ErrorKind, Result as CommonResult};
use hindcast_detections::analyses::Suite;
use hindcast_detections::config::PRESETS;
use hindcast_proto::v1::ScanRequest;

use super::Site;
use super::frame::{Frame, Parameters, Problem, page, see_other};
use super::guard::Viewer;
use super::jobs::{frame, jobs_of};

#[derive(Template)]
#[template(path = "web/submit.html")]
struct SubmitPage {
    frame: Frame,
    problem: Option<String>,
    /// The id of the job. The form holds it, so that a form that is sent twice makes one job.
    id: String,
    lakes: Vec<String>,
    lake: String,
    last: String,
    from: String,
    to: String,
    /// Name, and whether it is selected.
    suites: Vec<(&'static str, bool)>,
    presets: Vec<(&'static str, bool)>,
}

impl SubmitPage {
    fn new(viewer: &Viewer, lakes: &[String], filled: &Parameters, problem: Option<String>) -> Self {
        let chosen: Vec<&str> = filled.all("suite").collect();
        let are_all = problem.is_none() && chosen.is_empty();
        Self {
            frame: frame("Submit a scan", "/submit", viewer),
            problem,
            id: uuid::Uuid::now_v7().to_string(),
            lake: match filled.get("lake") {
                "" => lakes.first().cloned().unwrap_or_default(),
                lake => lake.to_owned(),
            },
            lakes: lakes.to_vec(),
            last: filled.get("last").to_owned(),
            from: filled.get("from").to_owned(),
            to: filled.get("to").to_owned(),
            suites: Suite::ALL.map(|s| (s.name(), are_all || chosen.contains(&s.name()))).into(),
            presets: PRESETS.map(|preset| (preset, preset == filled.get("preset"))).into(),
        }
    }
}

pub(super) async fn form(
    State(site): State<Arc<Site>>,
    Extension(viewer): Extension<Viewer>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let jobs = jobs_of(&site)?;
    if !viewer.may_submit {
        return Err(Problem::new(StatusCode::FORBIDDEN, "this token allows only reading"));
    }
    Ok(page(&SubmitPage::new(&viewer, &jobs.lakes, &Parameters::of(query.as_ref()), None)))
}

pub(super) async fn submit(
    State(site): State<Arc<Site>>,
    Extension(viewer): Extension<Viewer>,
    body: Bytes,
) -> Result<Response, Problem> {
    let jobs = jobs_of(&site)?;
    let filled = Parameters::parse(&body);
    let submitted = match request(&filled) {
        Ok(scan) => jobs.manager.submit(filled.get("id"), scan, &viewer.name).await,
        Err(error) => Err(error),
    };
    match submitted {
        Ok(job) => Ok(see_other(&format!("/jobs/{}", job.id))),
        // The user can correct the request in the form.
        Err(error)
            if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::NotFound | ErrorKind::Busy) =>
        {
            let problem = Problem::from(error);
            let text = Some(problem.text().to_owned());
            let form = page(&SubmitPage::new(&viewer, &jobs.lakes, &filled, text));
            Ok((problem.status(), form).into_response())
        }
        Err(error) => Err(error.into()),
    }
}

fn request(filled: &Parameters) -> CommonResult<ScanRequest> {
    let given = |name: &str| Some(filled.get(name)).filter(|text| !text.is_empty());
    let suites: Vec<String> = filled.all("suite").map(str::to_owned).collect();
    if suites.is_empty() {
        return Err(Error::Invalid("choose a suite".into()));
    }
    let bounds = [given("from"), given("to")];
    if given("last").is_some() && bounds.iter().any(Option::is_some) {
        return Err(Error::Invalid("give either the last hours or days, or bounds".into()));
    }
    Ok(ScanRequest {
        lake: filled.get("lake").to_owned(),
        from_us: bounds[0].map(parse_time).transpose()?,
        to_us: bounds[1].map(parse_time).transpose()?,
        last_us: given("last").map(parse_duration).transpose()?,
        suites,
        preset: given("preset").unwrap_or(PRESETS[0]).to_owned(),
        ..ScanRequest::default()
    })
}

pub(super) async fn cancel(
    State(site): State<Arc<Site>>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let job = jobs_of(&site)?.manager.cancel(&id).await?;
    Ok(see_other(&format!("/jobs/{}", job.id)))
}
