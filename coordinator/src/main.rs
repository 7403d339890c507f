//! The `hindcast` binary: wires the commands to what they run.

mod api;
mod cli;
mod client;
mod cluster;
mod compare;
mod correlate;
mod demo;
mod entity_page;
mod inventory;
mod jobs;
mod lakes;
mod locations;
mod output;
mod results;
mod risk;
mod save;
mod scan;
mod screen;
mod watch;
mod web;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match cli::run(cli::Cli::parse()) {
        Ok(outcome) => outcome.exit_code(),
        Err(error) => {
            eprintln!("error: {error}");
            cli::Outcome::of_error(&error).exit_code()
        }
    }
}
