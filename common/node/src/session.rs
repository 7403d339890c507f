//! Ballista's settings, the same in coordinator and workers.

use std::sync::Arc;

use ballista_core::config::{
    BALLISTA_ADAPTIVE_PLANNER_ENABLED, BALLISTA_CLIENT_GRPC_CONNECT_TIMEOUT_SECONDS,
    BALLISTA_CLIENT_GRPC_MAX_MESSAGE_SIZE, BALLISTA_CLIENT_GRPC_TIMEOUT_SECONDS, BALLISTA_CLIENT_USE_TLS,
    BALLISTA_SCHEDULER_MAX_PARTITIONS_PER_TASK,
};
use ballista_core::extension::SessionConfigExt;
use ballista_core::serde::BallistaPhysicalExtensionCodec;
use datafusion::prelude::SessionConfig;
use datafusion_proto::physical_plan::PhysicalExtensionCodec;

use hindcast_engine::StageCodec;

/// Largest message between nodes: a task carries the list of all state files that its stage merges.
pub const STAGE_MESSAGE_BYTES: usize = 64 << 20;
/// Most tasks that a worker gets per poll. It polls again immediately, so a low limit spreads the tasks of a small stage over
/// many workers and keeps messages small. A lower limit costs the scheduler more than it saves.
pub const MAX_TASKS_PER_POLL: u32 = 4;

/// The codec for plans with our stages in them; Ballista's codec handles all other nodes.
pub fn stage_codec() -> Arc<dyn PhysicalExtensionCodec> {
    Arc::new(StageCodec::with_inner(Arc::new(BallistaPhysicalExtensionCodec::default())))
}

/// Ballista's session settings: one partition per task, so that each is retried and counted separately, and the planner that
/// does not change a plan.
pub fn ballista_session(use_tls: bool) -> SessionConfig {
    let use_tls = use_tls.to_string();
    let max_message = STAGE_MESSAGE_BYTES.to_string();
    let settings = [
        (BALLISTA_SCHEDULER_MAX_PARTITIONS_PER_TASK, "1"),
        (BALLISTA_ADAPTIVE_PLANNER_ENABLED, "false"),
        (BALLISTA_CLIENT_USE_TLS, &use_tls),
        (BALLISTA_CLIENT_GRPC_MAX_MESSAGE_SIZE, &max_message),
        (BALLISTA_CLIENT_GRPC_CONNECT_TIMEOUT_SECONDS, "5"),
        (BALLISTA_CLIENT_GRPC_TIMEOUT_SECONDS, "20"),
    ];
    settings
        .into_iter()
        .fold(SessionConfig::new_with_ballista(), |config, (key, value)| config.set_str(key, value))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use datafusion::execution::TaskContext;
    use datafusion_proto::physical_plan::DefaultPhysicalProtoConverter;
    use hindcast_base::time::Window;
    use hindcast_detections::config::Config;
    use hindcast_engine::{MergeStage, Stage, StageTasks, stage_in};
    use hindcast_lake::StateFile;
    use hindcast_observability::Origin;

    use super::*;

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
            levels: BTreeMap::new(),
            stored: None,
            past: BTreeMap::new(),
            side_tables: BTreeMap::new(),
            columns: BTreeMap::new(),
            analyses: vec!["beaconing".into(), "top_talkers".into()],
            investigated: None,
            origin: Origin::default(),
        }
        .into();
        let plan = StageTasks::of(stage).unwrap().plan(&[0]).unwrap();
        let codec = stage_codec();
        let mut encoded = Vec::new();
        let converter = DefaultPhysicalProtoConverter {};
        codec.try_encode(Arc::clone(&plan), &mut encoded, &converter).unwrap();
        assert!(encoded.len() * (MAX_TASKS_PER_POLL as usize) < STAGE_MESSAGE_BYTES / 2, "{}", encoded.len());

        let inputs = [Arc::clone(plan.children()[0])];
        let decoded = codec.try_decode(&encoded, &inputs, &TaskContext::default(), &converter).unwrap();
        let decoded = serde_json::to_vec(stage_in(decoded.as_ref()).unwrap()).unwrap();
        assert_eq!(decoded, serde_json::to_vec(stage_in(plan.as_ref()).unwrap()).unwrap());
    }
}
