//! The command line: arguments and exit codes. Other modules do the work.

mod arguments;
mod backfill;
mod certificates;
mod coordinator;
mod demo;
mod detections;
mod diff;
mod import;
mod import_report;
mod import_watch;
mod investigate;
mod jobs;
#[cfg(test)]
mod mutations;
mod own_files;
mod run;
mod scan;
mod scan_options;
mod sources;
mod tables;
mod view;
mod watchlist_files;
mod worker;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use hindcast_base::error::is_exhausted;
use hindcast_base::{Error, ErrorKind, Result};
use hindcast_observability::start_tracing;

use hindcast_server::api::answer_query;

/// Default log filter of commands: errors, and warnings about the parts of a lake that they skip. Errors of a Delta log are
/// returned, and those of an event log are rejects.
const COMMAND_LOG: &str = "error,lake=warn,delta_kernel=off,evtx=off";
/// Default log filter of servers: their own events, and only warnings of the libraries.
const SERVER_LOG: &str = "warn,hindcast=info";

/// Detections over months of security telemetry in a data lake.
#[derive(Debug, Parser)]
#[command(name = "hindcast", version, about, max_term_width = 110)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Generate a demo lake with planted attacks, and a list of them
    Demo(demo::DemoArguments),
    /// Run detections over a window of a lake
    Scan(scan::ScanArguments),
    /// Scan many consecutive windows: one row with a risk per window
    Backfill(backfill::BackfillArguments),
    /// Show all activity of one user, device or address
    Investigate(investigate::InvestigateArguments),
    /// Import raw logs into a lake
    Import(import::ImportArguments),
    /// List what import reads, and which fields fill which columns
    Sources(sources::SourcesArguments),
    /// Compare two scans: which findings were added, gone or changed, and why
    Diff(diff::DiffArguments),
    /// Show the results of a scan in a browser
    View(view::ViewArguments),
    /// List, create, test and check detections
    Detections(detections::DetectionsArguments),
    /// Show, save, compact and delete tables of a lake
    Tables(tables::TablesArguments),
    /// Accept scans as jobs and run them on workers
    Coordinator(coordinator::CoordinatorArguments),
    /// Run the tasks of a coordinator's jobs
    Worker(worker::WorkerArguments),
    /// List, watch and cancel a coordinator's jobs, and fetch their results
    Jobs(jobs::JobsArguments),
    /// Create certificates for a test cluster
    Certificates(certificates::CertificatesArguments),
    /// Answer a query; only the coordinator starts this command
    #[command(hide = true)]
    SqlQuery,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Done.
    Done,
    /// Failed.
    Failed,
    /// Invalid arguments or configuration.
    BadArguments,
    /// A part of the window could not be read.
    Incomplete,
    /// The level of `--fail-on` was reached.
    LevelReached,
}

impl Outcome {
    /// The exit code, on which scripts rely.
    pub fn exit_code(self) -> ExitCode {
        ExitCode::from(match self {
            Outcome::Done => 0,
            Outcome::Failed => 1,
            Outcome::BadArguments => 2,
            Outcome::Incomplete => 3,
            Outcome::LevelReached => 4,
        })
    }

    /// The outcome of a command that failed with `error`.
    pub fn of_error(error: &Error) -> Self {
        match error.kind() {
            ErrorKind::InvalidInput | ErrorKind::NotFound | ErrorKind::Denied => Outcome::BadArguments,
            ErrorKind::Conflict
            | ErrorKind::Busy
            | ErrorKind::Unavailable
            | ErrorKind::Data
            | ErrorKind::Internal => Outcome::Failed,
        }
    }
}

/// What to try after `error`, if that is known.
pub fn tip(error: &Error) -> Option<&'static str> {
    match error {
        Error::Engine(failed) if is_exhausted(failed) => {
            Some("the memory budget is too small; give more with --memory, here or to the workers")
        }
        _ => None,
    }
}

/// Runs the command.
///
/// # Errors
/// The error of the command.
pub fn run(cli: Cli) -> Result<Outcome> {
    let threads = arguments::available_threads();
    match cli.command {
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Certificates(arguments) => certificates::run(&arguments),
        Command::Diff(arguments) => diff::run(&arguments),
        Command::Sources(arguments) => sources::run(&arguments),
        Command::SqlQuery => answer_query().map(|()| Outcome::Done),
        Command::Scan(arguments) => {
            block_on(arguments.threads(), "hindcast", COMMAND_LOG, scan::run(&arguments))
        }
        Command::Backfill(arguments) => {
            block_on(arguments.threads(), "hindcast", COMMAND_LOG, backfill::run(&arguments))
        }
        Command::Investigate(arguments) => {
            block_on(arguments.threads(), "hindcast", COMMAND_LOG, investigate::run(&arguments))
        }
        Command::Import(arguments) => {
            block_on(arguments.threads(), "hindcast", COMMAND_LOG, import::run(&arguments))
        }
        Command::Detections(arguments) => {
            block_on(arguments.threads(), "hindcast", COMMAND_LOG, detections::run(&arguments))
        }
        Command::View(arguments) => block_on(threads, "hindcast", "warn", view::run(&arguments)),
        Command::Tables(arguments) => block_on(threads, "hindcast", COMMAND_LOG, tables::run(&arguments)),
        Command::Jobs(arguments) => block_on(threads, "hindcast", COMMAND_LOG, jobs::run(&arguments)),
        Command::Coordinator(arguments) => {
            block_on(arguments.threads(), "hindcast-coordinator", SERVER_LOG, coordinator::run(&arguments))
        }
        Command::Worker(arguments) => {
            block_on(arguments.threads(), "hindcast-worker", SERVER_LOG, worker::run(&arguments))
        }
    }
}

/// Runs an asynchronous command. Its logs and traces have the name `service`.
fn block_on(
    threads: usize,
    service: &'static str,
    log: &str,
    command: impl Future<Output = Result<Outcome>>,
) -> Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
        .map_err(Error::io("starting threads"))?;
    runtime.block_on(async {
        let _tracing = start_tracing(service, log)?;
        command.await
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn each_kind_of_error_has_its_exit_status() {
        for kind in ErrorKind::ALL {
            let expected = match kind {
                ErrorKind::InvalidInput | ErrorKind::NotFound | ErrorKind::Denied => Outcome::BadArguments,
                _ => Outcome::Failed,
            };
            assert_eq!(Outcome::of_error(&Error::of_kind(kind, "text")), expected, "{kind:?}");
        }
        let codes = [
            (Outcome::Done, 0),
            (Outcome::Failed, 1),
            (Outcome::BadArguments, 2),
            (Outcome::Incomplete, 3),
            (Outcome::LevelReached, 4),
        ];
        for (outcome, code) in codes {
            assert_eq!(format!("{:?}", outcome.exit_code()), format!("{:?}", ExitCode::from(code)));
        }
    }

    #[test]
    fn too_little_memory_has_a_tip() {
        let exhausted = datafusion::error::DataFusionError::ResourcesExhausted("too little".into());
        assert!(
            tip(&Error::Engine(exhausted.context("grouping"))).is_some_and(|tip| tip.contains("--memory"))
        );
        assert!(tip(&Error::Invalid("wrong".into())).is_none());
    }

    #[test]
    fn the_arguments_of_all_commands_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn examples_fit_into_80_columns() {
        for command in Cli::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            for line in help.lines().filter(|line| line.starts_with("  ")) {
                assert!(line.chars().count() <= 80, "{}: {line}", command.get_name());
            }
        }
    }
}
