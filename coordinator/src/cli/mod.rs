//! The command line: arguments, exit codes, and the hand-over to what does the work.

mod arguments;
mod demo;
mod scan;
mod tables;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use hindcast_common::{Error, Result};

/// Detections over months of security telemetry in a data lake.
#[derive(Debug, Parser)]
#[command(name = "hindcast", version, about, max_term_width = 110)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write a lake with planted attacks, and the truth about them
    Demo(demo::DemoArguments),
    /// Run detections over a window of a lake
    Scan(scan::ScanArguments),
    /// Show, save and delete tables of a lake
    Tables(tables::TablesArguments),
}

/// How a command ended, where it did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Done.
    Done,
    /// Failed.
    Failed,
    /// Wrong arguments or configuration.
    BadArguments,
    /// Something of the window could not be read.
    Incomplete,
    /// The level of `--fail-on` was reached.
    LevelReached,
}

impl Outcome {
    /// The exit code scripts rely on.
    pub fn exit_code(self) -> ExitCode {
        ExitCode::from(match self {
            Outcome::Done => 0,
            Outcome::Failed => 1,
            Outcome::BadArguments => 2,
            Outcome::Incomplete => 3,
            Outcome::LevelReached => 4,
        })
    }

    /// How a command that failed with `error` ends.
    pub fn of_error(error: &Error) -> Self {
        match error {
            Error::Config(_) => Outcome::BadArguments,
            _ => Outcome::Failed,
        }
    }
}

/// Runs the command.
///
/// # Errors
/// As the command's own work fails.
pub fn run(cli: Cli) -> Result<Outcome> {
    match cli.command {
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Scan(arguments) => runtime(arguments.threads())?.block_on(scan::run(&arguments)),
        Command::Tables(arguments) => {
            runtime(arguments::available_threads())?.block_on(tables::run(&arguments))
        }
    }
}

fn runtime(threads: usize) -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
        .map_err(Error::io("starting threads"))
}
