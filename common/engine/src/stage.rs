//! Stages as data: all that a task needs to run on any machine, and what tasks send back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use chrono::NaiveDate;
use datafusion::common::internal_datafusion_err;
use datafusion::error::{DataFusionError, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::combine_stage::{CombineStage, LevelFile, PartOutcome, Shard};
use super::manifest::Manifest;
use super::merge_rows::MergeRows;
use super::stored_rows::StoredResult;
use hindcast_base::ErrorKind;
use hindcast_base::entities::{Entity, EntityKind};
use hindcast_base::error::InputFault;
use hindcast_base::storage_fault::StorageFault;
use hindcast_base::time::Window;
use hindcast_detections::analyses::Scope;
use hindcast_detections::config::Config;
use hindcast_lake::selection::Selection;
use hindcast_lake::{LakeFile, LakeTable, PhysicalNames, Snapshot, StateFile, TableMapping};
use hindcast_observability::Origin;

/// Work for the engine: tasks that are independent of each other.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Stage {
    /// Computes state from files.
    Rollup(#[serde(with = "super::shared")] Arc<RollupStage>),
    /// Computes results from state.
    Merge(#[serde(with = "super::shared")] Arc<MergeStage>),
    /// Combines the state of whole dates.
    Combine(#[serde(with = "super::shared")] Arc<CombineStage>),
    /// Finds the entities that rows of state name.
    Names(#[serde(with = "super::shared")] Arc<NamesStage>),
}

/// A table of a lake, as tasks open it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct TableRef {
    /// Its name.
    pub name: String,
    /// The URL of its folder.
    pub url: String,
    /// The names of its columns in the lake.
    pub mapping: TableMapping,
    /// The names of its columns in its files, if they differ from those that users see.
    #[serde(default, skip_serializing_if = "PhysicalNames::is_empty")]
    pub physical: PhysicalNames,
    /// The version that is read, if the table has a log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<Snapshot>,
}

impl TableRef {
    /// The table as tasks open it.
    pub fn of(table: &LakeTable) -> Self {
        Self {
            name: table.spec.name.to_owned(),
            url: table.location.url().to_owned(),
            mapping: table.mapping.clone(),
            physical: table.physical.as_ref().clone(),
            snapshot: table.snapshot().cloned(),
        }
    }
}

/// Reads files once and commits the state of all requested rollups. It has one task per unit.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RollupStage {
    /// Parameters.
    pub config: Config,
    /// The tables that are read.
    pub tables: Vec<TableRef>,
    /// URL of the state's folder.
    pub state_url: String,
    /// The job and the trace that it belongs to.
    pub origin: Origin,
    /// The tasks.
    pub units: Vec<RollupUnit>,
}

/// Files that are read together, and the rollups to compute from them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollupUnit {
    /// Index of the table in its stage.
    pub table: usize,
    /// Date of the folder.
    pub date: NaiveDate,
    /// The files.
    pub files: Vec<LakeFile>,
    /// The window; rows outside it are left out.
    pub window: Window,
    /// Whether the window covers only a part of the folder's date, so that statistics can prune row groups and pages.
    pub is_clipped: bool,
    /// Ids of the rollups to compute.
    #[serde(with = "super::shared")]
    pub rollups: Arc<Vec<String>>,
    /// The rows that they are computed from; all rows if absent.
    pub selection: Option<Box<Selection>>,
}

/// Reads state, merges it and runs the analyses that share it. It has one task per shard.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MergeStage {
    /// Parameters.
    pub config: Config,
    /// URL of the state's folder.
    pub state_url: String,
    /// The window of the results.
    pub window: Window,
    /// The tasks: ranges of buckets `[from, to)`.
    pub shards: Vec<(u16, u16)>,
    /// State files that every task reads, by rollup. A rollup that is missing here has no table in the lake.
    pub inputs: BTreeMap<String, Vec<StateFile>>,
    /// Combined state of the window, by rollup: each task gets the parts with its buckets.
    pub levels: BTreeMap<String, Vec<LevelFile>>,
    /// Where the rows of its tasks are stored, if they are.
    pub stored: Option<StoredResult>,
    /// State files of the time before the window, by the rollups for which analyses look back.
    pub past: BTreeMap<String, Vec<StateFile>>,
    /// Side tables, by name.
    pub side_tables: BTreeMap<String, StateFile>,
    /// Columns of the lake, by table.
    pub columns: BTreeMap<String, BTreeSet<String>>,
    /// Ids of the analyses to run.
    pub analyses: Vec<String>,
    /// Kind of the entity, if the state is of one entity's rows only.
    pub investigated: Option<EntityKind>,
    /// The job and the trace that it belongs to.
    pub origin: Origin,
}

