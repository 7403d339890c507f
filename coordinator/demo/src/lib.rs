//! The demo lake: generated logs of a fictional company with planted attacks and look-alikes, and the ground truth
//! about them.
//!
//! Equal options give equal bytes. Ordinary rows are generated day by day and not held in memory; planted rows are.

mod audit;
mod columns;
mod commands;
mod conversations;
mod files;
mod firewall;
mod flows;
mod geoip;
mod network;
mod office;
mod people;
mod periodic;
mod places;
mod plants;
mod process;
mod rng;
mod storage;
mod tables;
#[cfg(test)]
mod tests;
mod truth;
mod world;
mod write;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use arrow::error::ArrowError;
use chrono::{DateTime, Days, NaiveDate};
use parquet::errors::ParquetError;

/// Options of a demo lake.
#[derive(Clone, Debug)]
pub struct DemoOptions {
    /// Folder of the lake. It is created if it does not exist, and must be empty otherwise.
    pub out: PathBuf,
    /// Number of days from `start` on.
    pub days: u32,
    /// Ordinary rows per day in all tables together, without planted rows.
    pub rows_per_day: u64,
    /// Seed of all random choices.
    pub seed: u64,
    /// The first day.
    pub start: NaiveDate,
}

/// What was generated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DemoSummary {
    /// Rows of all tables, including planted ones.
    pub rows: u64,
    /// Parquet files.
    pub files: u64,
    /// Bytes of the Parquet files.
    pub bytes: u64,
    /// Planted attacks, as listed in `truth.json`.
    pub planted: u64,
}

/// Why no lake was generated.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// A file or folder could not be read or written.
    #[error("cannot write {}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Rows could not be built.
    #[error("cannot build the rows of {}: {source}", path.display())]
    Arrow {
        /// The file they were for.
        path: PathBuf,
        /// Arrow's error.
        source: ArrowError,
    },
    /// Rows could not be encoded.
    #[error("cannot encode {}: {source}", path.display())]
    Parquet {
        /// The file they were for.
        path: PathBuf,
        /// The Parquet writer's error.
        source: ParquetError,
    },
    /// The location database could not be built.
    #[error("cannot make {}: {source}", path.display())]
    Location {
        /// The file it is written to.
        path: PathBuf,
        /// Its writer's error.
        source: mmdb_writer::Error,
    },
    /// The folder is not empty.
    #[error("{} exists and is not empty", path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// The days exceed the range of dates.
    #[error("{days} days from {start} are beyond the calendar")]
    BeyondCalendar {
        /// The first day.
        start: NaiveDate,
        /// Requested days.
        days: u32,
    },
}

impl DemoError {
    fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }

    fn parquet(path: &Path, source: ParquetError) -> Self {
        Self::Parquet { path: path.to_owned(), source }
    }
}

/// Microseconds of a day.
const DAY_US: i64 = 86_400_000_000;

/// Writes the lake, its location database, and `truth.json`, which is last and so marks a finished lake.
///
/// `on_day` is called after each finished day with its date and rows.
pub fn generate(
    options: &DemoOptions,
    on_day: &mut dyn FnMut(NaiveDate, u64),
) -> Result<DemoSummary, DemoError> {
    // One day more than is written, because the end of the last day needs a date too.
    let dates: Option<Vec<NaiveDate>> =
        (0..=u64::from(options.days)).map(|day| options.start.checked_add_days(Days::new(day))).collect();
    let dates = dates.ok_or(DemoError::BeyondCalendar { start: options.start, days: options.days })?;
    prepare_folder(&options.out)?;
    let makers = tables::Makers::new(options);
    let mut summary = DemoSummary { planted: makers.plan.attacks.len() as u64, ..DemoSummary::default() };
    for (day, date) in dates.iter().take(options.days as usize).enumerate() {
        let written = makers.write_day(&options.out, day, *date)?;
        summary.rows += written.rows;
        summary.files += written.files;
        summary.bytes += written.bytes;
        on_day(*date, written.rows);
    }
    geoip::write(options)?;
    truth::write(options, &makers.plan)?;
    Ok(summary)
}

fn prepare_folder(out: &Path) -> Result<(), DemoError> {
    fs::create_dir_all(out).map_err(|source| DemoError::io(out, source))?;
    let mut entries = fs::read_dir(out).map_err(|source| DemoError::io(out, source))?;
    match entries.next() {
        Some(_) => Err(DemoError::NotEmpty { path: out.to_owned() }),
        None => Ok(()),
    }
}

/// Midnight (UTC) at the start of a date, in microseconds since 1970.
fn midnight_us(date: NaiveDate) -> i64 {
    let since_1970 = date.signed_duration_since(DateTime::UNIX_EPOCH.date_naive());
    since_1970.num_days() * DAY_US
}
