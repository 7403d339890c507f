//! The physical plan of a stage: one partition per task, without a shuffle.

use std::fmt;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::execution::TaskContext;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning, PlanProperties,
    SendableRecordBatchStream,
};
use futures::future::ready;
use futures::{TryStreamExt, stream};
use serde::de::DeserializeOwned;

use super::codec::EncodedStage;
use super::stage::{Stage, Task, json_error};
use super::{combine_task, merge_task, names_task, rollup_task};

/// Runs the tasks of a stage. Each partition of its input holds one task as text. So an engine that distributes partitions of
/// leaf nodes distributes tasks, and a worker gets only its own.
#[derive(Debug)]
pub(super) struct StageExec {
    /// The stage, without its tasks.
    stage: Stage,
    tasks: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
    /// The encoded stage, which is sent with each of its tasks.
    encoded: EncodedStage,
}

impl StageExec {
    pub(super) fn new(stage: Stage, schema: SchemaRef, tasks: Arc<dyn ExecutionPlan>) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(tasks.output_partitioning().partition_count()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self { stage, tasks, properties: Arc::new(properties), encoded: EncodedStage::default() }
    }

    pub(super) fn stage(&self) -> &Stage {
        &self.stage
    }

    /// Shares the encoded stage with other plans of its tasks.
    pub(super) fn with_encoded(self, encoded: EncodedStage) -> Self {
        Self { encoded, ..self }
    }

    /// The encoded stage.
    pub(super) fn encoded(&self) -> Result<&[u8]> {
        self.encoded.of(&self.stage)
    }
}

impl DisplayAs for StageExec {
    fn fmt_as(&self, _: DisplayFormatType, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.name())
    }
}

impl ExecutionPlan for StageExec {
    fn name(&self) -> &str {
        match self.stage {
            Stage::Rollup(_) => "RollupExec",
            Stage::Merge(_) => "MergeExec",
            Stage::Combine(_) => "CombineExec",
            Stage::Names(_) => "NamesExec",
        }
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.tasks]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.is_empty()) {
            (Some(tasks), true) => {
                let plan = Self::new(self.stage.clone(), self.schema(), tasks);
                Ok(Arc::new(plan.with_encoded(self.encoded.clone())))
            }
            _ => internal_err!("{} takes one input", self.name()),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let texts = self.tasks.execute(partition, Arc::clone(&context))?;
        let (stage, schema) = (self.stage.clone(), self.schema());
        let start = move |text: String| -> Result<SendableRecordBatchStream> {
            let (schema, context) = (Arc::clone(&schema), Arc::clone(&context));
            match stage.clone() {
                Stage::Rollup(stage) => rollup_task::start(stage, schema, parse(&text)?, context),
                Stage::Merge(stage) => merge_task::start(stage, schema, parse(&text)?, context),
                Stage::Combine(stage) => combine_task::start(stage, schema, parse(&text)?, context),
                Stage::Names(stage) => names_task::start(stage, schema, parse(&text)?, context),
            }
        };
        let rows = texts
            .map_ok(|batch| {
                stream::iter(
                    batch
                        .column(0)
                        .as_string::<i32>()
                        .iter()
                        .flatten()
                        .map(str::to_owned)
                        .map(Ok)
                        .collect::<Vec<_>>(),
                )
            })
            .try_flatten()
            .and_then(move |text| ready(start(text)))
            .try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows)))
    }
}

/// The stage whose tasks `plan` runs, if it is the node of one: without its tasks, which its input holds as text.
pub fn stage_in(plan: &dyn ExecutionPlan) -> Option<&Stage> {
    plan.downcast_ref::<StageExec>().map(StageExec::stage)
}

fn parse<W: DeserializeOwned>(text: &str) -> Result<Task<W>> {
    serde_json::from_str(text).map_err(json_error)
}
