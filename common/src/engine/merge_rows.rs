//! Rows of several analyses in one stream: the columns of all, a first one that says whose row it is, and one that says why a
//! shard has no result, in rows that are no analysis's.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch, StringArray, new_null_array};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::common::{Result, internal_datafusion_err, internal_err};
use datafusion::datasource::empty::EmptyTable;
use datafusion::prelude::SessionContext;

use super::merge_task::{analysis, rollup, without_rows};
use super::stage::{MergeFault, MergeStage, json_error};
use crate::analyses::{Analysis, Inputs, Scope, SideTable};
use crate::catalog::StateFile;
use crate::config::Config;
use crate::functions::BUCKETS;
use crate::observability::Origin;
use crate::rollups::Rollup;
use crate::time::Window;

const ANALYSIS_COLUMN: &str = "analysis";
const FAULT_COLUMN: &str = "merge_fault";
/// Columns of merged rows that are of no analysis: none may have such a column.
pub(crate) const RESERVED_COLUMNS: [&str; 2] = [ANALYSIS_COLUMN, FAULT_COLUMN];
/// The analysis of rows with a fault.
const NO_ANALYSIS: &str = "";

/// The columns of the analyses of a merge stage.
#[derive(Debug)]
pub struct MergeRows {
    columns_of: Vec<(String, SchemaRef)>,
    schema: SchemaRef,
}

/// The columns of one shard's result of an analysis, where the lake has all that it reads.
///
/// # Errors
/// Where its plan can't be built.
pub fn result_columns(analysis: &Analysis, config: &Config) -> Result<SchemaRef> {
    let rollups = analysis.rollups.iter().chain(analysis.optional_rollups);
    let inputs: BTreeMap<String, Vec<StateFile>> = rollups.map(|id| ((*id).to_owned(), vec![])).collect();
    // None of them is read.
    let no_file = || StateFile { path: String::new(), bytes: 0, tail_bytes: 0 };
    let side_tables = SideTable::all().iter().map(|table| (table.name.to_owned(), no_file())).collect();
    let stage = MergeStage {
        config: config.clone(),
        past: inputs.clone(),
        inputs,
        analyses: vec![analysis.id.to_owned()],
        state_url: String::new(),
        window: Window { from_us: 0, to_us: 0 },
        shards: vec![],
        side_tables,
        columns: BTreeMap::new(),
        investigated: None,
        origin: Origin::default(),
    };
    let mut columns = MergeRows::of(&stage)?.columns_of;
    columns.pop().map(|(_, schema)| schema).ok_or_else(|| internal_datafusion_err!("no analysis was given"))
}

/// The columns of a rollup's merged rows.
///
/// # Errors
/// Where its plan can't be built.
pub fn rollup_columns(rollup: &Rollup, config: &Config) -> Result<SchemaRef> {
    let merged = without_rows(rollup, config, &SessionContext::new(), Scope::Shard)?;
    Ok(Arc::clone(merged.schema().inner()))
}

impl MergeRows {
    /// The columns each analysis's own plan has, over state without rows.
    ///
    /// # Errors
    /// Where the stage names an analysis or rollup there is none of, or two analyses differ in a column's type.
    pub fn of(stage: &MergeStage) -> Result<Self> {
        let session = SessionContext::new();
        let empty =
            |id: &str, scope| without_rows(rollup(&stage.config, id)?, &stage.config, &session, scope);
        let open = |id: &str, scope| {
            let is_there = stage.states(scope).contains_key(id);
            is_there.then(|| empty(id, scope)).transpose()
        };
        let open_side = |table: &SideTable| {
            let is_given = stage.side_tables.contains_key(table.name);
            is_given.then(|| session.read_table(Arc::new(EmptyTable::new(table.schema())))).transpose()
        };
        let inputs = Inputs {
            config: &stage.config,
            columns: &stage.columns,
            open: &open,
            schema_of: &|id| Ok(Arc::clone(empty(id, Scope::Shard)?.schema().inner())),
            session: &session.state(),
            open_side: &open_side,
            window: stage.window,
            buckets: (0, BUCKETS),
            investigated: stage.investigated,
        };
        let mut columns_of = Vec::new();
        let mut all: Vec<FieldRef> = vec![
            Arc::new(Field::new(ANALYSIS_COLUMN, DataType::Utf8, false)),
            Arc::new(Field::new(FAULT_COLUMN, DataType::Utf8, true)),
        ];
        for id in &stage.analyses {
            let columns = Arc::clone(analysis(&stage.config, id)?.run(&inputs)?.schema().inner());
            for field in columns.fields() {
                match all.iter().find(|known| known.name() == field.name()) {
                    None => all.push(Arc::new(field.as_ref().clone().with_nullable(true))),
                    Some(known) if known.data_type() == field.data_type() => {}
                    Some(_) => {
                        return internal_err!(
                            "analyses that share state differ in the type of {}",
                            field.name()
                        );
                    }
                }
            }
            columns_of.push((id.clone(), columns));
        }
        Ok(Self { columns_of, schema: Arc::new(Schema::new(all)) })
    }

