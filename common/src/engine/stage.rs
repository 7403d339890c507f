//! Jobs as data: all a task needs to know, so that it can run on any machine; and what tasks send back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use chrono::NaiveDate;
use datafusion::error::{DataFusionError, Result};
use serde::{Deserialize, Serialize};

use super::manifest::Manifest;
use super::merge_rows::MergeRows;
use crate::analyses::Scope;
use crate::catalog::{LakeFile, StateFile, TableMapping};
use crate::config::Config;
use crate::entities::EntityKind;
use crate::error::InputFault;
use crate::observability::Origin;
use crate::selection::Selection;
use crate::time::Window;

/// Work for the engine.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Stage {
    /// Files to state.
    Rollup(RollupStage),
    /// State to results.
    Merge(MergeStage),
}

/// A table as a task finds it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TableRef {
    /// Its name.
    pub name: String,
    /// Its folder.
    pub url: String,
    /// How its columns are called.
    pub mapping: TableMapping,
}

/// Reads files once and commits the state of all rollups asked for. One task a unit.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RollupStage {
    /// Parameters.
    pub config: Config,
    /// The tables read.
    pub tables: Vec<TableRef>,
    /// Folder of the state.
    pub state_url: String,
    /// Whose work it is.
    pub origin: Origin,
    /// The tasks.
    pub units: Vec<RollupUnit>,
}

/// Files that are read together, and the rollups to compute of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollupUnit {
    /// Index of the table in its stage.
    pub table: usize,
    /// Date of the folder.
    pub date: NaiveDate,
    /// The files.
    pub files: Vec<LakeFile>,
    /// Rows outside it are not taken.
    pub window: Window,
    /// Whether the window cuts the folder's date, so that statistics may prune what it reads.
    pub is_clipped: bool,
    /// Ids of the rollups to compute.
    pub rollups: Vec<String>,
    /// The rows they are computed of; all where absent.
    pub selection: Option<Selection>,
}

/// Reads state, merges it and runs the analyses that share it. One task a shard.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MergeStage {
    /// Parameters.
    pub config: Config,
    /// Folder of the state.
    pub state_url: String,
    /// What results are of.
    pub window: Window,
    /// The tasks: ranges of buckets `[from, to)`.
    pub shards: Vec<(u8, u8)>,
    /// State files, by rollup. A rollup that is not here has no table in the lake.
    pub inputs: BTreeMap<String, Vec<StateFile>>,
    /// State files of what lies before the window, by the rollups that analyses look back at.
    pub past: BTreeMap<String, Vec<StateFile>>,
    /// Side tables, by name.
    pub side_tables: BTreeMap<String, StateFile>,
    /// Columns the lake has, by table.
    pub columns: BTreeMap<String, BTreeSet<String>>,
    /// Ids of the analyses to run.
    pub analyses: Vec<String>,
    /// What the one entity is whose rows the state is of; absent where it is of all.
    pub investigated: Option<EntityKind>,
    /// Whose work it is.
    pub origin: Origin,
}

impl MergeStage {
    /// The state files that are opened for `scope`, by rollup.
    pub(super) fn states(&self, scope: Scope) -> &BTreeMap<String, Vec<StateFile>> {
        if scope == Scope::Past { &self.past } else { &self.inputs }
    }
}

/// What became of a unit.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct UnitOutcome {
    /// Index of the unit in its stage.
    pub unit: usize,
    /// Manifests of the state committed, or why there is none.
    pub result: std::result::Result<Vec<Manifest>, UnitFault>,
}

/// Why a unit has no state, by what can be done about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum UnitFault {
    /// A file can't be read as what it should be: trying again changes nothing.
    Input(InputFault),
    /// The store failed, at this file where it was one: another time it may not.
    Storage {
        /// The file that was being read, where it is known.
        file: Option<String>,
        /// The store's own words.
        reason: String,
    },
    /// State could not be written, in the store's own words: no file is to blame.
    State(String),
    /// A rollup that a user brought can't be computed of these rows, and no file is to blame: the others can.
    Rollup {
        /// Its id.
        rollup: String,
        /// Its file, and what failed.
        reason: String,
    },
    /// What ran it failed or was lost, each time it was tried, for a reason that may lie in any of its files.
    Failed(String),
}

