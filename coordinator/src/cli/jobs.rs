//! `hindcast jobs`

use clap::{Args, ValueEnum};
use hindcast_common::time::format_micros;
use hindcast_common::{Error, Result};
use hindcast_proto::v1::{Job, JobState};

use super::Outcome;
use crate::client::{Client, Connection};
use crate::jobs::outcome;
use crate::screen;

/// Arguments of `hindcast jobs`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hindcast jobs list --coordinator 127.0.0.1:7480
  hindcast jobs watch 0198f1c2-… --coordinator soc.example:7480 --tls certificates/client --token-file token")]
pub struct JobsArguments {
    /// What to do
    action: Action,
    /// Which job
    #[arg(required_if_eq_any = [("action", "get"), ("action", "watch"), ("action", "cancel")])]
    id: Option<String>,
    #[command(flatten)]
    connection: Connection,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Action {
    /// All jobs, newest first
    List,
    /// One job as it stands
    Get,
    /// One job until it has ended
    Watch,
    /// End a job
    Cancel,
}

/// Runs the command.
pub(super) async fn run(arguments: &JobsArguments) -> Result<Outcome> {
    let mut client = Client::new(&arguments.connection.coordinator, &arguments.connection.credentials)?;
    let tell = |job: &Job| -> Result<()> {
        if arguments.json {
            return screen::print_json(&told(job)?);
        }
        print_job(job);
        Ok(())
    };
    let id = arguments.id.as_deref().unwrap_or_default();
    let job = match arguments.action {
        Action::List => {
            let jobs = client.list().await?;
            if arguments.json {
                screen::print_json(&jobs.iter().map(told).collect::<Result<Vec<_>>>()?)?;
            } else {
                jobs.iter().for_each(print_line);
            }
            return Ok(Outcome::Done);
        }
        Action::Get => client.get(id).await?,
        Action::Cancel => client.cancel(id).await?,
        Action::Watch => {
            let is_told = !arguments.json;
            client
                .watch(id, |job| {
                    if is_told {
                        print_line(job)
                    }
                })
                .await?
        }
    };
    tell(&job)?;
    Ok(match (arguments.action, job.state()) {
        (Action::Watch, JobState::Failed | JobState::Cancelled) => Outcome::Failed,
        _ => Outcome::Done,
    })
}

fn lake_of(job: &Job) -> &str {
    job.scan.as_ref().map_or("", |scan| scan.lake.as_str())
}

fn print_line(job: &Job) {
    println!("{}  {:<9}  {:<24}  {}", job.id, outcome(job.state()), screen::progress_told(job), lake_of(job));
}

fn print_job(job: &Job) {
    println!("job        {}", job.id);
    println!("state      {}", outcome(job.state()));
    println!("lake       {}", lake_of(job));
    if !job.submitted_by.is_empty() {
        println!("by         {}", job.submitted_by);
    }
    println!("submitted  {}", format_micros(job.submitted_us));
    if job.ended_us > 0 {
        println!("ended      {}", format_micros(job.ended_us));
    }
    println!("progress   {}", screen::progress_told(job));
    if !job.error.is_empty() {
        println!("error      {}", job.error);
    }
}

fn told(job: &Job) -> Result<serde_json::Value> {
    let parse = |text: &str| -> Result<serde_json::Value> {
        if text.is_empty() {
            return Ok(serde_json::Value::Null);
        }
        serde_json::from_str(text).map_err(|error| Error::Internal(format!("job {}: {error}", job.id)))
    };
    let time = |micros: i64| (micros > 0).then(|| format_micros(micros));
    let progress = job.progress.unwrap_or_default();
    Ok(serde_json::json!({
        "id": job.id,
        "state": outcome(job.state()),
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
        "plan": parse(&job.outline)?,
        "report": parse(&job.report)?,
    }))
}
