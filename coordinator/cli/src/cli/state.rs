//! `hindcast state`

use clap::Args;
use hindcast_base::Result;
use hindcast_base::format::format_bytes;
use hindcast_base::time::format_micros;
use hindcast_engine::{StateInventory, StateStore};
use hindcast_lake::Location;

use super::Outcome;
use super::arguments::default_state;

/// Arguments of `hindcast state`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hindcast state
  hindcast state s3://telemetry-state/hindcast --remove")]
pub struct StateArguments {
    /// The state's folder or URL; by default, that of scans without --state
    state: Option<String>,
    /// Remove levels that later ones have replaced: all but the newest two of the same rollup and dates
    #[arg(long)]
    remove: bool,
}

/// Runs the command.
pub(super) async fn run(arguments: &StateArguments) -> Result<Outcome> {
    let place = match &arguments.state {
        Some(state) => state.clone(),
        None => default_state()?.display().to_string(),
    };
    let state = StateStore::new(Location::parse(&place)?);
    let inventory = StateInventory::of(&state).await?;
    println!(
        "{:<18} {:>9} {:>11} {:>20}  {:<20} {:>11}",
        "", "objects", "size", "written from", "to", "replaced"
    );
    for (kind, part) in &inventory.parts {
        let time = |us: Option<i64>| us.map(format_micros).unwrap_or_default();
        println!(
            "{kind:<18} {:>9} {:>11} {:>20}  {:<20} {:>11}",
            part.objects,
            format_bytes(part.bytes),
            time(part.oldest_us.map(to_second)),
            time(part.newest_us.map(to_second)),
            format_bytes(part.replaced_bytes),
        );
    }
    if arguments.remove {
        inventory.remove_replaced(&state).await?;
        println!("removed {} replaced objects", inventory.replaced());
    }
    Ok(Outcome::Done)
}

/// A time without its fraction of a second.
fn to_second(us: i64) -> i64 {
    us - us.rem_euclid(1_000_000)
}
