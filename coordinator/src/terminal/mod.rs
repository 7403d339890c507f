//! What the commands print: the plan, the progress and the result of a scan, for people and as JSON.

mod coverage;
mod plan;
mod progress;
mod result;

use hindcast_common::{Error, Result};

pub use coverage::{print_replaced, print_unread, status_counts};
pub use plan::{print_dry_run, print_plan};
pub use progress::{JobBar, ProgressBar, format_progress, format_units};
pub use result::{print_deliveries, print_result};

/// A size for people, such as `1.50 MiB`.
pub fn format_bytes(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}

/// Prints a value as JSON on standard output.
///
/// # Errors
/// [`Error::Internal`] if the value can't be written as JSON.
pub fn print_json(value: &impl serde::Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Error::Internal(error.to_string()))?;
    println!("{text}");
    Ok(())
}
