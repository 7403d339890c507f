//! `hindcast demo`

use hindcast_base::format::format_bytes;
use std::path::PathBuf;

use chrono::NaiveDate;
use clap::Args;
use hindcast_base::{Error, Result};

use super::Outcome;
use hindcast_demo::{DemoError, DemoOptions, generate};

/// Arguments of `hindcast demo`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hindcast demo demo-lake
  hindcast demo demo-lake --days 30 --rows-per-day 1000000
  hindcast scan --lake demo-lake --geoip demo-lake/geoip.mmdb")]
pub struct DemoArguments {
    /// Folder to write to; it also gets truth.json (the planted attacks) and geoip.mmdb (a location database)
    out: PathBuf,
    /// Days of telemetry
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=3660))]
    days: u32,
    /// Rows per day in all tables together
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(100..))]
    rows_per_day: u64,
    /// Random seed: the same options produce the same bytes
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// First day
    #[arg(long, default_value = "2026-01-05")]
    start: NaiveDate,
}

/// Runs the command.
pub(super) fn run(arguments: &DemoArguments) -> Result<Outcome> {
    let options = DemoOptions {
        out: arguments.out.clone(),
        days: arguments.days,
        rows_per_day: arguments.rows_per_day,
        seed: arguments.seed,
        start: arguments.start,
    };
    let summary = generate(&options, &mut |date, rows| eprintln!("{date}: {rows} rows")).map_err(as_error)?;
    println!(
        "{} rows in {} files ({}), {} attacks planted: {}",
        summary.rows,
        summary.files,
        format_bytes(summary.bytes),
        summary.planted,
        arguments.out.join("truth.json").display()
    );
    let lake = arguments.out.display();
    println!("next: hindcast scan --lake {lake} --geoip {lake}/geoip.mmdb");
    Ok(Outcome::Done)
}

fn as_error(error: DemoError) -> Error {
    match error {
        DemoError::NotEmpty { .. } => Error::Invalid(error.to_string()),
        other => Error::Internal(other.to_string()),
    }
}
