//! A job as a physical plan: one partition a task, no input, no shuffle.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::execution::TaskContext;
use datafusion::execution::context::QueryPlanner;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{LogicalPlan, UserDefinedLogicalNode, UserDefinedLogicalNodeCore};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties, SendableRecordBatchStream,
};
use datafusion::physical_planner::{DefaultPhysicalPlanner, ExtensionPlanner, PhysicalPlanner};

use super::job::Job;
use super::node::JobNode;
use super::{merge_task, rollup_task};

/// Plans job nodes; everything else is DataFusion's planner's.
#[derive(Debug, Default)]
pub(super) struct JobPlanner;

#[async_trait]
impl QueryPlanner for JobPlanner {
    async fn create_physical_plan(
        &self,
        logical_plan: &LogicalPlan,
        session: &dyn Session,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        DefaultPhysicalPlanner::with_extension_planners(vec![Arc::new(JobPlanner)])
            .create_physical_plan(logical_plan, session)
            .await
    }
}

#[async_trait]
impl ExtensionPlanner for JobPlanner {
    async fn plan_extension(
        &self,
        _: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _: &[&LogicalPlan],
        _: &[Arc<dyn ExecutionPlan>],
        _: &dyn Session,
        _: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let Some(node) = node.as_any().downcast_ref::<JobNode>() else {
            return Ok(None);
        };
        let schema = Arc::clone(UserDefinedLogicalNodeCore::schema(node).inner());
        Ok(Some(Arc::new(JobExec::new(Arc::clone(&node.job), schema))))
    }
}

/// Runs the tasks of a job.
#[derive(Debug)]
pub(super) struct JobExec {
    job: Arc<Job>,
    properties: Arc<PlanProperties>,
}

impl JobExec {
    pub(super) fn new(job: Arc<Job>, schema: SchemaRef) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(job.tasks()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self { job, properties: Arc::new(properties) }
    }
}

impl DisplayAs for JobExec {
    fn fmt_as(&self, _: DisplayFormatType, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: tasks={}", self.name(), self.job.tasks())
    }
}

impl ExecutionPlan for JobExec {
    fn name(&self) -> &str {
        match *self.job {
            Job::Rollup(_) => "RollupExec",
            Job::Merge(_) => "MergeExec",
        }
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if children.is_empty() { Ok(self) } else { internal_err!("{} takes no input", self.name()) }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        match &*self.job {
            Job::Rollup(_) => rollup_task::start(Arc::clone(&self.job), self.schema(), partition, context),
            Job::Merge(_) => merge_task::start(Arc::clone(&self.job), self.schema(), partition, context),
        }
    }
}
