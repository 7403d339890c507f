//! The physical plan of a job as bytes, for engines that send plans to other processes.

use std::alloc::{Layout, handle_alloc_error};
use std::sync::Arc;

use datafusion::common::{Result, internal_datafusion_err};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use datafusion_proto::physical_plan::{PhysicalExtensionCodec, PhysicalProtoConverterExtension};

use super::job::{Job, json_error};
use super::plan::JobExec;

/// What a job's bytes begin with; no protobuf message does.
const MARK: &[u8] = b"\xffhindcast job\0";
/// A job goes out with each of its tasks, and a merge names all state it reads: 1.8 MB for 10,000 files, 0.3 MB compressed.
const COMPRESSION_LEVEL: i32 = 1;
/// What zstd says where it is given no memory.
const OUT_OF_MEMORY: &str = "not enough memory";

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
        let Some(compressed) = bytes.strip_prefix(MARK) else {
            return self.engine.try_decode(bytes, inputs, context, converter);
        };
        let tasks = inputs.first().ok_or_else(|| internal_datafusion_err!("a job came without tasks"))?;
        let json = zstd::decode_all(compressed).inspect_err(end_where_memory_ran_out)?;
        let job: Job = serde_json::from_slice(&json).map_err(json_error)?;
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
                bytes.extend_from_slice(node.encoded(encode)?);
                Ok(())
            }
            None => self.engine.try_encode(node, bytes, converter),
        }
    }
}

/// Ends the process, as any allocation that fails does. A worker that went on would fail each task it is given at once, here
/// where its failures are not counted, and so be given ever more.
fn end_where_memory_ran_out(error: &std::io::Error) {
    if error.to_string().contains(OUT_OF_MEMORY) {
        handle_alloc_error(Layout::new::<u8>());
    }
}

fn encode(job: &Job) -> Result<Vec<u8>> {
    let json = serde_json::to_vec(job).map_err(json_error)?;
    Ok(zstd::encode_all(json.as_slice(), COMPRESSION_LEVEL)?)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::job::MergeJob;
    use super::super::tasks::JobTasks;
    use super::*;
    use crate::catalog::StateFile;
    use crate::cluster::{JOB_CODEC_MESSAGE_BYTES, TASKS_OF_AN_ANSWER, job_codec};
    use crate::config::Config;
    use crate::operation::Origin;
    use crate::time::Window;

    #[test]
    fn tasks_of_a_merge_over_ten_thousand_units_fit_a_message() {
        let files = |rollup: &str| {
            let file = |unit: u32| {
                let hash = blake3::hash(format!("{rollup} {unit}").as_bytes()).to_hex();
                let (key, content) = (&hash[..32], &hash[32..48]);
                let path = format!("CommonSecurityLog/date=2026-01-05/{rollup}/{key}.{content}.parquet");
                StateFile {
                    path,
                    bytes: 1_000_000 + u64::from(unit),
                    tail_bytes: 9_000 + u64::from(unit % 97),
                }
            };
            (rollup.to_owned(), (0..10_000).map(file).collect())
        };
        let job = Job::Merge(MergeJob {
            config: Config::load("default", &[]).unwrap(),
            state_url: "s3://telemetry-state/hindcast".into(),
            window: Window { from_us: 0, to_us: 1 },
            shards: vec![(0, 1)],
            inputs: ["external_pairs", "internal_pairs"].map(files).into(),
            past: BTreeMap::new(),
            side_tables: BTreeMap::new(),
            columns: BTreeMap::new(),
            analyses: vec!["beaconing".into(), "top_talkers".into()],
            investigated: None,
            origin: Origin::default(),
        });
        let schema = job.schema().unwrap();
        let json_bytes = serde_json::to_vec(&job).unwrap().len();
        let plan = JobTasks::new(&job, schema).unwrap().plan(&[0]).unwrap();
        let codec = job_codec();
        let mut encoded = Vec::new();
        let converter = datafusion_proto::physical_plan::DefaultPhysicalProtoConverter {};
        codec.try_encode(Arc::clone(&plan), &mut encoded, &converter).unwrap();
        println!("{json_bytes} bytes of JSON, {} as they travel", encoded.len());
        assert!(
            encoded.len() * (TASKS_OF_AN_ANSWER as usize) < JOB_CODEC_MESSAGE_BYTES / 2,
            "{}",
            encoded.len()
        );

        let context = TaskContext::default();
        let inputs = [Arc::clone(plan.children()[0])];
        let decoded = codec.try_decode(&encoded, &inputs, &context, &converter).unwrap();
        let decoded = serde_json::to_vec(decoded.downcast_ref::<JobExec>().unwrap().job()).unwrap();
        assert_eq!(decoded, serde_json::to_vec(plan.downcast_ref::<JobExec>().unwrap().job()).unwrap());
    }
}
