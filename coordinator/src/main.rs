//! The `hindcast` binary: wires the commands to what they run.

mod cli;
mod correlate;
mod demo;
mod inventory;
mod output;
mod save;
mod scan;
mod screen;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_env("HINDCAST_LOG"))
        .with_writer(std::io::stderr)
        .init();
    match cli::run(cli::Cli::parse()) {
        Ok(outcome) => outcome.exit_code(),
        Err(error) => {
            eprintln!("error: {error}");
            cli::Outcome::of_error(&error).exit_code()
        }
    }
}