    /// The columns of all.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// Rows of `analysis` as rows of all.
    pub(super) fn widen(schema: &SchemaRef, analysis: &str, rows: &RecordBatch) -> Result<RecordBatch> {
        let count = rows.num_rows();
        let mut columns: Vec<ArrayRef> = vec![Arc::new(StringArray::from(vec![analysis; count]))];
        for field in schema.fields().iter().skip(1) {
            columns.push(match rows.column_by_name(field.name()) {
                Some(column) => Arc::clone(column),
                None => new_null_array(field.data_type(), count),
            });
        }
        Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
    }

    /// A row that says why there is no result.
    pub(super) fn of_fault(schema: &SchemaRef, fault: &MergeFault) -> Result<RecordBatch> {
        let texts = StringArray::from(vec![serde_json::to_string(fault).map_err(json_error)?]);
        let rows = RecordBatch::try_from_iter([(FAULT_COLUMN, Arc::new(texts) as ArrayRef)])?;
        Self::widen(schema, NO_ANALYSIS, &rows)
    }

    /// Why shards have no result: the rows then are not those of the whole.
    ///
    /// # Errors
    /// Where a batch is not of this stage.
    pub fn faults(&self, batches: &[RecordBatch]) -> Result<Vec<MergeFault>> {
        let mut faults = Vec::new();
        for batch in batches {
            let texts = batch.column_by_name(FAULT_COLUMN).and_then(|column| column.as_string_opt::<i32>());
            let texts = texts.ok_or_else(|| internal_datafusion_err!("a batch is not of a merge stage"))?;
            for text in texts.iter().flatten() {
                faults.push(serde_json::from_str(text).map_err(json_error)?);
            }
        }
        Ok(faults)
    }

    /// The rows of each analysis among `batches`, with its own columns. An engine may have joined or cut batches.
    ///
    /// # Errors
    /// Where a batch is not of this stage.
    pub fn split(&self, batches: &[RecordBatch]) -> Result<Vec<(String, SchemaRef, Vec<RecordBatch>)>> {
        let mut results = Vec::new();
        for (analysis, columns) in &self.columns_of {
            let names: Vec<&str> = columns.fields().iter().map(|field| field.name().as_str()).collect();
            let indices: Vec<usize> =
                names.iter().map(|name| self.schema.index_of(name)).collect::<Result<_, _>>()?;
            let schema = Arc::new(self.schema.project(&indices)?);
            let mut own = Vec::new();
            for batch in batches {
                let owners = batch.column(0).as_string_opt::<i32>().ok_or_else(|| {
                    internal_datafusion_err!(
                        "a batch is not of a merge stage: it says not whose its rows are"
                    )
                })?;
                let is_own: BooleanArray =
                    owners.iter().map(|owner| Some(owner == Some(analysis.as_str()))).collect();
                match is_own.true_count() {
                    0 => {}
                    count if count == batch.num_rows() => own.push(batch.project(&indices)?),
                    _ => own.push(filter_record_batch(&batch.project(&indices)?, &is_own)?),
                }
            }
            results.push((analysis.clone(), schema, own));
        }
        Ok(results)
    }
}
