//! Many workers in one process with empty tasks. They poll for tasks, report them and serve their results like real workers,
//! to measure the capacity of a coordinator (`just bench-capacity`).
//!
//! `empty_workers COORDINATOR WORKERS SLOTS TASK_MS` runs until SIGTERM, and then prints how many tasks it has run.

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arrow_flight::flight_service_server::FlightServiceServer;
use ballista_core::JobId;
use ballista_core::registry::BallistaFunctionRegistry;
use ballista_core::serde::protobuf::scheduler_grpc_client::SchedulerGrpcClient;
use ballista_core::serde::{BallistaCodec, BallistaLogicalExtensionCodec};
use ballista_executor::execution_engine::{DefaultExecutionEngine, ExecutionEngine, QueryStageExecutor};
use ballista_executor::execution_loop::poll_loop;
use ballista_executor::executor::Executor;
use ballista_executor::executor_process::{ExecutorProcessConfig, structure_executor_metadata};
use ballista_executor::flight_service::BallistaFlightService;
use ballista_executor::health::ExecutorHealth;
use ballista_executor::metrics::LoggingMetricsCollector;
use datafusion::arrow::array::{AsArray, RecordBatch, StringArray};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_datafusion_err};
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties,
    ReplaceChildrenOptions, SendableRecordBatchStream,
};
use datafusion::prelude::SessionConfig;
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};
use futures::{TryStreamExt, stream};
use hindcast_base::{Error, Result as OwnResult};
use hindcast_engine::{
    CombineStage, CombinedPart, EncodedState, LevelPart, Manifest, PartOutcome, RollupStage, RollupUnit,
    Stage, StateStore, UnitOutcome, UnitStats, stage_in, unit_key,
};
use hindcast_lake::Location;
use hindcast_node::{STAGE_MESSAGE_BYTES, ballista_session, connect_endpoint, serve, stage_codec};
use hindcast_observability::terminated;
use serde::Deserialize;
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;

/// Threads that poll, report and serve, for all workers together.
const SERVING_THREADS: usize = 2;
/// Bytes of a state file: enough that merges of a thousand units have as many tasks as those of large state.
const STATE_BYTES: usize = 32 << 10;

/// Replaces the work of tasks.
#[derive(Debug, Default)]
struct EmptyWork {
    /// How long each task sleeps.
    task_time: Duration,
    state: OnceLock<StateStore>,
    rollup_tasks: AtomicU64,
    merge_tasks: AtomicU64,
}

/// An encoded task of a combine stage.
#[derive(Deserialize)]
struct PartTask {
    work: CombinedPart,
}

/// An encoded task of a rollup stage.
#[derive(Deserialize)]
struct UnitTask {
    index: usize,
    work: RollupUnit,
}

