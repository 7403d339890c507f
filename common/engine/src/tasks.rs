//! A stage split into what is sent: the stage without its tasks, and each task.

use std::sync::Arc;

use arrow::array::{RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::{Result, internal_datafusion_err, internal_err};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;

use super::node::StageNode;
use super::plan::StageExec;
use super::stage::{Stage, UnitFault, UnitOutcome, encode_outcome};

/// The tasks of a stage, ready to be distributed in batches.
#[derive(Debug, Clone)]
pub struct StageTasks {
    header: Arc<Stage>,
    texts: Vec<String>,
    schema: SchemaRef,
}

impl StageTasks {
    pub(super) fn new(stage: &Stage, schema: SchemaRef) -> Result<Self> {
        let (header, texts) = stage.split()?;
        Ok(Self { header: Arc::new(header), texts, schema })
    }

    /// The tasks of a plan made by [`super::stage_plan`].
    ///
    /// # Errors
    /// If the plan is not one of these.
    pub fn of(plan: &LogicalPlan) -> Result<Self> {
        match plan {
            LogicalPlan::Extension(extension) => match extension.node.as_any().downcast_ref::<StageNode>() {
                Some(node) => node.tasks(),
                None => internal_err!("the plan is no stage"),
            },
            _ => internal_err!("the plan is no stage"),
        }
    }

    /// Number of tasks.
    pub fn count(&self) -> usize {
        self.texts.len()
    }

    /// Schema of the tasks' results.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// A plan with one partition for each of `tasks`, in their order.
    ///
    /// # Errors
    /// If a task does not exist.
    pub fn plan(&self, tasks: &[usize]) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = Arc::new(Schema::new(vec![Field::new("task", DataType::Utf8, false)]));
        let partition = |task: &usize| {
            let text = self.texts.get(*task).ok_or_else(|| internal_datafusion_err!("no task {task}"))?;
            let texts = Arc::new(StringArray::from(vec![text.as_str()]));
            Ok(vec![RecordBatch::try_new(Arc::clone(&schema), vec![texts])?])
        };
        let partitions = tasks.iter().map(partition).collect::<Result<Vec<_>>>()?;
        let source = MemorySourceConfig::try_new_exec(&partitions, Arc::clone(&schema), None)?;
        Ok(Arc::new(StageExec::new(Arc::clone(&self.header), self.schema(), source)))
    }

    /// The result of a task that is given up: for a unit, an outcome that says so.
    ///
    /// # Errors
    /// The reason, for a shard: a merge stage needs all its tasks.
    pub fn given_up(&self, task: usize, reason: &str) -> Result<RecordBatch> {
        match *self.header {
            Stage::Rollup(_) => {
                let result = Err(UnitFault::Failed(reason.to_owned()));
                encode_outcome(&self.schema, &UnitOutcome { unit: task, result })
            }
            Stage::Merge(_) => Err(datafusion::error::DataFusionError::Execution(format!(
                "shard {task} could not be merged: {reason}"
            ))),
        }
    }
}
