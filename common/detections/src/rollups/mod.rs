//! Rollups: small mergeable states of a table, from which all analyses are computed.
//!
//! A rollup is either groups with measures (counts, sums, extremes, sets) or the rows that match a pattern, as a
//! multiset. Both merge exactly in any split and order, so files, dates, shards and attempts do not affect
//! the result. The definition of a rollup is data: `rollups/<id>.toml`, read by [`definition`].

mod check;
pub mod definition;
mod grouping;
mod populations;
mod row_expressions;
mod row_wise;
mod shape;

use std::collections::BTreeSet;
use std::sync::OnceLock;

use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::Result;
use datafusion::logical_expr::{Expr, cast, ident};
use datafusion::prelude::DataFrame;
use serde_json::Value;

pub use self::populations::{POPULATIONS, Population, Share};
pub use self::row_expressions::{Aggregation, RowExpressions};

use self::grouping::{Grouped, group};
use crate::bindings::Bindings;
use crate::config::Config;
use crate::sql::{SqlText, expression};
use hindcast_functions::bucket_of;

/// Column that holds a state row's shard bucket.
pub const BUCKET_COLUMN: &str = "bucket";

/// One rollup: what it stores of a table, and how.
#[derive(Debug)]
pub struct Rollup {
    /// Name; also the folder of its state.
    pub id: &'static str,
    /// Its TOML file, for errors.
    pub file: &'static str,
    /// Raise it whenever the meaning of stored state changes.
    pub version: u32,
    /// Tables it can read, preferred first: it reads the first one in the lake.
    pub tables: &'static [&'static str],
    /// Columns it reads with any parameters: those in its expressions, and the table's time column.
    pub columns: &'static [&'static str],
    /// Output columns whose values determine the bucket. Analyses need related rows in one bucket; as many columns as they allow
    /// spread a busy source or device over several tasks.
    pub bucket_key: &'static [&'static str],
    /// The parameters that its state depends on: the name in its expressions, and the path. Only a change of these recomputes the state.
    pub uses: &'static [(&'static str, &'static str)],
    /// The filter on the rows of the table; all rows if absent.
    pub filter: Option<SqlText>,
    /// What it computes from each of those rows, with the names that `shape` refers to.
    pub select: &'static [SqlText],
    /// How it aggregates those rows.
    pub shape: Shape,
    /// The populations whose rows it takes.
    pub populations: &'static [(&'static Population, Share)],
    /// Hash of everything that determines its state, for any layout of the file. Version and populations are not part of it.
    pub hash: &'static str,
    /// The columns of its state, once known: they depend on no parameter.
    pub state_schema: OnceLock<SchemaRef>,
}

/// The shape of a rollup's state.
#[derive(Debug)]
pub enum Shape {
    /// One row per distinct key, with measures over its rows.
    Groups {
        /// Columns of the key; null is a distinct value.
        keys: &'static [&'static str],
        /// The measures, one column each.
        measures: &'static [Measure],
    },
    /// The prepared rows themselves, with duplicates.
    Rows,
}

/// One column of a grouped state.
#[derive(Debug, Clone, Copy)]
pub struct Measure {
    /// Name in the state.
    pub name: &'static str,
    /// The operation whose result it holds.
    pub kind: MeasureKind,
    /// Its line in the file.
    pub line: usize,
}

