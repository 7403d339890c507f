//! The session in which a task plans its queries: with one partition, and the engine's memory and stores.

use std::sync::Arc;

use datafusion::execution::SessionStateBuilder;
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::MemoryLimit;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::prelude::{SessionConfig, SessionContext};

use super::location::Location;
use hindcast_base::Result;

/// Bytes that a sort reserves for merging its spilled runs; a task has several sorts in a small budget.
const SORT_RESERVATION_BYTES: usize = 1 << 20;

/// Rows per batch: enough that the cost per batch is negligible next to that per row.
const BATCH_ROWS: usize = 64 << 10;
/// Rows per batch if memory is short: a sort must hold several batches.
const SMALL_BATCH_ROWS: usize = 8 << 10;
/// Memory budget below which memory is short.
const SHORT_MEMORY_BYTES: usize = 256 << 20;

/// Prefix of the names of DataFusion's two rules that push filters down.
const FILTER_PUSHDOWN: &str = "FilterPushdown";

/// A session of one partition on `runtime`.
pub fn task_session(runtime: Arc<RuntimeEnv>) -> SessionContext {
    let mut config = SessionConfig::new()
        .with_target_partitions(1)
        .with_batch_size(batch_rows(&runtime))
        .with_sort_spill_reservation_bytes(SORT_RESERVATION_BYTES)
        .with_collect_statistics(false);
    config.options_mut().execution.parquet.pushdown_filters = false;
    // Pushing field accesses below a costly function would compute it again for each of them, and fails for tables in memory.
    config.options_mut().optimizer.enable_leaf_expression_pushdown = false;
    let mut rules = PhysicalOptimizer::new().rules;
    // These rules push a filter below the projection that computes its columns, volatile or not, and repeat the computation in
    // each filter. Scans get their filters from the logical plan.
    rules.retain(|rule| !rule.name().starts_with(FILTER_PUSHDOWN));
    let state = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime)
        .with_default_features()
        .with_physical_optimizer_rules(rules)
        .build();
    SessionContext::new_with_state(state)
}

/// Rows per batch for the runtime's memory. No result depends on it.
pub fn batch_rows(runtime: &RuntimeEnv) -> usize {
    if is_memory_short(runtime) { SMALL_BATCH_ROWS } else { BATCH_ROWS }
}

/// Whether the runtime has so little memory that whatever can spill should.
pub fn is_memory_short(runtime: &RuntimeEnv) -> bool {
    matches!(runtime.memory_pool.memory_limit(), MemoryLimit::Finite(bytes) if bytes < SHORT_MEMORY_BYTES)
}

/// The location that `url` names, with the client that the engine already has for its store.
pub fn open_location(url: &str, context: &TaskContext) -> Result<Location> {
    Location::parse_with(url, |url| Ok(context.runtime_env().object_store_registry.get_store(url)?))
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Int64Array, ListArray, RecordBatch};
    use arrow::datatypes::Int64Type;
    use datafusion::functions::core::expr_fn::get_field;
    use datafusion::logical_expr::{ident, lit};
    use datafusion::physical_plan::displayable;

    use super::*;
    use hindcast_functions::beacon_rhythm;

    /// Filters on several fields of its result, and those fields as columns, must not run a costly function again.
    #[tokio::test]
    async fn a_costly_function_is_in_a_plan_once() {
        let seconds = ListArray::from_iter_primitive::<Int64Type, _, _>([Some((0..9).map(Some))]);
        let rows = RecordBatch::try_from_iter([
            ("seconds", Arc::new(seconds) as ArrayRef),
            ("sessions", Arc::new(Int64Array::from(vec![9]))),
        ]);
        let session = task_session(Arc::new(RuntimeEnv::default()));
        let field = |name: &str| get_field(ident("rhythm"), name);
        let frame = session
            .read_batch(rows.unwrap())
            .and_then(|rows| {
                rows.with_column("rhythm", beacon_rhythm(ident("seconds"), ident("sessions"), lit(0.0)))
            })
            .and_then(|rows| {
                rows.with_column("beats", field("beats"))?.with_column("timing", field("timing_score"))
            })
            .and_then(|rows| rows.filter(ident("beats").gt(lit(5)).and(ident("timing").gt(lit(0.2)))))
            .and_then(|rows| rows.drop_columns(&["rhythm", "seconds"]));
        let plan = frame.unwrap().create_physical_plan().await.unwrap();
        let text = displayable(plan.as_ref()).indent(false).to_string();
        assert_eq!(text.matches("beacon_rhythm(").count(), 1, "{text}");
    }
}
