//! `hindcast coordinator`

use std::path::PathBuf;

use clap::Args;
use hindcast_common::Result;
use hindcast_common::cluster::Tls;
use hindcast_common::engine::LocalOptions;

use super::Outcome;
use super::arguments::{available_threads, parse_bytes, raise_file_limit, read_config};
use crate::api::{Settings, parse_address, run_coordinator};

/// Arguments of `hindcast coordinator`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hindcast coordinator --allow-lake /srv/lake --state /srv/state
  hindcast coordinator --allow-lake /srv/lake --state /srv/state --web 127.0.0.1:7484
  hindcast coordinator --config coordinator.toml --listen 0.0.0.0:7480 --tls certificates/coordinator

Workers and lake must see state and lakes under the same URLs. docs/operations.md tells the configuration file.")]
pub struct CoordinatorArguments {
    /// Its configuration, TOML; the flags below win over it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address for people and workers [default: 127.0.0.1:7480]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Address for metrics and health [default: 127.0.0.1:7481]
    #[arg(long, value_name = "ADDR")]
    http: Option<String>,
    /// Address of the pages for people's browsers; none without
    #[arg(long, value_name = "ADDR")]
    web: Option<String>,
    /// A lake that jobs may name, and all below it
    #[arg(long, value_name = "URL")]
    allow_lake: Vec<String>,
    /// Folder or URL of detections that all jobs have beside the built-in ones
    #[arg(long, value_name = "DIR")]
    detections: Vec<String>,
    /// Let requests and the configurations of lakes bring detections of their own
    #[arg(long)]
    allow_detections: bool,
    /// Where rollups and the ledger of jobs are kept
    #[arg(long, value_name = "URL")]
    state: Option<String>,
    /// Where addresses are, for all jobs: a database of cities or countries in MaxMind's format
    #[arg(long, value_name = "FILE.mmdb")]
    geoip: Option<PathBuf>,
    /// Folder of ca.crt, tls.crt and tls.key
    #[arg(long, value_name = "DIR")]
    tls: Option<PathBuf>,
    /// Speak in plain text, and with anybody, beyond this machine
    #[arg(long)]
    insecure: bool,
    /// Threads of this process [default: one a processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Memory for what this process computes of results
    #[arg(long, default_value = "1GiB", value_name = "SIZE", value_parser = parse_bytes)]
    memory: usize,
}

impl CoordinatorArguments {
    /// Threads of the whole process.
    pub(super) fn threads(&self) -> usize {
        self.threads.map_or_else(available_threads, usize::from)
    }

    fn settings(&self) -> Result<Settings> {
        let mut settings = match &self.config {
            Some(path) => Settings::parse(&path.display().to_string(), &read_config(path)?)?,
            None => Settings::default(),
        };
        if let Some(listen) = &self.listen {
            settings.listen = parse_address(listen)?;
        }
        if let Some(http) = &self.http {
            settings.http = parse_address(http)?;
        }
        if let Some(web) = &self.web {
            settings.web = Some(parse_address(web)?);
        }
        if let Some(state) = &self.state {
            settings.state = state.clone();
        }
        settings.lakes.extend(self.allow_lake.iter().cloned());
        settings.detections.extend(self.detections.iter().cloned());
        settings.allow_detections |= self.allow_detections;
        settings.geoip = self.geoip.clone().or(settings.geoip);
        settings.tls = self.tls.clone().or(settings.tls);
        settings.insecure |= self.insecure;
        Ok(settings)
    }
}

/// Runs the command.
pub(super) async fn run(arguments: &CoordinatorArguments) -> Result<Outcome> {
    let settings = arguments.settings()?;
    raise_file_limit();
    let tls = settings.tls.as_deref().map(Tls::load).transpose()?;
    let own = LocalOptions { threads: arguments.threads(), memory_bytes: arguments.memory };
    run_coordinator(settings, tls, own).await?;
    Ok(Outcome::Done)
}
