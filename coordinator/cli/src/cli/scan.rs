//! `hindcast scan`

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use hindcast_base::Result;
use hindcast_proto::v1::ScanRequest;

use super::Outcome;
use super::run::RunArguments;
use hindcast_report::sinks::read_sinks;
use hindcast_risk::Level;
use hindcast_scan::Summary;

/// Arguments of `hindcast scan`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hindcast scan --lake demo-lake
  hindcast scan --lake s3://telemetry/lake --last 24h --fail-on high
  hindcast scan --lake lake --from 2026-01-05 --to 2026-01-12 \\
      --suite firewall --format parquet,csv,xlsx
  hindcast scan --lake s3://telemetry/lake --coordinator soc.example:7480 \\
      --tls certificates/client --token-file token
  hindcast scan --lake lake --suite office365 --geoip GeoLite2-City.mmdb
  hindcast scan --lake s3://telemetry/lake --last 24h \\
      --format parquet,ocsf,stix --sinks sinks.toml
  hindcast scan --lake lake --only beaconing,egress_spikes \\
      --preset notebook --dry-run

Exit status: 0 done; 1 failed; 2 invalid arguments or configuration; 3 incomplete coverage; 4 the --fail-on level was reached")]
pub struct ScanArguments {
    #[command(flatten)]
    run: RunArguments,
    /// Suites to run [default: all]
    #[arg(long, value_delimiter = ',', value_name = "SUITE,..")]
    suite: Vec<String>,
    /// Analyses to run [default: all analyses of the suites]
    #[arg(long, value_delimiter = ',', value_name = "ANALYSIS,..")]
    only: Vec<String>,
    /// File with sinks, webhooks and syslog collectors, to which findings are pushed once the results are written
    #[arg(long, value_name = "FILE")]
    sinks: Option<PathBuf>,
    /// Exit with 4 if the risk reaches this level, and with 3 if it could not be assessed
    #[arg(long, value_name = "LEVEL")]
    fail_on: Option<FailOn>,
}

/// Levels that `--fail-on` takes.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum FailOn {
    Low,
    Medium,
    High,
}

impl FailOn {
    /// The level itself.
    pub(super) fn level(self) -> Level {
        match self {
            FailOn::Low => Level::Low,
            FailOn::Medium => Level::Medium,
            FailOn::High => Level::High,
        }
    }
}

impl ScanArguments {
    /// Threads of the process.
    pub(super) fn threads(&self) -> usize {
        self.run.threads()
    }
}

/// Runs the command.
pub(super) async fn run(arguments: &ScanArguments) -> Result<Outcome> {
    let sinks = arguments.sinks.as_deref().map(read_sinks).transpose()?.unwrap_or_default();
    let request = ScanRequest {
        suites: arguments.suite.clone(),
        analyses: arguments.only.clone(),
        ..arguments.run.request().await?
    };
    let summary = arguments.run.run(request, &sinks).await?;
    Ok(summary.map_or(Outcome::Done, |summary| outcome(arguments, &summary)))
}

fn outcome(arguments: &ScanArguments, summary: &Summary) -> Outcome {
    let threshold = arguments.fail_on.map(FailOn::level);
    // If the run has no level, the requested level was not ruled out.
    let has_no_level = threshold.is_some() && !summary.risk.is_assessed();
    if arguments.run.is_incomplete(summary) || has_no_level {
        Outcome::Incomplete
    } else if threshold.is_some_and(|threshold| summary.risk.level() >= threshold) {
        Outcome::LevelReached
    } else {
        Outcome::Done
    }
}
