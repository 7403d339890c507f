//! Rollups: small mergeable states of a table, from which every analysis is computed.
//!
//! A rollup is either groups with measures (counts, sums, extremes, sets) or the rows that match a pattern, as a
//! multiset. Both unite exactly in any split and order, so files, dates, shards and attempts leave no trace.

mod activity;
mod attack_events;
mod blob_writes;
mod cli_processes;
mod device_accounts;
mod device_addresses;
mod device_hours;
mod dns_pairs;
mod event_bins;
mod external_pairs;
mod firewall_identities;
mod grouping;
mod internal_pairs;
mod network_flows;
mod office_accounts;
mod office_hours;
mod office_identities;
mod office_operations;
mod office_rows;
mod populations;
mod port_sessions;
mod staged_files;
mod staging_processes;
mod storage_audit_rows;
mod storage_connections;
mod threat_counts;

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::Result;
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::logical_expr::{Expr, cast, ident, lit};
use datafusion::prelude::DataFrame;
use serde_json::{Value, json};

pub use self::populations::{POPULATIONS, Population};

use self::grouping::{Grouped, group};
use crate::config::Config;
use crate::functions::{address_or_text, bucket_of, floor_div, is_one_of, only_where};
use crate::time::{MICROS_PER_DAY, MICROS_PER_HOUR, MICROS_PER_SECOND};

/// Every rollup. A new one is a file beside this one and a line here.
pub static ROLLUPS: &[&Rollup] = &[
    &activity::AUDITS,
    &activity::BLOBS,
    &activity::CONNECTIONS,
    &activity::FILES,
    &activity::FLOWS,
    &activity::OFFICE,
    &activity::PROCESSES,
    &activity::SESSIONS,
    &attack_events::ROLLUP,
    &blob_writes::ROLLUP,
    &cli_processes::ROLLUP,
    &device_accounts::ROLLUP,
    &device_addresses::ROLLUP,
    &device_hours::ROLLUP,
    &dns_pairs::ROLLUP,
    &event_bins::ROLLUP,
    &external_pairs::ROLLUP,
    &firewall_identities::ROLLUP,
    &internal_pairs::ROLLUP,
    &network_flows::ROLLUP,
    &office_accounts::ROLLUP,
    &office_hours::ROLLUP,
    &office_identities::ROLLUP,
    &office_operations::ROLLUP,
    &office_rows::ROLLUP,
    &port_sessions::ROLLUP,
    &staged_files::ROLLUP,
    &staging_processes::ROLLUP,
    &storage_audit_rows::ROLLUP,
    &storage_connections::ROLLUP,
    &threat_counts::ROLLUP,
];

/// Column that holds a state row's shard bucket.
pub const BUCKET_COLUMN: &str = "bucket";

/// One rollup: what it keeps of a table, and how.
#[derive(Debug)]
pub struct Rollup {
    /// Name; also the folder of its state.
    pub id: &'static str,
    /// Raised whenever the meaning of stored state changes.
    pub version: u32,
    /// Tables it reads: the first of these that the lake has.
    pub tables: &'static [&'static str],
    /// Columns it reads.
    pub columns: &'static [&'static str],
    /// Output columns whose values decide the bucket: as many as the analyses allow, which need rows that belong together
    /// in one bucket, so that a busy source or device is spread over several tasks.
    pub bucket_key: &'static [&'static str],
    /// The parameters its state depends on: a change of these, and only of these, recomputes it.
    pub parameters: fn(&Config) -> Value,
    /// The rows it takes, with the columns `shape` names.
    pub prepare: fn(DataFrame, &Config) -> Result<DataFrame>,
    /// What becomes of those rows.
    pub shape: Shape,
}

/// What a rollup's state is.
#[derive(Debug)]
pub enum Shape {
    /// One row a distinct key, with measures over its rows.
    Groups {
        /// Columns of the key; null is a value of its own.
        keys: &'static [&'static str],
        /// Columns beside it.
        measures: &'static [Measure],
    },
    /// The prepared rows themselves, duplicates kept.
    Rows,
}

/// One column of a grouped state.
#[derive(Debug, Clone, Copy)]
pub struct Measure {
    /// Name in the state.
    pub name: &'static str,
    /// Which united values it holds.
    pub kind: MeasureKind,
}

