//! `hindcast investigate`

use clap::{Args, ValueEnum};
use hindcast_base::Result;
use hindcast_proto::v1::{EntityKind, Investigation, ScanRequest};

use super::Outcome;
use super::run::RunArguments;

/// Arguments of `hindcast investigate`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hindcast investigate user ada@corp.example --lake demo-lake
  hindcast investigate device ws-17 --lake s3://telemetry/lake --last 30d \\
      --out ws-17
  hindcast investigate ip 203.0.113.7 --lake lake --from 2026-01-05 \\
      --to 2026-01-12 --format parquet,csv
  hindcast investigate user ada --lake s3://telemetry/lake \\
      --coordinator soc.example:7480 --token-file token

All forms of a name are equivalent: WS-17.corp.example is ws-17; CORP\\ada and Ada@corp.example are the same user, and \
ada is the user of that name in any domain. If no row in the window names the entity, the results are empty and the \
command exits with 0.

Exit status: 0 done; 1 failed; 2 invalid arguments or configuration; 3 incomplete coverage")]
pub struct InvestigateArguments {
    /// Kind of the entity
    kind: Kind,
    /// Name of the entity
    name: String,
    #[command(flatten)]
    run: RunArguments,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    User,
    Device,
    Ip,
}

impl InvestigateArguments {
    /// Threads of the process.
    pub(super) fn threads(&self) -> usize {
        self.run.threads()
    }
}

/// Runs the command.
pub(super) async fn run(arguments: &InvestigateArguments) -> Result<Outcome> {
    let kind = match arguments.kind {
        Kind::User => EntityKind::User,
        Kind::Device => EntityKind::Device,
        Kind::Ip => EntityKind::Ip,
    };
    let investigation = Investigation { kind: kind.into(), name: arguments.name.clone() };
    let request = ScanRequest { investigation: Some(investigation), ..arguments.run.request().await? };
    Ok(match arguments.run.run(request, &[]).await? {
        Some(summary) if arguments.run.is_incomplete(&summary) => Outcome::Incomplete,
        _ => Outcome::Done,
    })
}
