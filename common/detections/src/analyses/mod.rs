//! Analyses: each computes one result table from merged rollups, and findings from that table. Most are defined by data, which
//! [`crate::Detections`] loads; a few are written in Rust, in `native.rs`.

mod cli_storage_uploads;
mod columns;
pub mod correlation;
mod inputs;
mod investigation;
mod native;
mod side_tables;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::{SortColumn, SortOptions, concat_batches, lexsort_to_indices, take};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{EmptyRelation, LogicalPlan, SortExpr, ident};
use datafusion::prelude::DataFrame;
use serde::{Deserialize, Serialize};

pub use columns::{
    ANALYSIS_COLUMN, Available, FAULT_COLUMN, analysis, merged_columns, open_states, rollup, state_schema,
};
pub(crate) use columns::{RESERVED_COLUMNS, result_columns};
pub use inputs::{Context, Inputs, Scope};
pub(crate) use native::NATIVE;
pub use side_tables::{LOCATIONS, OWN_ADDRESSES, SideTable, WANTED_ENTITIES};

use crate::About;
use crate::bindings::{Bindings, Bound};
use crate::config::Config;
use crate::findings::FindingRule;
use crate::sql::{self, SqlText};
use hindcast_base::Error;
use hindcast_base::error::cause;
use hindcast_base::file_fault::FileFault;

/// Columns whose names start with this are only for findings and are not written to result tables.
pub const HIDDEN_PREFIX: char = '_';

/// The analyses of one notebook, or those over several suites.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Suite {
    /// Data staging and exfiltration early warning.
    Exfiltration,
    /// Palo Alto firewall investigation.
    Firewall,
    /// Office 365 explorer.
    Office365,
    /// Queries of the correlation across the suites, about entities of candidate rows: see [`correlation`].
    Correlation,
    /// What an investigation of one entity shows in addition to the suites.
    Investigation,
}

impl Suite {
    /// The suites that can be requested, in the order of reports.
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
    /// The alternative tables, preferred first: one of them is enough.
    pub tables: &'static [&'static str],
    /// The columns it needs there; `a or b` if one of them is enough.
    pub columns: &'static [&'static str],
}

/// The columns of a requirement of which one is enough: both of `a or b`.
///
/// ```
/// use hindcast_detections::analyses::one_of;
///
/// assert_eq!(one_of("ClientIP or Client_IPAddress").collect::<Vec<_>>(), ["ClientIP", "Client_IPAddress"]);
/// ```
pub fn one_of(columns: &str) -> impl Iterator<Item = &str> {
    columns.split(" or ")
}

/// One analysis, as defined by a detection's folder. Definitions live as long as the process: each content is loaded once.
#[derive(Debug)]
pub struct Analysis {
    /// Name of the analysis and of its result table.
    pub id: &'static str,
    /// Raise it whenever the meaning of its table or findings changes: it distinguishes the results of two runs.
    pub version: u32,
    /// Its suite.
    pub suite: Suite,
    /// Title for people.
    pub title: &'static str,
    /// Rollups it reads.
    pub rollups: &'static [&'static str],
    /// Rollups it reads if the lake has them.
    pub optional_rollups: &'static [&'static str],
    /// Tables and columns that the lake must have.
    pub requires: &'static [Requirement],
    /// Whether it needs the locations of addresses.
    pub locations: Locations,
    /// Whether its result is relative to the rows of all entities, and so meaningless for the rows of one.
    pub is_of_all_rows: bool,
    /// What it reads of the time before the window, if anything.
    pub look_back: Option<LookBack>,
    /// Computes the unordered result of one shard. Rows that belong together lie in one shard.
    pub query: Query,
    /// The last step over the complete result, if a single shard lacks information for it.
    pub finish: Option<SqlText>,
    /// Columns that order the result, descending if `true`; ties are ordered by all columns. Those of a result with
    /// a limit leave no ties.
    pub order: &'static [(&'static str, bool)],
    /// Name of the parameter with the number of rows of the ordered result to keep; all rows if absent.
    pub limit: Option<&'static str>,
    /// Text columns of its rows, which are also columns of all its rollups: each row of one shard depends on the state with the same values
    /// alone. Then the rows of keys whose state is that of an earlier scan need not be computed again. Empty if it is not so.
    pub per_key: &'static [&'static str],
    /// A further table computed from the complete result.
    pub companion: Option<Companion>,
    /// How rows become findings.
    pub finding: Option<FindingRule>,
    /// Parameters, columns, guide and chart.
    pub about: About,
}

