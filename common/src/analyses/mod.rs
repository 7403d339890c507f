//! Analyses: from merged rollups to one result table each, and the findings a table raises. What each computes is data, loaded
//! by [`crate::detections`]; a few are written in Rust, in [`native`].

mod cli_storage_uploads;
mod columns;
pub mod correlation;
mod inputs;
mod investigation;
mod native;
mod side_tables;

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::{SortColumn, SortOptions, concat_batches, lexsort_to_indices, take};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::{DFSchema, Result, ScalarValue, plan_err};
use datafusion::logical_expr::{EmptyRelation, LogicalPlan, SortExpr, ident};
use datafusion::prelude::DataFrame;
use serde::{Deserialize, Serialize};

pub use columns::{
    ANALYSIS_COLUMN, Available, FAULT_COLUMN, RESERVED_COLUMNS, analysis, open_states, result_columns,
    rollup, rollup_columns, state_schema, without_rows,
};
pub use inputs::{Context, Inputs, Scope};
pub(crate) use native::NATIVE;
pub use side_tables::{LOCATIONS, OWN_ADDRESSES, SideTable, WANTED_ENTITIES};

use crate::config::Config;
use crate::detections::About;
use crate::detections::bindings::{Bindings, Bound};
use crate::detections::sql::{self, SqlText};
use crate::findings::FindingRule;

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
    /// What an investigation of one entity shows beside the suites.
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

/// One analysis, as a detection's folder defines it. Definitions live as long as the process: each content is loaded once.
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
    /// Whether it says how rare something is among the rows of all: of one entity's alone it means nothing.
    pub is_of_all_rows: bool,
    /// What it reads of the time before the window; nothing where absent.
    pub look_back: Option<LookBack>,
    /// One shard's result, in no order. Every group of rows that belong together lies in one shard.
    pub query: Query,
    /// What is still to be done with the whole result, where no shard alone knows enough.
    pub finish: Option<SqlText>,
    /// Columns that order the result, descending where `true`; ties are ordered by all columns. Those of a result with
    /// a limit leave no ties.
    pub order: &'static [(&'static str, bool)],
    /// Name of the parameter that says how many rows of the ordered result are kept; all where absent.
    pub limit: Option<&'static str>,
    /// A further table computed from the whole result.
    pub companion: Option<Companion>,
    /// How rows become findings.
    pub finding: Option<FindingRule>,
    /// Parameters, columns, guide and chart.
    pub about: About,
}

/// How an analysis computes one shard's result.
#[derive(Debug, Clone, Copy)]
pub enum Query {
    /// By SQL over the rollups.
    Sql(SqlText),
    /// By a plan built in Rust.
    Native(fn(&Inputs<'_>) -> Result<DataFrame>),
}

/// What an analysis reads of the time before the window, where the lake has it.
#[derive(Debug)]
pub struct LookBack {
    /// Which of its rollups it reads of that time.
    pub rollups: &'static [&'static str],
    /// Where that time begins, in microseconds: SQL over the parameters and `$window_from`; null where they ask for nothing of it.
    pub start: SqlText,
}

/// A table computed from the whole result of an analysis.
#[derive(Debug)]
pub struct Companion {
    /// Its name.
    pub name: &'static str,
    /// The table, of the result.
    pub query: SqlText,
}

/// Whether an analysis needs to know where addresses are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Locations {
    /// It does not ask.
    #[default]
    Unused,
    /// It does without where no location database is given.
    Optional,
    /// It can't run without a location database.
    Required,
}

/// What the name of a rollup's table ends in where its rows are those of all shards.
const OF_ALL_SHARDS: &str = "_all";
/// What it ends in where they are of the time before the window.
const OF_THE_PAST: &str = "_past";

impl Analysis {
    /// One shard's result.
    ///
    /// # Errors
    /// Where the plan can't be built, naming the file and line of the SQL.
    pub fn run(&self, inputs: &Inputs<'_>) -> Result<DataFrame> {
        let sql = match &self.query {
            Query::Native(run) => return run(inputs),
            Query::Sql(sql) => sql,
        };
        let bindings = self.bindings(inputs.config)?.with_run(&inputs.window, inputs.investigated);
        sql::query(sql, inputs.session, &|name| self.table(inputs, name), &bindings)
    }

    /// What is told where its SQL fails on rows: file, line and reason. Errors of the planner name file and line themselves.
    pub fn failure(&self, part: Option<&SqlText>, error: &str) -> String {
        let folder = self.about.file.trim_end_matches("detection.toml");
        if let Some(start) = error.find(folder) {
            return error[start..].to_owned();
        }
        match (part, &self.query) {
            (Some(sql), _) | (None, Query::Sql(sql)) => {
                format!("{}, line {}: {error}", sql.file, sql.first_line())
            }
            (None, Query::Native(_)) => format!("{}: {error}", self.about.file),
        }
    }

