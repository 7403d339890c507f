//! The engine: runs stages, in this process or on a cluster.
//!
//! A [`RollupStage`] reads files and commits state; a [`MergeStage`] reads state and returns result rows; a [`NamesStage`] finds
//! names in state; a [`CombineStage`] combines state. Their tasks are independent, so an engine may run them in any order, more than once, and on any machine: [`StageTasks`] are the partitions of a
//! DataFusion plan.

mod by_bucket;
mod by_name;
mod codec;
mod combine_stage;
mod combine_task;
mod known_state;
mod level;
mod level_plan;
mod listed_units;
mod local;
mod manifest;
mod memory;
mod merge_rows;
mod merge_stored;
mod merge_task;
mod names_task;
mod own_detections;
mod plan;
mod rollup_task;
mod row_pass;
mod same_rows;
mod shards;
mod shared;
mod spans;
mod stage;
mod state;
mod state_inventory;
mod state_key;
#[cfg(test)]
mod state_mutations;
mod state_table;
mod stored_rows;
mod stream_table;
mod tasks;
mod unit_files;
mod unit_reader;
mod value_counts;
mod weights;
mod write_state;

use async_trait::async_trait;
use datafusion::physical_plan::SendableRecordBatchStream;

pub use by_name::ByName;
pub use codec::StageCodec;
pub use combine_stage::{CombineStage, CombinedFiles, CombinedPart, LevelFile, PartOutcome};
pub use known_state::{Fingerprint, KnownState, StateFolders};
pub use level::{LEVELS, Level, LevelPart, level_key};
pub use level_plan::{Combiner, FAN_IN, LevelPlan, build_levels, remove_levels};
pub use listed_units::units_of_date;
pub use local::{Local, LocalOptions, TASKS_PER_THREAD, runtime};
pub use manifest::{Manifest, StateData, UnitStats, sealed, unsealed};
pub use merge_rows::MergeRows;
pub use own_detections::collect;
pub use plan::stage_in;
pub use same_rows::SameRows;
pub use shards::shards;
pub use spans::{DateState, SPANS, Span, spans_of};
pub use stage::{
    MergeFault, MergeStage, NamesByFile, NamesStage, RollupStage, RollupUnit, Stage, StateFault, StateRead,
    TableRef, UnitFault, UnitOutcome, decode_names, decode_outcomes, decode_parts,
};
pub use state::{Committed, Lookup, StateStore};
pub use state_inventory::{StateInventory, StatePart};
pub use state_key::{hash_of, state_version, unit_key};
pub use state_table::merged_state;
pub use stored_rows::{EarlierResult, StoredResult};
pub use tasks::StageTasks;
pub use unit_files::{UNIT_BYTES, UnitFiles, groups};
pub use weights::{PART_BUCKETS, PARTS, StoredWeights, Weights};
pub use write_state::EncodedState;

use hindcast_base::Result;

/// Runs stages.
#[async_trait]
pub trait Engine: Send + Sync {
    /// Starts the stage. Rows arrive as tasks end, in any order; dropping the stream cancels the remaining tasks.
    ///
    /// # Errors
    /// If the stage can't be split into tasks or started. Errors of tasks come through the stream.
    async fn run(&self, stage: Stage) -> Result<SendableRecordBatchStream>;
}