/// State that can't be used as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateFault {
    /// Path of the file below the state's folder.
    pub file: String,
    /// Why.
    pub reason: String,
}

/// Why a shard has no result, where trying again as it is changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MergeFault {
    /// This state can't be read or merged.
    State(Vec<StateFault>),
    /// Merging panics, and on no file alone.
    Panicked(String),
    /// The SQL of a detection that a user brought fails: its file and line, and why. Nothing else is to blame.
    Detection(String),
}

impl MergeFault {
    /// It, where it names anything.
    pub(super) fn if_any(self) -> Option<Self> {
        match &self {
            MergeFault::State(faults) if faults.is_empty() => None,
            _ => Some(self),
        }
    }
}

/// One task as a worker gets it, beside the stage without its tasks.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Task<W> {
    /// Index in its stage.
    pub(super) index: usize,
    /// A [`RollupUnit`], or the range of buckets of a shard.
    pub(super) work: W,
}

impl Stage {
    /// Schema of what the stage's tasks give: outcomes as text, or the rows of all analyses in one (see [`MergeRows`]).
    ///
    /// # Errors
    /// Where the stage names an analysis or rollup there is none of.
    pub fn schema(&self) -> Result<SchemaRef> {
        match self {
            Stage::Rollup(_) => Ok(Arc::new(Schema::new(vec![Field::new("outcome", DataType::Utf8, false)]))),
            Stage::Merge(stage) => Ok(MergeRows::of(stage)?.schema()),
        }
    }

    /// Whose work it is.
    pub(super) fn origin(&self) -> &Origin {
        match self {
            Stage::Rollup(stage) => &stage.origin,
            Stage::Merge(stage) => &stage.origin,
        }
    }

    /// Number of tasks.
    pub fn tasks(&self) -> usize {
        match self {
            Stage::Rollup(stage) => stage.units.len(),
            Stage::Merge(stage) => stage.shards.len(),
        }
    }

    /// The stage without its tasks, and each [`Task`] as JSON.
    pub(super) fn split(&self) -> Result<(Stage, Vec<String>)> {
        match self {
            Stage::Rollup(stage) => {
                Ok((Stage::Rollup(RollupStage { units: vec![], ..stage.clone() }), task_texts(&stage.units)?))
            }
            Stage::Merge(stage) => {
                Ok((Stage::Merge(MergeStage { shards: vec![], ..stage.clone() }), task_texts(&stage.shards)?))
            }
        }
    }
}

fn task_texts<W: Serialize>(works: &[W]) -> Result<Vec<String>> {
    let text = |(index, work)| serde_json::to_string(&Task { index, work }).map_err(json_error);
    works.iter().enumerate().map(text).collect()
}

pub(super) fn json_error(error: serde_json::Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

pub(super) fn encode_outcome(schema: &SchemaRef, outcome: &UnitOutcome) -> Result<RecordBatch> {
    let json = serde_json::to_string(outcome).map_err(json_error)?;
    Ok(RecordBatch::try_new(Arc::clone(schema), vec![Arc::new(StringArray::from(vec![json]))])?)
}

/// The unit outcomes in a batch of a rollup stage.
///
/// # Errors
/// Where the batch is not of a rollup stage.
pub fn decode_outcomes(batch: &RecordBatch) -> Result<Vec<UnitOutcome>> {
    let texts = batch
        .column(0)
        .as_string_opt::<i32>()
        .ok_or_else(|| DataFusionError::Internal("a batch is not of a rollup stage".into()))?;
    let outcomes = texts.iter().flatten().map(serde_json::from_str);
    outcomes.collect::<Result<_, _>>().map_err(json_error)
}
