//! Analyses: relational steps from merged rollups to one result table each, and the findings a table raises.

mod attack_timeline;
mod beacon_pairs;
mod beacon_scores;
mod beaconing;
mod cli_storage_uploads;
mod compression_staging;
pub mod correlation;
mod data_exfiltration;
mod dns_tunneling;
mod egress_spikes;
mod event_timeline;
mod inputs;
pub mod investigation;
mod ip_locations;
mod ip_variability;
mod multi_location_users;
mod operation_matrix;
mod operation_matrix_by_ip;
mod operation_summary;
mod operation_timeline;
mod port_usage;
mod rare_combinations;
mod side_tables;
mod storage_audit;
mod threat_breakdown;
mod top_accounts;
mod top_talkers;
mod traffic_overview;

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::{SortColumn, SortOptions, concat_batches, lexsort_to_indices, take};
use arrow::datatypes::{DataType, Schema, SchemaRef, TimeUnit};
use datafusion::common::Result;
use datafusion::logical_expr::{Expr, SortExpr, cast, ident, lit};
use datafusion::prelude::DataFrame;
use serde::{Deserialize, Serialize};

pub use inputs::{Context, Inputs, Scope};
pub use side_tables::{LOCATIONS, OWN_ADDRESSES, SideTable, WANTED_ENTITIES};

use crate::config::Config;
use crate::findings::FindingRule;
use crate::functions::round_half_up;
use crate::time::MICROS_PER_HOUR;

/// Every analysis, in the order of reports. A new one is a file beside this one and a line here.
pub static ANALYSES: &[&Analysis] = &[
    &compression_staging::ANALYSIS,
    &cli_storage_uploads::ANALYSIS,
    &egress_spikes::ANALYSIS,
    &storage_audit::ANALYSIS,
    &traffic_overview::ANALYSIS,
    &event_timeline::ANALYSIS,
    &top_talkers::ANALYSIS,
    &port_usage::ANALYSIS,
    &beaconing::ANALYSIS,
    &beacon_scores::ANALYSIS,
    &dns_tunneling::ANALYSIS,
    &data_exfiltration::ANALYSIS,
    &threat_breakdown::ANALYSIS,
    &attack_timeline::ANALYSIS,
    &operation_summary::ANALYSIS,
    &ip_variability::ANALYSIS,
    &multi_location_users::ANALYSIS,
    &operation_matrix::ANALYSIS,
    &operation_matrix_by_ip::ANALYSIS,
    &ip_locations::ANALYSIS,
    &operation_timeline::ANALYSIS,
    &top_accounts::ANALYSIS,
    &rare_combinations::ANALYSIS,
];

/// Columns whose names start with this serve findings and are not written to result tables.
pub const HIDDEN_PREFIX: char = '_';

/// The analyses of one notebook, or those that tie the suites together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Suite {
    /// Data staging and exfiltration early warning.
    Exfiltration,
    /// Palo Alto firewall investigation.
    Firewall,
    /// Office 365 explorer.
    Office365,
    /// What correlation across the suites asks of the rollups once it knows what to ask for: see [`correlation`].
    Correlation,
    /// What an investigation of one entity shows beside the suites: see [`investigation`].
    Investigation,
}

impl Suite {
    /// The suites that can be asked for, in the order of reports.
    pub const ALL: [Suite; 3] = [Suite::Exfiltration, Suite::Firewall, Suite::Office365];

    /// The suite's name in arguments and output.
    pub fn name(self) -> &'static str {
        match self {
            Suite::Exfiltration => "exfiltration",
            Suite::Firewall => "firewall",
            Suite::Office365 => "office365",
            Suite::Correlation => "correlation",
            Suite::Investigation => "investigation",
        }
    }
}

/// Columns of a table without which an analysis can't run.
#[derive(Debug)]
pub struct Requirement {
    /// The table, or the tables of which one will do, preferred first.
    pub tables: &'static [&'static str],
    /// The columns it needs there.
    pub columns: &'static [&'static str],
}

/// One analysis.
#[derive(Debug)]
pub struct Analysis {
    /// Name of the analysis and of its result table.
    pub id: &'static str,
    /// Raised whenever the meaning of its table or findings changes, so that two runs can be told apart by it.
    pub version: u32,
    /// Its suite.
    pub suite: Suite,
    /// What it shows, for people.
    pub title: &'static str,
    /// Rollups it reads.
    pub rollups: &'static [&'static str],
    /// Rollups it reads where the lake has them, and does without elsewhere.
    pub optional_rollups: &'static [&'static str],
    /// What the lake must have.
    pub requires: &'static [Requirement],
    /// Whether it needs to know where addresses are.
    pub locations: Locations,
    /// What it reads of the time before the window; nothing where absent.
    pub look_back: Option<LookBack>,
    /// One shard's result, in no order. Every group of rows that belong together lies in one shard.
    pub run: fn(&Inputs<'_>) -> Result<DataFrame>,
    /// What is still to be done with the whole result, where no shard alone knows enough.
    pub finish: Option<fn(DataFrame, &Context<'_>) -> Result<DataFrame>>,
    /// Columns that order the result, descending where `true`; ties are ordered by all columns. Those of a result with
    /// a limit leave no ties.
    pub order: &'static [(&'static str, bool)],
    /// Rows kept of the ordered result; all where absent.
    pub limit: Option<fn(&Config) -> usize>,
    /// A further table computed from the whole result.
    pub companion: Option<Companion>,
    /// How rows become findings.
    pub finding: Option<FindingRule>,
}

