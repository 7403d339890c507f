//! `hindcast jobs`

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use hindcast_base::format::format_duration;
use hindcast_base::time::format_micros;
use hindcast_base::{Error, Result};
use hindcast_proto::v1::{Job, JobState, ScanRequest};
use hindcast_report::backfill::WindowOutcome;
use hindcast_report::output::{Choice, Format, OutputFolder, check_replaceable, check_written};
use hindcast_scan::{PlanOutline, Summary};
use hindcast_server::jobs::{format_progress, has_results, is_backfill_window, is_open, state_name};
use serde::Deserialize;

use super::Outcome;
use crate::client::{Client, Connection};
use crate::terminal;

/// Arguments of `hindcast jobs`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hindcast jobs list --coordinator 127.0.0.1:7480
  hindcast jobs fetch 0198f1c2-… --coordinator 127.0.0.1:7480 \\
      --out nightly --format parquet,html,csv
  hindcast jobs watch 0198f1c2-… --coordinator soc.example:7480 \\
      --tls certificates/client --token-file token")]
pub struct JobsArguments {
    /// What to do
    action: Action,
    /// Id of the job
    #[arg(required_if_eq_any = [("action", "get"), ("action", "watch"), ("action", "cancel"), ("action", "fetch")])]
    id: Option<String>,
    #[command(flatten)]
    connection: Connection,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
    /// With fetch: folder for the results
    #[arg(long, default_value = "hindcast-out", value_name = "DIR")]
    out: PathBuf,
    /// With fetch: formats of the results
    #[arg(long, value_delimiter = ',', default_value = "parquet,html", value_name = "FORMAT,..")]
    format: Vec<Format>,
    /// With fetch: in CSV, put an apostrophe before text that a spreadsheet would read as a formula
    #[arg(long)]
    csv_escape_formulas: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Action {
    /// List all jobs, newest first
    List,
    /// Show the current state of a job
    Get,
    /// Show a job until it has ended
    Watch,
    /// Cancel a job
    Cancel,
    /// Write the results of a finished job to a folder, as `scan` does
    Fetch,
}

/// Runs the command.
pub(super) async fn run(arguments: &JobsArguments) -> Result<Outcome> {
    let mut client = Client::new(&arguments.connection.coordinator, &arguments.connection.credentials)?;
    let show = |job: &Job| -> Result<()> {
        if arguments.json {
            return terminal::print_json(&job_json(job)?);
        }
        print_job(job);
        Ok(())
    };
    let id = arguments.id.as_deref().unwrap_or_default();
    let job = match arguments.action {
        Action::List => {
            let jobs = client.list().await?;
            if arguments.json {
                terminal::print_json(&jobs.iter().map(job_json).collect::<Result<Vec<_>>>()?)?;
            } else {
                jobs.iter().for_each(print_line);
            }
            return Ok(Outcome::Done);
        }
        Action::Get => client.get(id).await?,
        Action::Cancel => client.cancel(id).await?,
        Action::Fetch => fetch(arguments, &mut client, id).await?,
        Action::Watch => {
            let prints_text = !arguments.json;
            client
                .watch(id, |job| {
                    if prints_text {
                        print_line(job)
                    }
                })
                .await?
        }
    };
    show(&job)?;
    Ok(match (arguments.action, job.state()) {
        (Action::Watch, JobState::Failed | JobState::Cancelled | JobState::Unreadable) => Outcome::Failed,
        _ => Outcome::Done,
    })
}

/// Writes the results of a job to a folder. Returns the job.
async fn fetch(arguments: &JobsArguments, client: &mut Client, id: &str) -> Result<Job> {
    let job = client.get(id).await?;
    if !has_results(&job) {
        let why = match is_backfill_window(&job) {
            true => "is a window of a backfill and has only a row",
            false => state_name(job.state()),
        };
        return Err(Error::Invalid(format!("job {id} has no results to fetch: it {why}")));
    }
    check_replaceable(&arguments.out)?;
    let folder = OutputFolder::create(&arguments.out)?;
    let choice = Choice { formats: &arguments.format, escapes_formulas: arguments.csv_escape_formulas };
    let unwritten = folder.write(&client.result(id).await?, choice)?;
    let out = folder.publish()?;
    if !arguments.json {
        println!("results in {}", out.display());
    }
    check_written(&unwritten, &out)?;
    Ok(job)
}

/// The window of a job: the planned one, or the requested one. Ended jobs of earlier builds have no plan, but their report names
/// the window.
fn window_of(job: &Job) -> String {
    let bound_text = |bound: Option<i64>| bound.map_or_else(|| "…".to_owned(), format_micros);
    if let Some(plan) = &job.plan {
        return format!("{} to {}", format_micros(plan.from_us), format_micros(plan.to_us));
    }
    if let Ok(ScanReport { summary }) = serde_json::from_str(&job.report) {
        return format!("{} to {}", summary.window.from, summary.window.to);
    }
    match &job.scan {
        Some(scan) if scan.from_us.or(scan.to_us).is_some() => {
            format!("{} to {}", bound_text(scan.from_us), bound_text(scan.to_us))
        }
        Some(ScanRequest { last_us: Some(length), .. }) => format!("the last {}", format_duration(*length)),
        _ if is_open(job) => "no window yet".to_owned(),
        Some(_) => "all rows".to_owned(),
        None => "no window".to_owned(),
    }
}

fn lake_of(job: &Job) -> &str {
    job.scan.as_ref().map_or("", |scan| scan.lake.as_str())
}

fn print_line(job: &Job) {
    let (state, progress) = (state_name(job.state()), format_progress(job));
    let by = if job.submitted_by.is_empty() { String::new() } else { format!("  by {}", job.submitted_by) };
    println!("{}  {state:<9}  {progress:<24}  {}  {}{by}", job.id, window_of(job), lake_of(job));
}

fn print_job(job: &Job) {
    println!("job        {}", job.id);
    println!("state      {}", state_name(job.state()));
    println!("lake       {}", lake_of(job));
    println!("window     {}", window_of(job));
    if !job.submitted_by.is_empty() {
        println!("by         {}", job.submitted_by);
    }
    println!("submitted  {}", format_micros(job.submitted_us));
    if job.ended_us > 0 {
        println!("ended      {}", format_micros(job.ended_us));
    }
    println!("progress   {}", format_progress(job));
    risk_lines(job).iter().for_each(|line| println!("{line}"));
    if !job.error.is_empty() {
        println!("error      {}", job.error);
    }
}

/// The part of a scan's report that is printed.
#[derive(Deserialize)]
struct ScanReport {
    summary: Summary,
}

/// The lines about the risk in the report of a scan or a window, and what was not read; none without a report.
fn risk_lines(job: &Job) -> Vec<String> {
    if job.report.is_empty() {
        return Vec::new();
    }
    let read = match is_backfill_window(job) {
        true => serde_json::from_str(&job.report)
            .map(|WindowOutcome { row, .. }| (row.risk, row.reason.unwrap_or_default())),
        false => serde_json::from_str(&job.report).map(|ScanReport { summary }| {
            let reasons = summary.reasons().join("; ");
            (Some(summary.risk), reasons)
        }),
    };
    let (risk, unread) = match read {
        Ok((Some(risk), unread)) => (risk, unread),
        Ok((None, _)) => return Vec::new(),
        Err(error) => {
            return vec![format!("risk       unknown: the report of the job can't be read: {error}")];
        }
    };
    let score = risk.score().map(|score| format!("{score} of 100  ")).unwrap_or_default();
    let risk = format!("risk       {score}{}", risk.level().name());
    [risk].into_iter().chain((!unread.is_empty()).then(|| format!("not read   {unread}"))).collect()
}

fn job_json(job: &Job) -> Result<serde_json::Value> {
    let parse = |text: &str| -> Result<serde_json::Value> {
        if text.is_empty() {
            return Ok(serde_json::Value::Null);
        }
        serde_json::from_str(text).map_err(|error| Error::Data(format!("job {}: {error}", job.id)))
    };
    let time = |micros: i64| (micros > 0).then(|| format_micros(micros));
    let progress = job.progress.unwrap_or_default();
    Ok(serde_json::json!({
        "id": job.id,
        "state": state_name(job.state()),
        "lake": lake_of(job),
        "submitted_by": job.submitted_by,
        "submitted": time(job.submitted_us),
        "ended": time(job.ended_us),
        "progress": {
            "units": progress.units, "done": progress.units_done, "cached": progress.units_cached,
            "failures": progress.failures, "bytes": progress.bytes, "bytes_done": progress.bytes_done,
            "merging": progress.merging,
        },
        "error": job.error,
        "plan": job.plan.as_ref().map(PlanOutline::of_message),
        "report": parse(&job.report)?,
    }))
}

#[cfg(test)]
mod tests {
    use hindcast_proto::v1::PlanOutline as PlanMessage;