    /// The values of the names that its SQL may use, but for those of a run.
    ///
    /// # Errors
    /// Where it uses a parameter there is none of.
    pub fn bindings(&self, config: &Config) -> Result<Bindings> {
        Ok(Bindings::of(config, self.id, self.about.uses)?)
    }

    /// A table that its SQL names.
    fn table(&self, inputs: &Inputs<'_>, name: &str) -> Result<Option<DataFrame>> {
        if name == LOCATIONS.name {
            let empty = || empty_frame(inputs, &LOCATIONS.schema());
            return inputs.side(&LOCATIONS)?.map_or_else(empty, Ok).map(Some);
        }
        let is_read = |id: &str| self.rollups.iter().chain(self.optional_rollups).any(|rollup| *rollup == id);
        let scopes = [("", Scope::Shard), (OF_ALL_SHARDS, Scope::Whole), (OF_THE_PAST, Scope::Past)];
        let meant = scopes.into_iter().find_map(|(end, scope)| {
            let id = name.strip_suffix(end)?;
            is_read(id).then_some((id, scope))
        });
        let Some((id, scope)) = meant else { return Ok(None) };
        match (inputs.open)(id, scope)? {
            Some(frame) => Ok(Some(frame)),
            None => empty_frame(inputs, &(inputs.schema_of)(id)?).map(Some),
        }
    }

    /// The whole result, from the rows of all shards; only where [`Analysis::finish`] is there.
    ///
    /// # Errors
    /// Where the plan can't be built.
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

    /// Where what it reads of the time before the window begins, in microseconds; none where it reads nothing of it.
    ///
    /// # Errors
    /// Where the expression is no whole number.
    pub fn looks_back_to(&self, config: &Config, from_us: i64) -> Result<Option<i64>> {
        let Some(look_back) = &self.look_back else { return Ok(None) };
        let mut bindings = self.bindings(config)?;
        bindings.insert(crate::detections::bindings::WINDOW_FROM, Bound::Integer(from_us));
        match sql::constant(&look_back.start, &bindings)? {
            ScalarValue::Int64(start) => Ok(start),
            ScalarValue::Null => Ok(None),
            other => {
                let SqlText { file, line, .. } = look_back.start;
                plan_err!("{file}, line {line}: the look-back starts at {other}, which is no whole number")
            }
        }
    }

    /// Rows kept of the ordered result; all where absent.
    pub fn limit(&self, config: &Config) -> Option<usize> {
        let path = format!("{}.{}", self.id, self.limit?);
        usize::try_from(config.integer(&path)).ok()
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
        // What is finished later is cut then: until all is known, none of a shard's rows may be left out.
        let Some(limit) = self.limit(config).filter(|_| self.finish.is_none()) else {
            return Ok(result);
        };
        // The columns named order a cut result wholly: a group's key is among them.
        let order: Vec<SortExpr> =
            self.order.iter().map(|(column, descending)| ident(*column).sort(!descending, false)).collect();
        result.sort(order)?.limit(0, Some(limit))
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
        let first = lexsort_to_indices(&order, self.limit(config))?;
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

impl Companion {
    /// The table, of an analysis's whole result.
    ///
    /// # Errors
    /// Where the plan can't be built.
    pub fn compute(&self, result: DataFrame, bindings: &Bindings) -> Result<DataFrame> {
        let (session, plan) = result.into_parts();
        let result = DataFrame::new(session.clone(), plan);
        let open = |name: &str| Ok((name == "result").then(|| result.clone()));
        sql::query(&self.query, &session, &open, bindings)
    }
}

/// A table of `schema` without rows, which the optimiser takes away together with what is joined to it.
fn empty_frame(inputs: &Inputs<'_>, schema: &SchemaRef) -> Result<DataFrame> {
    let schema = Arc::new(DFSchema::try_from(Arc::clone(schema))?);
    let plan = LogicalPlan::EmptyRelation(EmptyRelation { produce_one_row: false, schema });
    Ok(DataFrame::new(inputs.session.clone(), plan))
}

/// The columns of [`Context::prevalence`].
pub fn prevalence_schema() -> SchemaRef {
    let field = |name: &str, data_type| Field::new(name, data_type, true);
    Arc::new(Schema::new(vec![
        field("kind", DataType::Utf8View),
        field("name", DataType::Utf8View),
        field("distinct_sources", DataType::Int64),
        field("total_sources", DataType::Int64),
    ]))
}