impl EmptyWork {
    /// Returns the rows of the tasks in `texts`: the outcome of a unit, and no rows for a merge.
    async fn run(
        &self,
        node: &dyn ExecutionPlan,
        texts: SendableRecordBatchStream,
    ) -> Result<Vec<RecordBatch>> {
        let stage = stage_in(node).ok_or_else(|| internal_datafusion_err!("a task belongs to no stage"))?;
        let mut rows = Vec::new();
        for batch in texts.try_collect::<Vec<_>>().await? {
            for text in batch.column(0).as_string::<i32>().iter().flatten() {
                tokio::time::sleep(self.task_time).await;
                match stage {
                    Stage::Rollup(stage) => {
                        let outcome = self.outcome(stage, text).await?;
                        let outcome = StringArray::from(vec![to_json(&outcome)?]);
                        rows.push(RecordBatch::try_new(node.schema(), vec![Arc::new(outcome)])?);
                        self.rollup_tasks.fetch_add(1, Ordering::Relaxed);
                    }
                    Stage::Combine(stage) => {
                        rows.push(empty_part(stage, text, node)?);
                        self.merge_tasks.fetch_add(1, Ordering::Relaxed);
                    }
                    Stage::Merge(_) | Stage::Names(_) => {
                        self.merge_tasks.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        }
        Ok(rows)
    }

    async fn outcome(&self, stage: &RollupStage, text: &str) -> Result<UnitOutcome> {
        let task: UnitTask = serde_json::from_str(text).map_err(external)?;
        let state = match self.state.get() {
            Some(state) => state,
            None => {
                let state = StateStore::new(Location::parse(&stage.state_url).map_err(external)?);
                self.state.get_or_init(|| state)
            }
        };
        let mut manifests = Vec::new();
        for id in task.work.rollups.iter() {
            manifests.push(commit(state, stage, &task.work, id).await.map_err(external)?);
        }
        Ok(UnitOutcome { unit: task.index, result: Ok(manifests) })
    }
}

/// The outcome of a task that combines state: a part without rows.
fn empty_part(stage: &CombineStage, text: &str, node: &dyn ExecutionPlan) -> Result<RecordBatch> {
    let PartTask { work: CombinedPart { level, buckets, .. } } =
        serde_json::from_str(text).map_err(external)?;
    if level >= stage.levels.len() {
        return Err(internal_datafusion_err!("there is no level {level}"));
    }
    let outcome = PartOutcome { level, result: Ok(vec![LevelPart { buckets, data: None, rows: 0 }]) };
    let text = StringArray::from(vec![to_json(&outcome)?]);
    Ok(RecordBatch::try_new(node.schema(), vec![Arc::new(text)])?)
}

/// Commits state like a unit: a file without content and its manifest, so that merges list as many files as real ones.
async fn commit(state: &StateStore, stage: &RollupStage, unit: &RollupUnit, id: &str) -> OwnResult<Manifest> {
    let rollup = stage
        .config
        .detections
        .rollup(id)
        .ok_or_else(|| Error::Internal(format!("there is no rollup {id}")))?;
    let key = unit_key(rollup, &stage.config, &stage.tables[unit.table], unit)?;
    let encoded = EncodedState { bytes: vec![0; STATE_BYTES], rows: 1, ..EncodedState::default() };
    state.commit(&key, rollup, &stats(), unit, &unit.window, encoded).await
}

/// Statistics as those of a unit of the firewall, which a coordinator holds in memory.
fn stats() -> UnitStats {
    let vendors = ["Check Point", "Cisco", "Fortinet", "Palo Alto Networks"].map(|name| (name, 1));
    UnitStats {
        rows: 4,
        values: [("DeviceVendor", vendors.into_iter().collect())].into_iter().collect(),
        ..UnitStats::default()
    }
}

fn to_json(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(external)
}

fn external(error: impl std::error::Error + Send + Sync + 'static) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// Replaces the node of a stage.
#[derive(Debug)]
struct EmptyExec {
    node: Arc<dyn ExecutionPlan>,
    empty_work: Arc<EmptyWork>,
}

impl DisplayAs for EmptyExec {
    fn fmt_as(&self, _: DisplayFormatType, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.name())
    }
}

impl ExecutionPlan for EmptyExec {
    fn name(&self) -> &str {
        "EmptyExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.node.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let texts = self.node.children()[0].execute(partition, context)?;
        let (node, empty_work) = (Arc::clone(&self.node), Arc::clone(&self.empty_work));
        let rows = stream::once(async move { empty_work.run(&*node, texts).await });
        let rows = rows.map_ok(|batches| stream::iter(batches.into_iter().map(Ok))).try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows)))
    }
}

/// Ballista's engine, which writes the results of tasks, with empty tasks.
struct EmptyEngine {
    engine: DefaultExecutionEngine,
    empty_work: Arc<EmptyWork>,
}