/// How an analysis computes the result of one shard.
#[derive(Debug, Clone, Copy)]
pub enum Query {
    /// By SQL over the rollups.
    Sql(SqlText),
    /// By a plan built in Rust.
    Native(fn(&Inputs<'_>) -> Result<DataFrame>),
}

/// What an analysis reads of the time before the window, as far as the lake has it.
#[derive(Debug)]
pub struct LookBack {
    /// The rollups whose state of that time it reads.
    pub rollups: &'static [&'static str],
    /// Start of that time in microseconds: SQL over the parameters and `$window_from`; null if the parameters need nothing of it.
    pub start: SqlText,
}

/// A table computed from the complete result of an analysis.
#[derive(Debug)]
pub struct Companion {
    /// Its name.
    pub name: &'static str,
    /// Computes the table from the result.
    pub query: SqlText,
}

/// Whether an analysis needs the locations of addresses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Locations {
    /// It does not use them.
    #[default]
    Unused,
    /// It works without a location database.
    Optional,
    /// It can't run without a location database.
    Required,
}

/// Suffix of a rollup's table with the rows of all shards.
const OF_ALL_SHARDS: &str = "_all";
/// Suffix of a rollup's table with rows of the time before the window.
const OF_THE_PAST: &str = "_past";

impl Analysis {
    /// The result of one shard.
    ///
    /// # Errors
    /// If the plan can't be built, naming the file and line of the SQL.
    pub fn run(&self, inputs: &Inputs<'_>) -> Result<DataFrame> {
        let sql = match &self.query {
            Query::Native(run) => return run(inputs),
            Query::Sql(sql) => sql,
        };
        let bindings = self.bindings(inputs.config)?.with_run(&inputs.window, inputs.investigated);
        sql::query(sql, inputs.session, &|name| self.table(inputs, name), &bindings)
    }

    /// The error if its SQL fails on rows, in the file of that part, or of its query. An error of the planner names file and line
    /// itself.
    pub fn failure(&self, part: Option<&SqlText>, error: &DataFusionError) -> Error {
        if let Some(fault) = FileFault::of(error) {
            return Error::File(fault.clone());
        }
        match (part, &self.query) {
            (Some(sql), _) | (None, Query::Sql(sql)) => {
                Error::in_file(sql.file, sql.first_line(), cause(error))
            }
            (None, Query::Native(_)) => Error::of_file(self.about.file, cause(error)),
        }
    }

    /// The values of the names that its SQL may use, except those of a run.
    ///
    /// # Errors
    /// If it uses an unknown parameter.
    pub fn bindings(&self, config: &Config) -> Result<Bindings> {
        Ok(Bindings::of(config, self.id, self.about.uses)?)
    }

    /// A table in its SQL.
    fn table(&self, inputs: &Inputs<'_>, name: &str) -> Result<Option<DataFrame>> {
        if name == LOCATIONS.name {
            let empty = || empty_frame(inputs, &LOCATIONS.schema());
            return inputs.side(&LOCATIONS)?.map_or_else(empty, Ok).map(Some);
        }
        let is_read = |id: &str| self.rollups.iter().chain(self.optional_rollups).any(|rollup| *rollup == id);
        let scopes = [("", Scope::Shard), (OF_ALL_SHARDS, Scope::Whole), (OF_THE_PAST, Scope::Past)];
        let requested = scopes.into_iter().find_map(|(end, scope)| {
            let id = name.strip_suffix(end)?;
            is_read(id).then_some((id, scope))
        });
        let Some((id, scope)) = requested else { return Ok(None) };
        match (inputs.open)(id, scope)? {
            Some(frame) => Ok(Some(frame)),
            None => empty_frame(inputs, &(inputs.schema_of)(id)?).map(Some),
        }
    }

    /// Whether it may open all keys of a rollup, and not only those of its shard.
    pub fn may_read_whole(&self, rollup: &str) -> bool {
        match &self.query {
            Query::Native(_) => self.optional_rollups.contains(&rollup),
            Query::Sql(sql) => sql.text.to_lowercase().contains(&format!("{rollup}{OF_ALL_SHARDS}")),
        }
    }

    /// The complete result, from the rows of all shards, if there is an [`Analysis::finish`] step.
    ///
    /// # Errors
    /// If the plan can't be built.
    pub fn finished(&self, candidates: DataFrame, context: &Context<'_>) -> Result<DataFrame> {
        let Some(sql) = &self.finish else { return Ok(candidates) };
        let (session, plan) = candidates.into_parts();
        let candidates = DataFrame::new(session.clone(), plan);
        let open = |name: &str| {
            Ok(match name {
                "candidates" => Some(candidates.clone()),
                "prevalence" => Some(context.prevalence.clone()),
                _ => None,
            })
        };
        sql::query(sql, &session, &open, &self.bindings(context.config)?)
    }

