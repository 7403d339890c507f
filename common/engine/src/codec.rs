//! Encodes the physical plan of a stage, for engines that send plans to other processes.

use std::alloc::{Layout, handle_alloc_error};
use std::sync::{Arc, OnceLock};

use datafusion::common::{Result, internal_datafusion_err};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use datafusion_proto::physical_plan::{PhysicalExtensionCodec, PhysicalProtoConverterExtension};
use zstd::zstd_safe::{DCtx, get_error_name, get_frame_content_size};

use super::plan::StageExec;
use super::stage::{Stage, json_error};
use hindcast_base::Error;
use hindcast_base::format::format_bytes;

/// Prefix of an encoded stage. No protobuf message begins with it.
const MARK: &[u8] = b"\xffhindcast stage\0";
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
                bytes.extend_from_slice(node.encoded()?);
                Ok(())
            }
            None => self.engine.try_encode(node, bytes, converter),
        }
    }
}

/// The encoded form of a stage without its tasks. It is made once, for all plans of its tasks.
#[derive(Debug, Clone, Default)]
pub(super) struct EncodedStage(Arc<OnceLock<Vec<u8>>>);

impl EncodedStage {
    /// The bytes of `stage`, which must be the same stage at each call.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it is longer than workers accept.
    pub(super) fn of(&self, stage: &Stage) -> Result<&[u8]> {
        if self.0.get().is_none() {
            let json = serde_json::to_vec(stage).map_err(json_error)?;
            // If another thread was faster, its bytes are the same.
            let _ = self.0.set(compress(&json, MAX_STAGE_BYTES)?);
        }
        Ok(self.0.get().map_or(&[], Vec::as_slice))
    }
}

/// Compresses a stage of at most `limit` bytes. Workers refuse longer ones, at each attempt.
fn compress(json: &[u8], limit: u64) -> Result<Vec<u8>> {
    let bytes = json.len() as u64;
    if bytes > limit {
        return Err(Error::Invalid(format!(
            "the list of files for the workers has {}, but at most {} are allowed: choose a shorter window",
            format_bytes(bytes),
            format_bytes(limit)
        ))
        .into());
    }
    // Unlike a stream, this records the size.
    Ok(zstd::bulk::compress(json, COMPRESSION_LEVEL)?)
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
    use hindcast_base::ErrorKind;

    use super::*;

    #[test]
    fn a_stage_that_workers_would_refuse_is_not_encoded() {
        let json = vec![b' '; 2 << 10];
        assert_eq!(decompress(&compress(&json, 2 << 10).unwrap()).unwrap(), json);
        let error = Error::from(compress(&json, 1 << 10).unwrap_err());
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("choose a shorter window"), "{error}");
    }

    #[test]
    fn a_damaged_stage_is_an_error() {
        let compressed = compress(b"a stage as JSON", MAX_STAGE_BYTES).unwrap();
        assert_eq!(decompress(&compressed).unwrap(), b"a stage as JSON");
        assert!((0..compressed.len()).all(|length| decompress(&compressed[..length]).is_err()));
        assert!(decompress(b"no frame of zstd").is_err());
        // A frame that claims another size.
        assert!(decompress(&[0x28, 0xb5, 0x2f, 0xfd, 0xe0, 255, 255, 255, 255, 255, 255, 255, 0]).is_err());
    }
}