    use super::*;

    const DAY_US: i64 = 86_400_000_000;

    #[test]
    fn the_window_is_the_planned_one_or_else_the_requested_one() {
        let queued = Job { state: JobState::Queued.into(), ..Job::default() };
        assert_eq!(
            (window_of(&queued).as_str(), window_of(&Job::default()).as_str()),
            ("no window yet", "no window")
        );
        let ended = Job { scan: Some(ScanRequest::default()), ..Job::default() };
        assert_eq!(window_of(&ended), "all rows");
        let scan = ScanRequest { from_us: Some(DAY_US), ..ScanRequest::default() };
        let requested = Job { scan: Some(scan), ..Job::default() };
        assert_eq!(window_of(&requested), "1970-01-02T00:00:00Z to …");
        let plan = PlanMessage { from_us: 0, to_us: DAY_US, ..PlanMessage::default() };
        let planned = Job { plan: Some(plan), ..requested };
        assert_eq!(window_of(&planned), "1970-01-01T00:00:00Z to 1970-01-02T00:00:00Z");
    }

    #[test]
    fn ended_jobs_of_earlier_builds_have_the_window_of_their_report() {
        let scan = ScanRequest { last_us: Some(7 * DAY_US), ..ScanRequest::default() };
        let ended = Job { state: JobState::Done.into(), scan: Some(scan), ..Job::default() };
        assert_eq!(window_of(&ended), "the last 7 d", "a list has no reports");
        let risk = r#"{"score": 12, "level": "LOW", "explanation": ["12 points: a form of tomorrow"]}"#;
        let coverage = r#"{"tables": [], "complete": true}"#;
        let report = format!(
            r#"{{"summary": {{"window": {{"from": "2026-01-05T00:00:00Z", "to": "2026-01-06T00:00:00Z"}}, "suites": {{}},
            "risk": {risk}, "risk_by_day": [], "findings": 0, "suppressed": {{}}, "incidents": 0, "hubs": [], "analyses": {{}},
            "disabled": {{}}, "coverage": {coverage}, "version": "0", "config_hash": ""}}}}"#
        );
        let with_report = Job { report, ..ended };
        assert_eq!(window_of(&with_report), "2026-01-05T00:00:00Z to 2026-01-06T00:00:00Z");
        assert_eq!(risk_lines(&with_report), ["risk       12 of 100  LOW"]);
    }

    #[test]
    fn a_report_that_cannot_be_read_is_no_silence_about_the_risk() {
        assert!(risk_lines(&Job::default()).is_empty());
        let damaged = Job { report: "{}".into(), ..Job::default() };
        let lines = risk_lines(&damaged);
        assert!(
            lines.len() == 1 && lines[0].contains("unknown: the report of the job can't be read"),
            "{lines:?}"
        );
    }

    #[test]
    fn json_has_the_plan_and_the_report_as_values() {
        let plan =
            PlanMessage { to_us: DAY_US, missing_tables: vec!["AuditLogs".into()], ..PlanMessage::default() };
        let job = Job {
            id: "one".into(),
            state: JobState::Done.into(),
            submitted_us: DAY_US,
            plan: Some(plan),
            report: "{\"summary\": {}}".into(),
            ..Job::default()
        };
        let json = job_json(&job).unwrap();
        assert_eq!((&json["state"], &json["submitted"]), (&"done".into(), &"1970-01-02T00:00:00Z".into()));
        assert!(json["ended"].is_null() && json["report"]["summary"].is_object());
        assert_eq!(json["plan"]["window"]["to"], "1970-01-02T00:00:00Z");
        assert_eq!(json["plan"]["missing_tables"][0], "AuditLogs");
        let damaged = Job { report: "{".into(), ..Job::default() };
        assert_eq!(job_json(&damaged).unwrap_err().kind(), hindcast_base::ErrorKind::Data);
        assert!(job_json(&Job::default()).unwrap()["plan"].is_null());
    }
}
