//! The physical plan of a job as bytes, for engines that send plans to other processes.

use std::sync::Arc;

use datafusion::common::{Result, internal_datafusion_err};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use datafusion_proto::physical_plan::{PhysicalExtensionCodec, PhysicalProtoConverterExtension};

use super::job::{Job, json_error};
use super::plan::JobExec;

/// What a job's bytes begin with; no protobuf message does.
const MARK: &[u8] = b"\xffhindcast job\0";

/// Writes and reads the nodes of jobs; all others are left to the engine's own codec.
#[derive(Debug)]
pub struct JobCodec {
    engine: Arc<dyn PhysicalExtensionCodec>,
}

impl JobCodec {
    /// Jobs beside what `engine` can write.
    pub fn beside(engine: Arc<dyn PhysicalExtensionCodec>) -> Self {
        Self { engine }
    }
}

impl PhysicalExtensionCodec for JobCodec {
    fn try_decode(
        &self,
        bytes: &[u8],
        inputs: &[Arc<dyn ExecutionPlan>],
        context: &TaskContext,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let Some(json) = bytes.strip_prefix(MARK) else {
            return self.engine.try_decode(bytes, inputs, context, converter);
        };
        let tasks = inputs.first().ok_or_else(|| internal_datafusion_err!("a job came without tasks"))?;
        let job: Job = serde_json::from_slice(json).map_err(json_error)?;
        let schema = job.schema()?;
        Ok(Arc::new(JobExec::new(Arc::new(job), schema, Arc::clone(tasks))))
    }

    fn try_encode(
        &self,
        node: Arc<dyn ExecutionPlan>,
        bytes: &mut Vec<u8>,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<()> {
        match node.downcast_ref::<JobExec>() {
            Some(node) => {
                bytes.extend_from_slice(MARK);
                serde_json::to_writer(bytes, node.job()).map_err(json_error)
            }
            None => self.engine.try_encode(node, bytes, converter),
        }
    }
}
