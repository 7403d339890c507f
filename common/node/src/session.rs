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
