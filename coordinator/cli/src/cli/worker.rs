//! `hindcast worker`

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use hindcast_base::Result;
use hindcast_base::time::parse_duration;
use hindcast_engine::LocalOptions;
use hindcast_node::Tls;
use hindcast_worker::{WorkerOptions, run_worker};

use super::Outcome;
use super::arguments::{available_threads, parse_memory, raise_file_limit};
use hindcast_server::api::parse_address;

/// Arguments of `hindcast worker`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hindcast worker --coordinator 127.0.0.1:7480
  hindcast worker --coordinator coordinator.example:7480 \\
      --listen 0.0.0.0:7482 --tls certificates/worker

On SIGTERM the worker takes no more tasks, finishes the running ones, and stops.")]
pub struct WorkerArguments {
    /// Address of the coordinator: HOST:PORT
    #[arg(long, value_name = "URL")]
    coordinator: String,
    /// Address at which the coordinator fetches results
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7482")]
    listen: String,
    /// Address for metrics and health
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7483")]
    http: String,
    /// Host under which the coordinator reaches --listen [default: this machine's address on the route to it]
    #[arg(long, value_name = "HOST")]
    advertise: Option<String>,
    /// Threads [default: one per processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Memory for grouping, sorting and joining; beyond it, data is spilled to disk
    #[arg(long, default_value = "4GiB", value_name = "SIZE", value_parser = parse_memory)]
    memory: usize,
    /// Folder for spill files and results [default: the system's folder for temporary files]
    #[arg(long, value_name = "DIR")]
    work_dir: Option<PathBuf>,
    /// Folder with ca.crt, tls.crt and tls.key
    #[arg(long, value_name = "DIR")]
    tls: Option<PathBuf>,
    /// Allow plain text to and from other machines
    #[arg(long)]
    insecure: bool,
    /// Longest time that a stopping worker waits for its tasks, such as 90s or 5m
    #[arg(long, value_name = "SPAN", default_value = "5m")]
    drain_timeout: String,
}

impl WorkerArguments {
    /// Threads of the process.
    pub(super) fn threads(&self) -> usize {
        self.threads.map_or_else(available_threads, usize::from)
    }
}

/// Runs the command.
pub(super) async fn run(arguments: &WorkerArguments) -> Result<Outcome> {
    raise_file_limit();
    let drain_us = parse_duration(&arguments.drain_timeout)?;
    run_worker(WorkerOptions {
        coordinator: arguments.coordinator.clone(),
        listen: parse_address(&arguments.listen)?,
        http: parse_address(&arguments.http)?,
        advertise: arguments.advertise.clone(),
        tasks: LocalOptions { threads: arguments.threads(), memory_bytes: arguments.memory },
        scratch: arguments.work_dir.clone(),
        tls: arguments.tls.as_deref().map(Tls::load).transpose()?,
        is_insecure: arguments.insecure,
        drain_timeout: Duration::from_micros(drain_us.unsigned_abs()),
    })
    .await?;
    Ok(Outcome::Done)
}