/// Reads state and finds which of some entities its rows name together. It has one task for each of its `reads`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NamesStage {
    /// Parameters.
    pub config: Config,
    /// URL of the state's folder.
    pub state_url: String,
    /// The entities.
    pub wanted: Vec<Entity>,
    /// The tasks.
    pub reads: Vec<StateRead>,
    /// The job and the trace that it belongs to.
    pub origin: Origin,
}

/// State files of one rollup that a task reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateRead {
    /// The rollup.
    pub rollup: String,
    /// Its files.
    pub files: Vec<StateFile>,
}

/// The entities that the rows of state files name, by the files' paths: a set of indices into the wanted entities for each
/// combination. A row that names none of them has no set.
pub type NamesByFile = BTreeMap<String, BTreeSet<BTreeSet<u32>>>;

impl MergeStage {
    /// The task of a range of buckets.
    fn shard(&self, buckets: (u16, u16)) -> Shard {
        let overlaps = |part: &&LevelFile| part.buckets.0 < buckets.1 && buckets.0 < part.buckets.1;
        let of_rollup = |(rollup, parts): (&String, &Vec<LevelFile>)| {
            (rollup.clone(), parts.iter().filter(overlaps).cloned().collect())
        };
        Shard { buckets, parts: self.levels.iter().map(of_rollup).collect() }
    }

    /// The state files for `scope`, by rollup.
    pub(super) fn states(&self, scope: Scope) -> &BTreeMap<String, Vec<StateFile>> {
        if scope == Scope::Past { &self.past } else { &self.inputs }
    }
}

/// The outcome of a unit.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct UnitOutcome {
    /// Index of the unit in its stage.
    pub unit: usize,
    /// Manifests of the committed state, or the reason why there is none.
    pub result: std::result::Result<Vec<Manifest>, UnitFault>,
}

/// The reason why a unit has no state. Variants differ by what the scan does about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum UnitFault {
    /// A file can't be read as Parquet of its table: a retry fails in the same way.
    Input(InputFault),
    /// The store failed, while reading a file if its object is one of the unit's: a retry may succeed.
    Storage(StorageFault),
    /// State could not be written. No file is at fault.
    State(StorageFault),
    /// A user's rollup can't be computed from these rows, and no file is at fault. The other rollups can be computed.
    Rollup {
        /// Its id.
        rollup: String,
        /// Its file, and the error.
        reason: String,
    },
    /// The task failed, or its worker was lost, at each attempt. Any of its files may be the cause.
    Failed(String),
}

/// A state file that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateFault {
    /// Path of the file below the state's folder.
    pub file: String,
    /// The reason.
    pub reason: String,
}

/// The reason why a shard has no result. Only after a fault of the store may a retry succeed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MergeFault {
    /// These state files can't be read or merged.
    State(Vec<StateFault>),
    /// Merging panics, but not on any file alone.
    Panicked(String),
    /// The SQL of a user's detection fails, with its file, line and error. Nothing else is at fault.
    Detection(String),
    /// The store failed, but each state file alone can be read.
    Storage(StorageFault),
    /// Another error, for which the worker is not at fault.
    Failed {
        /// What a caller can do about it.
        kind: ErrorKind,
        /// Its text.
        message: String,
    },
}

impl MergeFault {
    /// The fault, unless it names no file.
    pub(super) fn if_any(self) -> Option<Self> {
        match &self {
            MergeFault::State(faults) if faults.is_empty() => None,
            _ => Some(self),
        }
    }
}

/// One task as a worker gets it, next to the stage without its tasks.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Task<W> {
    /// Index in its stage.
    pub(super) index: usize,
    /// A [`RollupUnit`], a [`Shard`], a [`CombinedPart`] or a [`StateRead`].
    pub(super) work: W,
}