    /// Start of its look-back in microseconds; `None` without a look-back.
    ///
    /// # Errors
    /// If the expression is not a whole number.
    pub fn looks_back_to(&self, config: &Config, from_us: i64) -> Result<Option<i64>> {
        let Some(look_back) = &self.look_back else { return Ok(None) };
        let mut bindings = self.bindings(config)?;
        bindings.insert(crate::bindings::WINDOW_FROM, Bound::Integer(from_us));
        match sql::constant(&look_back.start, &bindings)? {
            ScalarValue::Int64(start) => Ok(start),
            ScalarValue::Null => Ok(None),
            other => {
                let SqlText { file, line, .. } = look_back.start;
                let message = format!("the look-back starts at {other}, which is not a whole number");
                Err(Error::in_file(file, line, message).into())
            }
        }
    }

    /// Number of rows of the ordered result to keep; all rows if absent.
    pub fn limit(&self, config: &Config) -> Option<usize> {
        let path = format!("{}.{}", self.id, self.limit?);
        usize::try_from(config.integer(&path)).ok()
    }

    /// Whether its table is a result of its suite; others are internal queries of a scan or an investigation.
    pub fn is_reported(&self) -> bool {
        Suite::ALL.contains(&self.suite)
    }

    /// The first rows of one shard's result, which include all its rows of the limited complete result; all rows without a limit.
    ///
    /// # Errors
    /// If the plan can't be built.
    pub fn cut(&self, result: DataFrame, config: &Config) -> Result<DataFrame> {
        match self.shard_limit(config) {
            Some(limit) => self.first(result, limit),
            None => Ok(result),
        }
    }

    /// Number of rows of one shard's ordered result to keep; all rows if absent.
    pub fn shard_limit(&self, config: &Config) -> Option<usize> {
        // A result with a last step is cut after it: until then, all rows of a shard are needed.
        self.limit(config).filter(|_| self.finish.is_none())
    }

    /// The first rows of one shard's result.
    ///
    /// # Errors
    /// If the plan can't be built.
    pub fn first(&self, result: DataFrame, count: usize) -> Result<DataFrame> {
        // These columns order a limited result totally: they include the key of a group.
        let order: Vec<SortExpr> =
            self.order.iter().map(|(column, descending)| ident(*column).sort(!descending, false)).collect();
        result.sort(order)?.limit(0, Some(count))
    }

    /// The results of all shards in their total order, cut to the limit, as one batch. Memory holds them twice meanwhile.
    ///
    /// # Errors
    /// If the batches do not have `schema`.
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
        let first = lexsort_to_indices(&order, self.limit(config))?;
        drop(order);
        let (_, columns, _) = all.into_parts();
        let ordered = columns.into_iter().map(|column| take(&column, &first, None));
        Ok(RecordBatch::try_new(Arc::clone(schema), ordered.collect::<Result<_, _>>()?)?)
    }

    /// The first column of a result's order, descending if `true`; `None` for a result without columns.
    pub fn leading_column(&self, schema: &Schema) -> Option<(String, bool)> {
        self.total_order(schema).into_iter().next()
    }

    /// The columns of a result's order, descending if `true`: those of the analysis, then all others.
    fn total_order(&self, schema: &Schema) -> Vec<(String, bool)> {
        let own = self.order.iter().map(|(column, descending)| ((*column).to_owned(), *descending));
        let is_other = |name: &&String| !self.order.iter().any(|(column, _)| column == name);
        let others = schema.fields().iter().map(|field| field.name()).filter(is_other);
        own.chain(others.map(|name| (name.clone(), false))).collect()
    }
}

impl Companion {
    /// The table from the complete result of an analysis.
    ///
    /// # Errors
    /// If the plan can't be built.
    pub fn compute(&self, result: DataFrame, bindings: &Bindings) -> Result<DataFrame> {
        let (session, plan) = result.into_parts();
        let result = DataFrame::new(session.clone(), plan);
        let open = |name: &str| Ok((name == "result").then(|| result.clone()));
        sql::query(&self.query, &session, &open, bindings)
    }
}

/// A table of `schema` without rows: the optimiser removes it together with its joins.
fn empty_frame(inputs: &Inputs<'_>, schema: &SchemaRef) -> Result<DataFrame> {
    let schema = Arc::new(DFSchema::try_from(Arc::clone(schema))?);
    let plan = LogicalPlan::EmptyRelation(EmptyRelation { produce_one_row: false, schema });
    Ok(DataFrame::new(inputs.session.clone(), plan))
}

/// The columns of [`Context::prevalence`].
pub(crate) fn prevalence_schema() -> SchemaRef {
    let field = |name: &str, data_type| Field::new(name, data_type, true);
    Arc::new(Schema::new(vec![
        field("kind", DataType::Utf8View),
        field("name", DataType::Utf8View),
        field("distinct_sources", DataType::Int64),
        field("total_sources", DataType::Int64),
    ]))
}
