//! What the commands print: the plan, the progress and the result of a scan, for people and as JSON.

mod coverage;
mod entity;
mod plan;
mod preview;
mod progress;
mod result;

use hindcast_base::{Error, Result};

pub use coverage::{print_replaced, print_unread};
pub use plan::{print_dry_run, print_plan};
pub use preview::print_preview;
pub use progress::{JobBar, ProgressBar};
pub use result::{print_deliveries, print_result};

/// Prints a value as JSON on standard output.
///
/// # Errors
/// [`Error::Internal`] if the value can't be written as JSON.
pub fn print_json(value: &impl serde::Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Error::Internal(error.to_string()))?;
    println!("{text}");
    Ok(())
}

/// Prints a value as one line of JSON.
///
/// # Errors
/// [`Error::Internal`] if the value can't be written as JSON.
pub fn print_json_line(value: &impl serde::Serialize) -> Result<()> {
    let text = serde_json::to_string(value).map_err(|error| Error::Internal(error.to_string()))?;
    println!("{text}");
    Ok(())
}