impl Stage {
    /// Schema of the tasks' results: outcomes as text, or the rows of all analyses in one schema (see [`MergeRows`]).
    ///
    /// # Errors
    /// If the stage names an unknown analysis or rollup.
    pub fn schema(&self) -> Result<SchemaRef> {
        match self {
            Stage::Rollup(_) | Stage::Combine(_) | Stage::Names(_) => {
                Ok(Arc::new(Schema::new(vec![Field::new("outcome", DataType::Utf8, false)])))
            }
            Stage::Merge(stage) => Ok(MergeRows::of(stage)?.schema()),
        }
    }

    /// The number of its tasks.
    pub(super) fn tasks(&self) -> usize {
        match self {
            Stage::Rollup(stage) => stage.units.len(),
            Stage::Merge(stage) => stage.shards.len(),
            Stage::Combine(stage) => stage.parts.len(),
            Stage::Names(stage) => stage.reads.len(),
        }
    }

    /// The stage without its tasks.
    pub(super) fn header(&self) -> Stage {
        match self {
            Stage::Rollup(stage) => RollupStage { units: vec![], ..stage.as_ref().clone() }.into(),
            Stage::Merge(stage) => {
                MergeStage { shards: vec![], levels: BTreeMap::new(), ..stage.as_ref().clone() }.into()
            }
            Stage::Combine(stage) => CombineStage { parts: vec![], ..stage.as_ref().clone() }.into(),
            Stage::Names(stage) => NamesStage { reads: vec![], ..stage.as_ref().clone() }.into(),
        }
    }

    /// A [`Task`] as JSON.
    pub(super) fn task_text(&self, index: usize) -> Result<String> {
        match self {
            Stage::Rollup(stage) => task_text(index, stage.units.get(index)),
            Stage::Merge(stage) => task_text(index, stage.shards.get(index).map(|own| stage.shard(*own))),
            Stage::Combine(stage) => task_text(index, stage.parts.get(index)),
            Stage::Names(stage) => task_text(index, stage.reads.get(index)),
        }
    }
}

impl From<RollupStage> for Stage {
    fn from(stage: RollupStage) -> Self {
        Stage::Rollup(Arc::new(stage))
    }
}

impl From<MergeStage> for Stage {
    fn from(stage: MergeStage) -> Self {
        Stage::Merge(Arc::new(stage))
    }
}

impl From<CombineStage> for Stage {
    fn from(stage: CombineStage) -> Self {
        Stage::Combine(Arc::new(stage))
    }
}

impl From<NamesStage> for Stage {
    fn from(stage: NamesStage) -> Self {
        Stage::Names(Arc::new(stage))
    }
}

fn task_text<W: Serialize>(index: usize, work: Option<W>) -> Result<String> {
    let work = work.ok_or_else(|| internal_datafusion_err!("no task {index}"))?;
    serde_json::to_string(&Task { index, work }).map_err(json_error)
}

pub(super) fn json_error(error: serde_json::Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

pub(super) fn encode_outcome(schema: &SchemaRef, outcome: &impl Serialize) -> Result<RecordBatch> {
    let json = serde_json::to_string(outcome).map_err(json_error)?;
    Ok(RecordBatch::try_new(Arc::clone(schema), vec![Arc::new(StringArray::from(vec![json]))])?)
}

/// Decodes the unit outcomes in a batch of a rollup stage.
///
/// # Errors
/// If the batch does not belong to a rollup stage.
pub fn decode_outcomes(batch: &RecordBatch) -> Result<Vec<UnitOutcome>> {
    decode(batch)
}

/// Decodes the outcomes in a batch of a combine stage.
///
/// # Errors
/// If the batch does not belong to a combine stage.
pub fn decode_parts(batch: &RecordBatch) -> Result<Vec<PartOutcome>> {
    decode(batch)
}

/// Decodes a batch of a names stage: for each task the names in its files, or the files that can't be read.
///
/// # Errors
/// If the batch does not belong to a names stage.
pub fn decode_names(batch: &RecordBatch) -> Result<Vec<std::result::Result<NamesByFile, Vec<StateFault>>>> {
    decode(batch)
}

fn decode<T: DeserializeOwned>(batch: &RecordBatch) -> Result<Vec<T>> {
    let texts = batch
        .column(0)
        .as_string_opt::<i32>()
        .ok_or_else(|| DataFusionError::Internal("a batch does not belong to a stage of outcomes".into()))?;
    let outcomes = texts.iter().flatten().map(serde_json::from_str);
    outcomes.collect::<Result<_, _>>().map_err(json_error)
}
