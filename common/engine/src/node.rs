//! The leaf node of a stage in a logical plan.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::common::{DFSchema, DFSchemaRef, Result};
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, UserDefinedLogicalNodeCore};

use super::stage::Stage;
use super::tasks::StageTasks;

/// The logical plan of a stage.
///
/// # Errors
/// If the stage names an unknown analysis or rollup.
pub fn stage_plan(stage: Stage) -> Result<LogicalPlan> {
    let schema = Arc::new(DFSchema::try_from(stage.schema()?)?);
    Ok(LogicalPlan::Extension(Extension { node: Arc::new(StageNode { stage: Arc::new(stage), schema }) }))
}

/// A leaf node that holds a stage. Two nodes are equal if they share the same stage.
#[derive(Debug, Clone)]
pub(super) struct StageNode {
    stage: Arc<Stage>,
    schema: DFSchemaRef,
}

impl StageNode {
    pub(super) fn tasks(&self) -> Result<StageTasks> {
        StageTasks::new(&self.stage, Arc::clone(self.schema.inner()))
    }
}

impl PartialEq for StageNode {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.stage, &other.stage)
    }
}

impl Eq for StageNode {}

impl Hash for StageNode {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.stage).hash(state);
    }
}

impl PartialOrd for StageNode {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (self == other).then_some(Ordering::Equal)
    }
}

impl UserDefinedLogicalNodeCore for StageNode {
    fn name(&self) -> &str {
        match *self.stage {
            Stage::Rollup(_) => "Rollup",
            Stage::Merge(_) => "Merge",
        }
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        Vec::new()
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: tasks={}", self.name(), self.stage.tasks())
    }

    fn with_exprs_and_inputs(&self, _: Vec<Expr>, _: Vec<LogicalPlan>) -> Result<Self> {
        Ok(self.clone())
    }
}
