//! `hindcast coordinator`

use std::path::PathBuf;

use clap::Args;
use hindcast_base::Result;
use hindcast_engine::LocalOptions;
use hindcast_node::Tls;

use super::Outcome;
use super::arguments::{available_threads, parse_memory, raise_file_limit, read_config};
use hindcast_server::api::{Settings, parse_address, run_coordinator};

/// Arguments of `hindcast coordinator`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hindcast coordinator --allow-lake /srv/lake --state /srv/state
  hindcast coordinator --allow-lake /srv/lake --state /srv/state \\
      --web 127.0.0.1:7484
  hindcast coordinator --config coordinator.toml --listen 0.0.0.0:7480 \\
      --tls certificates/coordinator

Workers must reach the state and the lakes under the same URLs. docs/operations.md describes the configuration file.")]
pub struct CoordinatorArguments {
    /// Configuration file in TOML; the options below override it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address for clients and workers [default: 127.0.0.1:7480]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Address for metrics and health [default: 127.0.0.1:7481]
    #[arg(long, value_name = "ADDR")]
    http: Option<String>,
    /// Address of the web pages [default: no pages]
    #[arg(long, value_name = "ADDR")]
    web: Option<String>,
    /// A lake that jobs may read, including all folders below it; may be repeated
    #[arg(long, value_name = "URL")]
    allow_lake: Vec<String>,
    /// Folder or URL of detections that all jobs use in addition to the built-in ones; may be repeated
    #[arg(long, value_name = "DIR")]
    detections: Vec<String>,
    /// Accept detections from requests and from the configurations of lakes
    #[arg(long)]
    allow_detections: bool,
    /// Location of the state: rollups and jobs
    #[arg(long, value_name = "URL")]
    state: Option<String>,
    /// Location database for all jobs: cities or countries in MaxMind's format
    #[arg(long, value_name = "FILE.mmdb")]
    geoip: Option<PathBuf>,
    /// Folder with ca.crt, tls.crt and tls.key
    #[arg(long, value_name = "DIR")]
    tls: Option<PathBuf>,
    /// Allow connections from other machines without TLS and without tokens
    #[arg(long)]
    insecure: bool,
    /// Threads of this process [default: one per processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Memory for the results that this process computes
    #[arg(long, default_value = "1GiB", value_name = "SIZE", value_parser = parse_memory)]
    memory: usize,
}

impl CoordinatorArguments {
    /// Threads of the process.
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
