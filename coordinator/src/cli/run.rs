//! What `scan` and `investigate` have in common: their arguments, and running a request here or on a coordinator.

use std::path::PathBuf;
use std::time::Instant;

use hindcast_common::engine::{Local, StateStore};
use hindcast_common::time::{parse_duration, parse_time};
use hindcast_common::{Error, Result};
use hindcast_proto::v1::ScanRequest;

use super::scan_options::{CONCURRENT_MERGES, ScanOptions};
use crate::client::{Client, check_done};
use crate::lake_access::Access;
use crate::output::{Choice, Format, OutputFolder, check_replaceable, check_written};
use crate::own_detections::DetectionPolicy;
use crate::scan::{PlanOutline, RunOptions, ScanResult, Summary, prepare, run_plan, units_of};
use crate::sinks::{RunEnd, Sink, send_to_all};
use crate::terminal;

/// Which rows are looked at, how, and where the results go.
#[derive(Debug, clap::Args)]
pub struct RunArguments {
    #[command(flatten)]
    scan_options: ScanOptions,
    /// First instant: a date or RFC 3339, UTC
    #[arg(long, value_name = "T", conflicts_with = "last")]
    from: Option<String>,
    /// First instant after the window
    #[arg(long, value_name = "T", conflicts_with = "last")]
    to: Option<String>,
    /// This long, back from the newest row: 90m, 24h, 7d
    #[arg(long, value_name = "SPAN")]
    last: Option<String>,
    /// Folder for the results
    #[arg(long, default_value = "hindcast-out", value_name = "DIR")]
    out: PathBuf,
    /// Formats of the results
    #[arg(long, value_delimiter = ',', default_value = "parquet,html", value_name = "FORMAT,..")]
    format: Vec<Format>,
    /// In CSV, put an apostrophe before text that a spreadsheet would take for a formula
    #[arg(long)]
    csv_escape_formulas: bool,
    /// Show what would be scanned, and stop
    #[arg(long)]
    dry_run: bool,
}

impl RunArguments {
    /// Threads of the whole process.
    pub(super) fn threads(&self) -> usize {
        self.scan_options.threads()
    }

    /// What is asked for, of all rows and analyses.
    pub(super) async fn request(&self) -> Result<ScanRequest> {
        let bound = |text: &Option<String>| text.as_deref().map(parse_time).transpose();
        Ok(ScanRequest {
            from_us: bound(&self.from)?,
            to_us: bound(&self.to)?,
            last_us: self.last.as_deref().map(parse_duration).transpose()?,
            ..self.scan_options.request().await?
        })
    }

    /// Runs `request`, writes what it found and pushes it to `sinks`; nothing comes back where only the plan was wanted.
    pub(super) async fn run(&self, request: ScanRequest, sinks: &[Sink]) -> Result<Option<Summary>> {
        let started = Instant::now();
        if self.scan_options.coordinator.is_some() && !sinks.is_empty() {
            return Err(Error::Config(
                "a coordinator pushes to its own sinks: give them to `hindcast coordinator`, not here".into(),
            ));
        }
        let result = match &self.scan_options.coordinator {
            Some(address) if !self.dry_run => self.remote(address, request).await?,
            _ => match self.here(request).await? {
                Some(result) => result,
                None => return Ok(None),
            },
        };
        let folder = OutputFolder::create(&self.out)?;
        let choice = Choice { formats: &self.format, escapes_formulas: self.csv_escape_formulas };
        let unwritten = folder.write(&result, choice)?;
        let out = folder.publish()?;
        tracing::debug!("results written");
        if self.scan_options.prints_text() {
            terminal::print_result(&result, &out, started.elapsed())?;
        } else {
            terminal::print_unread(&result.report.summary);
        }
        if !self.scan_options.quiet {
            terminal::print_replaced(&result.report.summary.coverage.replaced_state);
        }
        // The results are there, whatever becomes of this.
        let deliveries = send_to_all(sinks, RunEnd { job: "", outcome: Ok(&result) }).await;
        if self.scan_options.prints_text() {
            terminal::print_deliveries(&deliveries);
        }
        if self.scan_options.json {
            terminal::print_json(&result.report.summary)?;
        }
        check_written(&unwritten, &out)?;
        Ok(Some(result.report.summary))
    }

    /// Whether something that was not looked at is to be told by the exit code.
    pub(super) fn is_incomplete(&self, summary: &Summary) -> bool {
        self.scan_options.is_incomplete(summary.is_whole())
    }

    /// Runs in this process; nothing where only the plan was wanted.
    async fn here(&self, request: ScanRequest) -> Result<Option<ScanResult>> {
        let options = self.scan_options.local_options();
        let engine = Local::new(&options)?;
        let locations = self.scan_options.locations()?;
        let prepared = prepare(
            &request,
            &Access::Any,
            &DetectionPolicy::of_own_process(),
            locations.as_ref(),
            &engine.runtime(),
        )
        .await?;
        let outline = PlanOutline::of(&prepared.plan);
        if self.dry_run {
            terminal::print_dry_run(&outline, &units_of(&prepared.plan), self.scan_options.json)?;
            return Ok(None);
        }
        check_replaceable(&self.out)?;
        if self.scan_options.prints_text() {
            terminal::print_plan(&outline);
        }
        // State of a run without a cache lives on disk too, outside the memory budget.
        let scratch = tempfile::tempdir().map_err(Error::io("creating a temporary folder"))?;
        let state = StateStore::new(self.scan_options.state_location(scratch.path())?);
        let run = RunOptions {
            engine: &engine,
            runtime: engine.runtime(),
            state: &state,
            use_cache: !self.scan_options.no_cache,
            shards: options.threads,
            concurrent_merges: CONCURRENT_MERGES,
            config: &prepared.config,
            job: "",
            locations: locations.as_ref(),
        };
        let progress = terminal::ProgressBar::new(self.scan_options.prints_text());
        let result = run_plan(&prepared.plan, &run, &progress).await;
        progress.finish();
        result.map(Some)
    }

    /// Has a coordinator run it, and fetches what it found.
    async fn remote(&self, address: &str, request: ScanRequest) -> Result<ScanResult> {
        let request = self.scan_options.for_coordinator(request)?;
        check_replaceable(&self.out)?;
        let mut client = Client::new(address, &self.scan_options.credentials)?;
        let job = client.submit(request).await?;
        if self.scan_options.prints_text() {
            println!("job       {}", job.id);
        }
        let progress = terminal::JobBar::new(self.scan_options.prints_text());
        let ended = client.watch(&job.id, |job| progress.show(job)).await;
        progress.finish();
        let ended = ended?;
        check_done(&ended)?;
        client.result(&ended.id).await
    }
}
