//! `hindcast view`

use std::path::PathBuf;
use std::process::{Command, Stdio};

use clap::Args;
use hindcast_base::Result;
use hindcast_node::check_plain_text;
use hindcast_observability::terminated;

use super::Outcome;
use hindcast_server::api::parse_address;
use hindcast_server::web::{Folder, Runs, serve_pages};

/// Arguments of `hindcast view`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hindcast view hindcast-out
  hindcast view tuesday-out --against monday-out --listen 127.0.0.1:8000 \\
      --no-open")]
pub struct ViewArguments {
    /// Result folder of a scan
    #[arg(value_name = "OUT")]
    out: PathBuf,
    /// Result folder of an earlier scan to compare with
    #[arg(long, value_name = "DIR")]
    against: Option<PathBuf>,
    /// Address of the pages; port 0 selects a free port
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    listen: String,
    /// Don't open a browser
    #[arg(long)]
    no_open: bool,
    /// Allow connections from other machines, without TLS and without a token
    #[arg(long)]
    insecure: bool,
}

/// Runs the command, until Ctrl-C.
pub(super) async fn run(arguments: &ViewArguments) -> Result<Outcome> {
    check_plain_text(&arguments.listen, None, arguments.insecure)?;
    let listen = parse_address(&arguments.listen)?;
    let folder = Folder::open(&arguments.out, arguments.against.as_deref())?;
    let url = serve_pages(listen, None, Runs::Folder(folder), None).await?;
    println!("{} is shown at {url}; press Ctrl-C to stop", arguments.out.display());
    if !arguments.no_open {
        open(&url);
    }
    terminated().await;
    Ok(Outcome::Done)
}

/// Opens a browser, if there is one. The URL is printed in any case.
fn open(url: &str) {
    let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let quiet = Stdio::null;
    let started = Command::new(opener).arg(url).stdin(quiet()).stdout(quiet()).stderr(quiet()).spawn();
    if let Err(error) = started {
        tracing::debug!(%error, "could not open a browser");
    }
}
