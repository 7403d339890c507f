//! Encodes the physical plan of a stage, for engines that send plans to other processes.

use std::alloc::{Layout, handle_alloc_error};
use std::sync::Arc;

use datafusion::common::{Result, internal_datafusion_err};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use datafusion_proto::physical_plan::{PhysicalExtensionCodec, PhysicalProtoConverterExtension};
use zstd::zstd_safe::{DCtx, get_error_name, get_frame_content_size};

use super::plan::StageExec;
use super::stage::{Stage, json_error};

/// Prefix of an encoded stage. No protobuf message begins with it.
const MARK: &[u8] = b"\xffhindcast job\0";
/// Each task carries its stage, and a merge stage names all state files that it reads: 1.8 MB for 10,000 files, 0.3 MB compressed.
const COMPRESSION_LEVEL: i32 = 1;
/// Most bytes of a decompressed stage: it names ten million files.
const MAX_STAGE_BYTES: u64 = 2 << 30;

/// Encodes and decodes the plan nodes of stages, and leaves all others to the engine's codec.
#[derive(Debug)]
pub struct StageCodec {
    engine: Arc<dyn PhysicalExtensionCodec>,
}

impl StageCodec {
    /// A codec for stages and for all nodes that `engine` can encode.
    pub fn with_inner(engine: Arc<dyn PhysicalExtensionCodec>) -> Self {
        Self { engine }
    }
}

impl PhysicalExtensionCodec for StageCodec {
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
        let tasks = inputs.first().ok_or_else(|| internal_datafusion_err!("a stage has no tasks"))?;
        let stage: Stage = serde_json::from_slice(&decompress(compressed)?).map_err(json_error)?;
        let schema = stage.schema()?;
        Ok(Arc::new(StageExec::new(stage, schema, Arc::clone(tasks))))
    }

    fn try_encode(
        &self,
        node: Arc<dyn ExecutionPlan>,
        bytes: &mut Vec<u8>,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<()> {
        match node.downcast_ref::<StageExec>() {
            Some(node) => {
                bytes.extend_from_slice(MARK);
                bytes.extend_from_slice(node.encoded(encode)?);
                Ok(())
            }
            None => self.engine.try_encode(node, bytes, converter),
        }
    }
}

fn encode(stage: &Stage) -> Result<Vec<u8>> {
    let json = serde_json::to_vec(stage).map_err(json_error)?;
    // Unlike a stream, this records the size.
    Ok(zstd::bulk::compress(&json, COMPRESSION_LEVEL)?)
}

/// Decompresses a stage. If there is no memory for it, the process ends, like after any failed allocation. Otherwise the worker
/// would fail each of its tasks at once, before failures are counted, and so get more and more of them.
fn decompress(compressed: &[u8]) -> Result<Vec<u8>> {
    let bytes = get_frame_content_size(compressed).ok().flatten();
    let bytes = bytes.filter(|bytes| *bytes <= MAX_STAGE_BYTES);
    let bytes = bytes.ok_or_else(|| internal_datafusion_err!("a stage has no valid size"))?;
    // With these two allocations zstd needs no other.
    let mut json: Vec<u8> = Vec::with_capacity(bytes as usize);
    let mut context = DCtx::try_create().unwrap_or_else(|| handle_alloc_error(Layout::new::<DCtx<'_>>()));
    let failed = |code| internal_datafusion_err!("decompressing a stage: {}", get_error_name(code));
    context.decompress(&mut json, compressed).map_err(failed)?;
    Ok(json)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::stage::MergeStage;
    use super::super::tasks::StageTasks;
    use super::*;
    use hindcast_base::time::Window;
    use hindcast_detections::config::Config;
    use hindcast_lake::StateFile;
    use hindcast_node::{MAX_TASKS_PER_POLL, STAGE_MESSAGE_BYTES, stage_codec};
    use hindcast_observability::Origin;

    #[test]
    fn tasks_of_a_merge_of_ten_thousand_units_fit_into_a_message() {
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
        let stage: Stage = MergeStage {
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
        }
        .into();
        let json_bytes = serde_json::to_vec(&stage).unwrap().len();
        let plan = StageTasks::of(&stage).unwrap().plan(&[0]).unwrap();
        let codec = stage_codec();
        let mut encoded = Vec::new();
        let converter = datafusion_proto::physical_plan::DefaultPhysicalProtoConverter {};
        codec.try_encode(Arc::clone(&plan), &mut encoded, &converter).unwrap();
        println!("{json_bytes} bytes of JSON, {} bytes encoded", encoded.len());
        assert!(encoded.len() * (MAX_TASKS_PER_POLL as usize) < STAGE_MESSAGE_BYTES / 2, "{}", encoded.len());

        let context = TaskContext::default();
        let inputs = [Arc::clone(plan.children()[0])];
        let decoded = codec.try_decode(&encoded, &inputs, &context, &converter).unwrap();
        let decoded = serde_json::to_vec(decoded.downcast_ref::<StageExec>().unwrap().stage()).unwrap();
        assert_eq!(decoded, serde_json::to_vec(plan.downcast_ref::<StageExec>().unwrap().stage()).unwrap());
    }
    #[test]
    fn a_damaged_stage_is_an_error() {
        let compressed = zstd::bulk::compress(b"a stage as JSON", COMPRESSION_LEVEL).unwrap();
        assert_eq!(decompress(&compressed).unwrap(), b"a stage as JSON");
        assert!((0..compressed.len()).all(|length| decompress(&compressed[..length]).is_err()));
        assert!(decompress(b"no frame of zstd").is_err());
        // A frame that claims another size.
        assert!(decompress(&[0x28, 0xb5, 0x2f, 0xfd, 0xe0, 255, 255, 255, 255, 255, 255, 255, 0]).is_err());
    }
}
