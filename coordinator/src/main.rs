//! The `hindcast` binary: wires the commands to what they run.

mod api;
mod backfill;
mod cli;
mod client;
mod cluster;
mod compact;
mod compare;
mod correlate;
mod data_quality;
mod demo;
mod entity_page;
mod geoip;
mod import;
mod inventory;
mod jobs;
mod lake_access;
mod merge;
mod output;
mod own_detections;
mod results;
mod risk;
mod save;
mod scan;
mod sinks;
mod terminal;
mod watchlists;
mod web;

use std::process::ExitCode;

use clap::Parser;

#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    end_quietly_where_nobody_reads();
    match cli::run(cli::Cli::parse()) {
        Ok(outcome) => outcome.exit_code(),
        Err(error) => {
            eprintln!("error: {error}");
            cli::Outcome::of_error(&error).exit_code()
        }
    }
}

/// What is printed to a pipe that was closed (`| head`) is not wanted any more; the standard library panics there.
fn end_quietly_where_nobody_reads() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let told = panic.payload_as_str().unwrap_or_default();
        if told.starts_with("failed printing to stdout: Broken pipe") {
            std::process::exit(0);
        }
        usual(panic);
    }));
}