/// Operations that unite exactly: each is associative and commutative on its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MeasureKind {
    /// Rows.
    Count,
    /// Rows whose column of that name is not null.
    CountOf(&'static str),
    /// Sum of a whole-number column; null where all are null.
    Sum(&'static str),
    /// Smallest value of a column.
    Min(&'static str),
    /// Largest value of a column.
    Max(&'static str),
    /// Sorted distinct whole seconds of times.
    Seconds {
        /// The column of those seconds.
        of: &'static str,
        /// All measures that are extremes of those times.
        ends: &'static [&'static str],
    },
}

const fn measure(name: &'static str, kind: MeasureKind) -> Measure {
    Measure { name, kind }
}

impl Rollup {
    /// The rollup of that id.
    pub fn by_id(id: &str) -> Option<&'static Rollup> {
        ROLLUPS.iter().copied().find(|rollup| rollup.id == id)
    }

    /// State of the rows of `table`, with the bucket of each state row last.
    ///
    /// # Errors
    /// Where the plan can't be built from the frame's columns.
    pub fn build(&self, table: DataFrame, config: &Config) -> Result<DataFrame> {
        let prepared = (self.prepare)(table, config)?;
        let bucket = bucket_of(self.bucket_key.iter().map(|column| ident(*column)).collect());
        match &self.shape {
            Shape::Rows => with_plain_texts(prepared.with_column(BUCKET_COLUMN, bucket)?),
            Shape::Groups { keys, measures } => {
                group(prepared, keys, measures, Grouped::Rows)?.with_column(BUCKET_COLUMN, bucket)
            }
        }
    }

    /// The united state of several, as read back from storage.
    ///
    /// # Errors
    /// Where the frame is not state of this rollup.
    pub fn merge(&self, states: DataFrame) -> Result<DataFrame> {
        match &self.shape {
            Shape::Rows => states.drop_columns(&[BUCKET_COLUMN]),
            Shape::Groups { keys, measures } => group(states, keys, measures, Grouped::States),
        }
    }
}

/// Rows with dictionaries as texts, as state is stored.
fn with_plain_texts(rows: DataFrame) -> Result<DataFrame> {
    let columns: Vec<Expr> = rows
        .schema()
        .fields()
        .iter()
        .map(|field| match field.data_type() {
            DataType::Dictionary(_, _) => cast(ident(field.name()), DataType::Utf8View).alias(field.name()),
            _ => ident(field.name()),
        })
        .collect();
    rows.select(columns)
}

/// Microseconds since the epoch of a time column.
fn micros(column: &str) -> Expr {
    cast(ident(column), DataType::Int64)
}

/// Whole seconds since the epoch of a time.
pub(crate) fn second_of_time(time: Expr) -> Expr {
    floor_div(cast(time, DataType::Int64), MICROS_PER_SECOND)
}

/// Whole UTC days since the epoch of a time column.
fn day_of(column: &str) -> Expr {
    floor_div(micros(column), MICROS_PER_DAY)
}

/// Whole hours since the epoch of a time column.
fn hour_of(column: &str) -> Expr {
    floor_div(micros(column), MICROS_PER_HOUR)
}

/// The address of an OfficeActivity row: Client_IPAddress where it has one, else ClientIP; without a port.
fn office_address() -> Expr {
    coalesce(vec![address_or_text(ident("Client_IPAddress")), address_or_text(ident("ClientIP"))])
}

/// The user agent of an OfficeActivity row; exports write none as empty text or as null, which is the same.
fn named_agent() -> Expr {
    only_where(ident("UserAgent"), ident("UserAgent").not_eq(lit("")))
}

/// OfficeActivity rows of the kinds of users that the suite looks at.
fn of_office_users(config: &Config) -> Expr {
    let types = &config.office365.user_types;
    if types.is_empty() {
        return lit(true);
    }
    is_one_of(ident("UserType"), types)
}

/// For rollups that depend on the kinds of users alone.
fn office_users_only(config: &Config) -> Value {
    json!({ "user_types": config.office365.user_types })
}

/// A time column cut down to a multiple of `step_us`, as a time.
fn floor_time(column: &str, step_us: i64) -> Expr {
    time_of(floor_div(micros(column), step_us) * lit(step_us))
}

/// A UTC time from microseconds since the epoch.
fn time_of(micros: Expr) -> Expr {
    cast(micros, DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())))
}

/// Rows of the firewall suite's vendor.
fn of_vendor(config: &Config) -> Expr {
    is_one_of(ident("DeviceVendor"), &[&config.firewall.vendor])
}

/// Firewall rows of these event classes.
fn of_class(classes: &[&str]) -> Expr {
    is_one_of(ident("DeviceEventClassID"), classes)
}

/// For rollups that depend on the vendor alone.
fn vendor_only(config: &Config) -> Value {
    json!({ "vendor": config.firewall.vendor })
}

fn no_parameters(_: &Config) -> Value {
    Value::Null
}
