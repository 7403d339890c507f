//! Combined state in stages: parts of levels that merges read, and the stage that makes them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::level::LevelPart;
use hindcast_detections::config::Config;
use hindcast_lake::StateFile;
use hindcast_observability::Origin;

/// A part of combined state: a state file with the rows of some buckets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LevelFile {
    /// Its buckets `[from, to)`.
    pub buckets: (u16, u16),
    /// The file.
    pub file: StateFile,
}

/// One task of a merge: a range of buckets, and the parts of combined state with such buckets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Shard {
    /// Its buckets `[from, to)`.
    pub(super) buckets: (u16, u16),
    /// The parts, by rollup.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) parts: BTreeMap<String, Vec<LevelFile>>,
}

/// Combines state files into levels. It has one task per part of a level.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CombineStage {
    /// Parameters.
    pub config: Config,
    /// URL of the state's folder.
    pub state_url: String,
    /// The levels.
    pub levels: Vec<CombinedFiles>,
    /// The tasks.
    pub parts: Vec<CombinedPart>,
    /// The job and the trace that it belongs to.
    pub origin: Origin,
}

/// The state files of a level.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CombinedFiles {
    /// The key of the level.
    pub key: String,
    /// The rollup.
    pub rollup: String,
    /// The files, each with its buckets.
    pub files: Vec<LevelFile>,
}

/// Files of a level that a task makes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CombinedPart {
    /// Index of the level in its stage.
    pub level: usize,
    /// Its buckets `[from, to)`.
    pub buckets: (u16, u16),
    /// The number of files that it is divided into, by equal ranges of buckets. If there are several, the task reads each source whole, once.
    pub pieces: u16,
}

/// The outcome of a part of a level.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PartOutcome {
    /// Index of the level in its stage.
    pub level: usize,
    /// The files, or the reason why there are none.
    pub result: std::result::Result<Vec<LevelPart>, String>,
}