impl ExecutionEngine for EmptyEngine {
    fn create_query_stage_exec(
        &self,
        job: JobId,
        stage: usize,
        task: usize,
        partitions: Vec<usize>,
        plan: Arc<dyn ExecutionPlan>,
        folder: &str,
        config: &SessionConfig,
    ) -> Result<Arc<dyn QueryStageExecutor>> {
        let node = Arc::clone(plan.children()[0]);
        let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
        let empty = Arc::new(EmptyExec { node, empty_work: Arc::clone(&self.empty_work) });
        let plan = plan.replace_children(vec![empty], options)?;
        self.engine.create_query_stage_exec(job, stage, task, partitions, plan, folder, config)
    }
}

/// Starts one worker, which runs until the process ends.
async fn start_worker(
    coordinator: &str,
    slots: usize,
    folder: &Path,
    engine: Arc<EmptyEngine>,
) -> OwnResult<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(Error::io("listening"))?;
    let port = listener.local_addr().map_err(Error::io("reading the local address"))?.port();
    let process = Arc::new(ExecutorProcessConfig {
        executor_id: uuid::Uuid::now_v7().to_string(),
        external_host: Some("127.0.0.1".to_owned()),
        port,
        grpc_port: port,
        ..ExecutorProcessConfig::default()
    });
    let folder = folder.join(&process.executor_id).display().to_string();
    let runtime = Arc::new(RuntimeEnv::default());
    let executor = Arc::new(Executor::new(
        structure_executor_metadata(&process, slots as u32),
        &folder,
        Arc::new(move |_| Ok(Arc::clone(&runtime))),
        Arc::new(|| ballista_session(false)),
        Arc::new(BallistaFunctionRegistry::default()),
        Arc::new(LoggingMetricsCollector::default()),
        slots,
        engine,
    ));
    let flight = FlightServiceServer::new(BallistaFlightService::new(folder))
        .max_decoding_message_size(STAGE_MESSAGE_BYTES)
        .max_encoding_message_size(STAGE_MESSAGE_BYTES);
    let served = serve(None)?.add_service(flight).serve_with_incoming(TcpIncoming::from(listener));
    tokio::spawn(served);
    let scheduler = SchedulerGrpcClient::new(connect_endpoint(coordinator, None, true)?.connect_lazy())
        .max_decoding_message_size(STAGE_MESSAGE_BYTES)
        .max_encoding_message_size(STAGE_MESSAGE_BYTES);
    let codec: BallistaCodec<LogicalPlanNode, PhysicalPlanNode> =
        BallistaCodec::new(Arc::new(BallistaLogicalExtensionCodec::default()), stage_codec());
    tokio::spawn(poll_loop(scheduler, executor, codec, None, None, ExecutorHealth::new()));
    Ok(())
}

async fn run(coordinator: &str, workers: usize, slots: usize, task_time: Duration) -> OwnResult<()> {
    let scratch = tempfile::tempdir().map_err(Error::io("creating the scratch folder"))?;
    let empty_work = Arc::new(EmptyWork { task_time, ..EmptyWork::default() });
    let engine = EmptyEngine { engine: DefaultExecutionEngine::new(), empty_work: Arc::clone(&empty_work) };
    let engine = Arc::new(engine);
    for _ in 0..workers {
        start_worker(coordinator, slots, scratch.path(), Arc::clone(&engine)).await?;
    }
    terminated().await;
    let of = |tasks: &AtomicU64| tasks.load(Ordering::Relaxed);
    println!("{} rollup tasks, {} merge tasks", of(&empty_work.rollup_tasks), of(&empty_work.merge_tasks));
    Ok(())
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [coordinator, workers, slots, task_ms] = &arguments[..] else {
        return Err("usage: empty_workers COORDINATOR WORKERS SLOTS TASK_MS".into());
    };
    let task_time = Duration::from_millis(task_ms.parse()?);
    let (workers, slots) = (workers.parse()?, slots.parse()?);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(SERVING_THREADS).enable_all().build()?;
    runtime.block_on(run(coordinator, workers, slots, task_time))?;
    Ok(())
}
