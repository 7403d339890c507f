//! Common parts of `scan` and `investigate`: their arguments, and running a request in this process or on a coordinator.

use std::path::PathBuf;
use std::time::Instant;

use hindcast_base::time::{parse_duration, parse_time};
use hindcast_base::{Error, Result};
use hindcast_engine::{Local, StateStore};
use hindcast_proto::v1::ScanRequest;

use super::scan_options::{CONCURRENT_MERGES, ScanOptions};
use crate::client::{Client, check_done};
use crate::terminal;
use hindcast_report::output::{Choice, Format, OutputFolder, check_replaceable, check_written};
use hindcast_report::sinks::{RunEnd, Sink, send_to_all};
use hindcast_scan::lake_access::Access;
use hindcast_scan::own_detections::DetectionPolicy;
use hindcast_scan::{PlanOutline, RunOptions, ScanResult, Summary, prepare, run_plan, units_of};

/// Which rows are scanned, how, and where the results go.
#[derive(Debug, clap::Args)]
pub struct RunArguments {
    #[command(flatten)]
    scan_options: ScanOptions,
    /// Start of the window: a date or an RFC 3339 time, in UTC
    #[arg(long, value_name = "T", conflicts_with = "last")]
    from: Option<String>,
    /// End of the window (exclusive)
    #[arg(long, value_name = "T", conflicts_with = "last")]
    to: Option<String>,
    /// Length of a window that ends at the newest row, such as 90m, 24h or 7d
    #[arg(long, value_name = "SPAN")]
    last: Option<String>,
    /// Folder for the results
    #[arg(long, default_value = "hindcast-out", value_name = "DIR")]
    out: PathBuf,
    /// Formats of the results
    #[arg(long, value_delimiter = ',', default_value = "parquet,html", value_name = "FORMAT,..")]
    format: Vec<Format>,
    /// In CSV, put an apostrophe before text that a spreadsheet would read as a formula
    #[arg(long)]
    csv_escape_formulas: bool,
    /// Only show what would be scanned
    #[arg(long)]
    dry_run: bool,
}

impl RunArguments {
    /// Threads of the process.
    pub(super) fn threads(&self) -> usize {
        self.scan_options.threads()
    }

    /// A request for all rows and all analyses.
    pub(super) async fn request(&self) -> Result<ScanRequest> {
        let bound = |text: &Option<String>| text.as_deref().map(parse_time).transpose();
        Ok(ScanRequest {
            from_us: bound(&self.from)?,
            to_us: bound(&self.to)?,
            last_us: self.last.as_deref().map(parse_duration).transpose()?,
            ..self.scan_options.request().await?
        })
    }

    /// Runs `request`, writes the results and pushes them to `sinks`. Returns `None` for a dry run.
    pub(super) async fn run(&self, request: ScanRequest, sinks: &[Sink]) -> Result<Option<Summary>> {
        let started = Instant::now();
        if self.scan_options.coordinator.is_some() && !sinks.is_empty() {
            return Err(Error::Invalid(
                "a coordinator pushes to its own sinks: configure them for `hindcast coordinator`, not here"
                    .into(),
            ));
        }
        let result = match &self.scan_options.coordinator {
            Some(address) if !self.dry_run => self.run_remotely(address, request).await?,
            _ => match self.run_locally(request).await? {
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
        // A failed delivery does not fail the command: the results are written.
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

    /// Whether the exit status must report incomplete coverage.
    pub(super) fn is_incomplete(&self, summary: &Summary) -> bool {
        self.scan_options.is_incomplete(summary.is_whole())
    }

    /// Runs in this process. Returns `None` for a dry run.
    async fn run_locally(&self, request: ScanRequest) -> Result<Option<ScanResult>> {
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
        // A run without a cache also has its state on disk, outside the memory budget.
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

    /// Runs on a coordinator, and fetches the results.
    async fn run_remotely(&self, address: &str, request: ScanRequest) -> Result<ScanResult> {
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
