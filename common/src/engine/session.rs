//! The session in which a task plans its own queries: one partition, the engine's memory and stores.

use std::sync::Arc;

use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::MemoryLimit;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::prelude::{SessionConfig, SessionContext};

use crate::Result;
use crate::catalog::Location;

/// Bytes a sort sets aside for merging its spilled runs; a task holds several sorts in a small budget.
const SORT_RESERVATION_BYTES: usize = 1 << 20;

/// Rows of a batch: enough that the cost of handing one on does not show beside that of its rows.
const BATCH_ROWS: usize = 64 << 10;
/// Rows of a batch where memory is short: a sort must hold a few.
const SMALL_BATCH_ROWS: usize = 8 << 10;
/// Memory below which it is short.
const SHORT_MEMORY_BYTES: usize = 256 << 20;

/// A session of one partition on `runtime`.
pub fn task_session(runtime: Arc<RuntimeEnv>) -> SessionContext {
    let mut config = SessionConfig::new()
        .with_target_partitions(1)
        .with_batch_size(batch_rows(&runtime))
        .with_sort_spill_reservation_bytes(SORT_RESERVATION_BYTES)
        .with_collect_statistics(false);
    config.options_mut().execution.parquet.pushdown_filters = false;
    // Moving field accesses below a costly function computes it once more for each, and fails over tables in memory.
    config.options_mut().optimizer.enable_leaf_expression_pushdown = false;
    SessionContext::new_with_config_rt(config, runtime)
}

/// Rows of a batch that suit the runtime's memory. No result depends on it.
pub(super) fn batch_rows(runtime: &RuntimeEnv) -> usize {
    match runtime.memory_pool.memory_limit() {
        MemoryLimit::Finite(bytes) if bytes < SHORT_MEMORY_BYTES => SMALL_BATCH_ROWS,
        _ => BATCH_ROWS,
    }
}

/// The place `url` names, reached by the client the engine already has for its store.
pub(super) fn open_location(url: &str, context: &TaskContext) -> Result<Location> {
    Location::parse_with(url, |url| Ok(context.runtime_env().object_store_registry.get_store(url)?))
}

/// Whether the memory budget was too small.
pub(super) fn is_exhausted(error: &DataFusionError) -> bool {
    matches!(error.find_root(), DataFusionError::ResourcesExhausted(_))
}