/// What an analysis reads of the time before the window, where the lake has it.
#[derive(Debug)]
pub struct LookBack {
    /// Which of its rollups it reads of that time.
    pub rollups: &'static [&'static str],
    /// Where that time begins for a window that begins at an instant, both in microseconds; `None` where the parameters ask for
    /// nothing of it.
    pub start: fn(&Config, i64) -> Option<i64>,
}

/// A table computed from the whole result of an analysis.
#[derive(Debug)]
pub struct Companion {
    /// Its name.
    pub name: &'static str,
    /// The table, of the result.
    pub compute: fn(DataFrame) -> Result<DataFrame>,
}

/// Whether an analysis needs to know where addresses are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Locations {
    /// It does not ask.
    Unused,
    /// It does without where no location database is given.
    Optional,
    /// It can't run without a location database.
    Required,
}

impl Analysis {
    /// The analysis of that id, those of correlation and of investigations included.
    pub fn by_id(id: &str) -> Option<&'static Analysis> {
        let others = [correlation::QUESTIONS, investigation::INVESTIGATION, investigation::QUESTIONS];
        ANALYSES.iter().chain(others.into_iter().flatten()).copied().find(|analysis| analysis.id == id)
    }

    /// Whether people ask for its table by its suite; others answer questions of a scan or of an investigation.
    pub fn is_reported(&self) -> bool {
        Suite::ALL.contains(&self.suite)
    }

    /// The first rows of one shard's result, of which the whole result's first rows are among; all without a limit.
    ///
    /// # Errors
    /// Where the plan can't be built.
    pub fn cut(&self, result: DataFrame, config: &Config) -> Result<DataFrame> {
        let Some(limit) = self.limit else {
            return Ok(result);
        };
        // The columns named order a cut result wholly: a group's key is among them.
        let order: Vec<SortExpr> =
            self.order.iter().map(|(column, descending)| ident(*column).sort(!descending, false)).collect();
        result.sort(order)?.limit(0, Some(limit(config)))
    }

    /// All shards' results in their total order, cut to the limit, as one batch. They are held twice meanwhile.
    ///
    /// # Errors
    /// Where the batches are not of `schema`.
    pub fn ordered(
        &self,
        schema: &SchemaRef,
        batches: Vec<RecordBatch>,
        config: &Config,
    ) -> Result<RecordBatch> {
        let all = concat_batches(schema, &batches)?;
        drop(batches);
        let order: Vec<SortColumn> = self
            .total_order(schema)
            .into_iter()
            .filter_map(|(column, descending)| {
                let options = SortOptions { descending, nulls_first: false };
                Some(SortColumn { values: Arc::clone(all.column_by_name(&column)?), options: Some(options) })
            })
            .collect();
        let first = lexsort_to_indices(&order, self.limit.map(|limit| limit(config)))?;
        drop(order);
        let (_, columns, _) = all.into_parts();
        let ordered = columns.into_iter().map(|column| take(&column, &first, None));
        Ok(RecordBatch::try_new(Arc::clone(schema), ordered.collect::<Result<_, _>>()?)?)
    }

    /// The column that orders a result first, descending where `true`; none of a result without columns.
    pub fn leading_column(&self, schema: &Schema) -> Option<(String, bool)> {
        self.total_order(schema).into_iter().next()
    }

    /// Columns that order a result, descending where `true`: the analysis's own, then all others.
    fn total_order(&self, schema: &Schema) -> Vec<(String, bool)> {
        let own = self.order.iter().map(|(column, descending)| ((*column).to_owned(), *descending));
        let is_other = |name: &&String| !self.order.iter().any(|(column, _)| column == name);
        let others = schema.fields().iter().map(|field| field.name()).filter(is_other);
        own.chain(others.map(|name| (name.clone(), false))).collect()
    }
}

const BYTES_PER_MEGABYTE: f64 = 1_048_576.0;

/// Bytes as megabytes (1,048,576 bytes), rounded to two decimals.
fn megabytes(bytes: Expr) -> Expr {
    round_half_up(cast(bytes, DataType::Float64) / lit(BYTES_PER_MEGABYTE), 2)
}

/// The start of an hour from whole hours since the epoch.
fn time_of_hour(hour_index: Expr) -> Expr {
    time_of_micros(hour_index * lit(MICROS_PER_HOUR))
}

/// A UTC time from microseconds since the epoch.
fn time_of_micros(micros: Expr) -> Expr {
    cast(micros, DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollups::Rollup;

    #[test]
    fn analyses_name_rollups_that_exist_and_read_tables_they_require() {
        for analysis in ANALYSES {
            for id in analysis.rollups.iter().chain(analysis.optional_rollups) {
                let rollup = Rollup::by_id(id).unwrap_or_else(|| panic!("{}: no rollup {id}", analysis.id));
                let required =
                    analysis.requires.iter().any(|requirement| requirement.tables == rollup.tables);
                assert_eq!(required, analysis.rollups.contains(id), "{}: {id}", analysis.id);
            }
            for id in analysis.look_back.iter().flat_map(|look_back| look_back.rollups) {
                assert!(analysis.rollups.contains(id), "{}: {id}", analysis.id);
            }
        }
    }
}
