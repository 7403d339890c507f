//! The functions of this folder by their names in SQL.
//!
//! Each scalar function of SQL is a short form: the optimiser replaces every call by the expression that the Rust builder of the same
//! name returns. A plan is therefore the same whether it is written in SQL or in Rust. Each call gets a new expression: functions that
//! cache results for the values of a dictionary cache them for one column of one plan.
//!
//! SQL also has DataFusion's scalar, aggregate and window functions, except those that `detections::sql` removes.
//! The features of DataFusion that the workspace enables, `parquet` and `sql`, include no nested functions (`make_array`, `array_has`, …),
//! but Ballista depends on DataFusion with its default features. The planners of expressions in `SessionStateDefaults::default_expr_planners`:
//! - `CoreFunctionPlanner` plans `gaps.jitter` and `pairs.gaps.jitter` as `get_field(gaps, 'jitter')`.
//! - `FieldAccessPlanner` plans `gaps['jitter']` as the same. It comes with the nested functions.
//! - `NestedFunctionPlanner` plans arrays as calls of `make_array`; [`ArrayLiterals`] comes before it.

mod array_literals;
mod beacon_scores;
mod beacons;
mod literals;
mod names;
mod numbers;
mod sets;
mod short_form;
#[cfg(test)]
mod tests;
mod text_tests;
mod times;
mod windows;

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::registry::FunctionRegistry;
use datafusion::logical_expr::{AggregateUDF, ScalarUDF, WindowUDF};

pub use array_literals::ArrayLiterals;

use super::distinct_texts::distinct_texts_function;
use super::sorted_distinct::sorted_distinct_function;
use short_form::ShortForm;

/// The documentation of a function of SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Documented {
    /// Its name.
    pub name: &'static str,
    /// Name and type of each argument.
    pub arguments: &'static [(&'static str, &'static str)],
    /// Type of the result.
    pub result: &'static str,
    /// What it returns.
    pub doc: &'static str,
}

const AGGREGATES: &[Documented] = &[
    Documented {
        name: "distinct_texts",
        arguments: &[("values", "text or packed set")],
        result: "packed set",
        doc: "Aggregate: the distinct texts of a group, as hashes of which the 4,096 smallest are kept; sets are united. Nulls are left \
              out. See `distinct_count`.",
    },
    Documented {
        name: "sorted_distinct",
        arguments: &[("values", "integer or array of integers")],
        result: "array of integers",
        doc: "Aggregate: the distinct numbers of a group, ascending; arrays are united. Nulls are left out.",
    },
];

/// Every scalar function, in the order of [`documentation`].
fn short_forms() -> impl Iterator<Item = &'static ShortForm> {
    let all = [
        text_tests::FORMS,
        names::FORMS,
        times::FORMS,
        numbers::FORMS,
        sets::FORMS,
        beacons::FORMS,
        beacon_scores::FORMS,
    ];
    all.into_iter().flatten()
}

/// The scalar functions that SQL can call in addition to DataFusion's.
pub fn scalar_functions() -> Vec<Arc<ScalarUDF>> {
    short_forms().map(|form| Arc::new(form.function())).collect()
}

/// The aggregate functions that SQL can call in addition to DataFusion's.
pub fn aggregate_functions() -> Vec<Arc<AggregateUDF>> {
    vec![Arc::new(distinct_texts_function()), Arc::new(sorted_distinct_function(1))]
}

/// The window functions that SQL can call in addition to DataFusion's.
pub fn window_functions() -> Vec<Arc<WindowUDF>> {
    windows::functions().into_iter().map(Arc::new).collect()
}

/// Registers all functions with a session.
///
/// # Errors
/// If the session accepts no functions.
///
/// ```
/// use datafusion::execution::SessionStateBuilder;
/// use hindcast_functions::sql::register;
///
/// let mut state = SessionStateBuilder::new().with_default_features().build();
/// register(&mut state)?;
/// assert!(state.scalar_functions().contains_key("canonical_address"));
/// # Ok::<(), datafusion::error::DataFusionError>(())
/// ```
pub fn register(state: &mut SessionState) -> Result<()> {
    for function in scalar_functions() {
        state.register_udf(function)?;
    }
    for function in aggregate_functions() {
        state.register_udaf(function)?;
    }
    for function in window_functions() {
        state.register_udwf(function)?;
    }
    Ok(())
}

/// All functions of [`scalar_functions`], [`aggregate_functions`] and [`window_functions`].
pub fn documentation() -> Vec<Documented> {
    let scalar = short_forms().map(|form| form.documented);
    scalar.chain(AGGREGATES.iter().copied()).chain(windows::DOCUMENTED.iter().copied()).collect()
}