/// Operations that merge exactly: each is associative and commutative on its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MeasureKind {
    /// Rows.
    Count,
    /// Rows in which the column is not null.
    CountOf(&'static str),
    /// Sum of a whole-number column; null if all values are null.
    Sum(&'static str),
    /// Smallest value of a column.
    Min(&'static str),
    /// Largest value of a column.
    Max(&'static str),
    /// Sorted distinct whole seconds of times.
    Seconds {
        /// The column of those seconds.
        of: &'static str,
        /// All measures that are the minimum or maximum of those times.
        ends: &'static [&'static str],
    },
    /// Set of the distinct texts of a column, as hashes of limited number.
    Distinct(&'static str),
    /// A few texts of a column.
    Samples(&'static str),
}

impl Rollup {
    /// State of the rows of `table`, with the bucket of each state row last.
    ///
    /// # Errors
    /// If the plan can't be built from the frame's columns.
    pub fn build(&self, table: DataFrame, config: &Config) -> Result<DataFrame> {
        let prepared = self.prepared(table, config)?;
        let bucket = bucket_of(self.bucket_key.iter().map(|column| ident(*column)).collect());
        match &self.shape {
            Shape::Rows => with_plain_texts(prepared.with_column(BUCKET_COLUMN, bucket)?),
            Shape::Groups { keys, measures } => {
                group(prepared, keys, measures, Grouped::Rows)?.with_column(BUCKET_COLUMN, bucket)
            }
        }
    }

    /// The merged state of several stored states.
    ///
    /// # Errors
    /// If the frame is not state of this rollup.
    pub fn merge(&self, states: DataFrame) -> Result<DataFrame> {
        match &self.shape {
            Shape::Rows => states.drop_columns(&[BUCKET_COLUMN]),
            Shape::Groups { keys, measures } => group(states, keys, measures, Grouped::States),
        }
    }

    /// Several stored states as one stored state, with the bucket of each state row last. Merging it gives what merging them gives.
    ///
    /// # Errors
    /// If the frame is not state of this rollup.
    pub fn combine(&self, states: DataFrame) -> Result<DataFrame> {
        match &self.shape {
            Shape::Rows => Ok(states),
            Shape::Groups { keys, measures } => {
                let bucket = bucket_of(self.bucket_key.iter().map(|column| ident(*column)).collect());
                group(states, keys, measures, Grouped::Combined)?.with_column(BUCKET_COLUMN, bucket)
            }
        }
    }

    /// The values of the parameters that its state depends on.
    pub fn parameters(&self, config: &Config) -> Value {
        let value = |path: &str| config.parameter(path).unwrap_or_default();
        self.uses.iter().map(|(name, path)| (*name, value(path))).collect()
    }

    /// The columns that it reads with these parameters, in the order of its first table: [`Rollup::columns`], and those of
    /// parameters that are expressions.
    pub fn columns_read(&self, config: &Config) -> Vec<&'static str> {
        let more: BTreeSet<&str> =
            self.uses.iter().flat_map(|(_, path)| config.firewall.columns_of(path)).collect();
        let spec = self.tables.iter().find_map(|name| config.detections.tables().by_name(name));
        match spec.filter(|_| more.iter().any(|name| !self.columns.contains(name))) {
            None => self.columns.to_vec(),
            Some(spec) => {
                let is_read = |name: &&str| self.columns.contains(name) || more.contains(*name);
                spec.columns.iter().map(|column| column.name).filter(is_read).collect()
            }
        }
    }

    /// How much of a population it takes; `None` if it takes no row of it.
    pub fn share_of(&self, population: &Population) -> Option<Share> {
        let own = self.populations.iter().find(|(own, _)| own.name == population.name);
        own.map(|(_, share)| *share)
    }

    /// The rows it takes, with the columns in `shape`.
    fn prepared(&self, table: DataFrame, config: &Config) -> Result<DataFrame> {
        // This name is not a section of the configuration: only `uses` is bound.
        let bindings = Bindings::of(config, &format!("the rollup {}", self.id), self.uses)?;
        let taken = match &self.filter {
            Some(filter) => {
                let condition = expression(filter, table.schema(), &bindings)?;
                table.filter(condition)?
            }
            None => table,
        };
        let columns: Vec<Expr> = self
            .select
            .iter()
            .map(|column| expression(column, taken.schema(), &bindings))
            .collect::<Result<_>>()?;
        taken.select(columns)
    }
}

/// Rows with dictionaries converted to texts, as in stored state.
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
