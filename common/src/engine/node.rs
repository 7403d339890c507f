//! A job as a leaf node of a logical plan.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::common::{DFSchema, DFSchemaRef, Result};
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, UserDefinedLogicalNodeCore};

use super::job::Job;
use super::tasks::JobTasks;

/// The logical plan of a job.
///
/// # Errors
/// Where the job names an analysis or rollup there is none of.
pub fn job_plan(job: Job) -> Result<LogicalPlan> {
    let schema = Arc::new(DFSchema::try_from(job.schema()?)?);
    Ok(LogicalPlan::Extension(Extension { node: Arc::new(JobNode { job: Arc::new(job), schema }) }))
}

/// Leaf node that holds a job. Two nodes are the same only where they are one job.
#[derive(Debug, Clone)]
pub(super) struct JobNode {
    job: Arc<Job>,
    schema: DFSchemaRef,
}

impl JobNode {
    pub(super) fn tasks(&self) -> Result<JobTasks> {
        JobTasks::new(&self.job, Arc::clone(self.schema.inner()))
    }
}

impl PartialEq for JobNode {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.job, &other.job)
    }
}

impl Eq for JobNode {}

impl Hash for JobNode {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.job).hash(state);
    }
}

impl PartialOrd for JobNode {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (self == other).then_some(Ordering::Equal)
    }
}

impl UserDefinedLogicalNodeCore for JobNode {
    fn name(&self) -> &str {
        match *self.job {
            Job::Rollup(_) => "Rollup",
            Job::Merge(_) => "Merge",
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
        write!(formatter, "{}: tasks={}", self.name(), self.job.tasks())
    }

    fn with_exprs_and_inputs(&self, _: Vec<Expr>, _: Vec<LogicalPlan>) -> Result<Self> {
        Ok(self.clone())
    }
}
