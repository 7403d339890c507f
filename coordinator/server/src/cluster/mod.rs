//! The engine that runs stages on workers: Ballista's scheduler in this process, and the retries around it with which a stage
//! completes even if workers fail.

mod delivered;
mod fetch;
mod idle;
mod job_status;
mod poll_work_service;
mod runner;
mod task_batch;

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use ballista_core::config::TaskSchedulingPolicy;
use ballista_core::serde::protobuf::scheduler_grpc_server::SchedulerGrpcServer;
use ballista_core::serde::{BallistaCodec, BallistaLogicalExtensionCodec};
use ballista_scheduler::cluster::BallistaCluster;
use ballista_scheduler::config::SchedulerConfig;
use ballista_scheduler::metrics::default_metrics_collector;
use ballista_scheduler::scheduler_server::SchedulerServer;
use datafusion::execution::SessionStateBuilder;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::prelude::SessionContext;
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use hindcast_base::retry::TASK_BATCHES;
use hindcast_base::{Error, Result};
use hindcast_engine::{Engine, Stage, StageTasks};
use hindcast_node::{STAGE_MESSAGE_BYTES, Tls, ballista_session, node_endpoints, stage_codec};
use tokio::sync::Notify;
use tokio::sync::mpsc::Sender;

use delivered::Delivered;
use fetch::Fetcher;
use idle::IdleWorkers;
use poll_work_service::PollWorkService;
use task_batch::{BatchPolicy, TaskBatch};

pub(crate) use task_batch::METRICS;

type Scheduler = SchedulerServer<LogicalPlanNode, PhysicalPlanNode>;

/// Tasks of one Ballista job: enough to keep many workers busy, few enough to be retried together.
const TASKS_PER_BATCH: usize = 256;
/// Task batches that run at once beyond those that fill all slots, so that workers are not idle while the last tasks of a
/// batch run.
const SPARE_BATCHES: usize = 1;
/// Interval at which a running stage checks for workers that have joined.
const CAPACITY_CHECK: Duration = Duration::from_secs(1);
/// Longest time that the poll of an idle worker waits for work. The next poll is the worker's heartbeat.
const LONGEST_POLL_WAIT: Duration = Duration::from_secs(5);
/// A poll waits at most the worker timeout divided by this.
const POLL_WAIT_DIVISOR: u32 = 3;
/// Interval at which the status of a Ballista job is read.
const STATUS_INTERVAL: Duration = Duration::from_millis(50);
/// A worker that reports to be idle for this many poll waits has lost the tasks that it was given.
const FORGOTTEN_AFTER_WAITS: u32 = 3;
/// Record batches that may wait for a slow reader.
const WAITING_BATCHES: usize = 64;
/// Interval of checks for lost workers, in seconds.
const EXPIRY_CHECK_SECONDS: u64 = 2;
/// Seconds that workers keep the results of a finished Ballista job. Results are fetched while it runs.
const KEEP_RESULTS_SECONDS: u64 = 60;

/// Options of the cluster engine.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    /// Certificates for connections with workers; plain text if absent.
    pub tls: Option<Tls>,
    /// A worker without a heartbeat for this long is lost, and other workers get its tasks.
    pub worker_timeout: Duration,
    /// A Ballista job that finishes no task for this long is cancelled, and its missing tasks are submitted again.
    pub stall: Duration,
    /// Consecutive failures of a task batch without a finished task after which its tasks are tried one by one.
    pub attempts: u32,
}

impl ClusterOptions {
    fn batch_policy(&self) -> BatchPolicy {
        BatchPolicy {
            status_interval: STATUS_INTERVAL,
            stall: self.stall,
            forgotten_after: self.poll_wait() * FORGOTTEN_AFTER_WAITS,
            attempts: self.attempts,
            back_off: TASK_BATCHES,
        }
    }

    /// Longest time that the poll of an idle worker waits for work.
    fn poll_wait(&self) -> Duration {
        (self.worker_timeout / POLL_WAIT_DIVISOR).min(LONGEST_POLL_WAIT)
    }
}

/// The engine that runs stages on Ballista.
pub struct Cluster {
    inner: Arc<Inner>,
}

struct Inner {
    scheduler: Scheduler,
    /// Notified when a job has tasks.
    work: Arc<Notify>,
    idle: Arc<IdleWorkers>,
    delivered: Arc<Delivered>,
    session: Arc<SessionContext>,
    fetcher: Fetcher,
    options: ClusterOptions,
}

impl Cluster {
    /// Starts the scheduler. Workers join through [`Cluster::service`].
    ///
    /// # Errors
    /// [`Error::Internal`] if Ballista does not start.
    pub async fn start(options: ClusterOptions) -> Result<Self> {
        let use_tls = options.tls.is_some();
        let settings = Arc::new(move || ballista_session(use_tls));
        let builder =
            |config| Ok(SessionStateBuilder::new().with_default_features().with_config(config).build());
        let work = Arc::new(Notify::new());
        let announced = Arc::clone(&work);
        let config = SchedulerConfig {
            on_work_available: Some(Arc::new(move |_| announced.notify_waiters())),
            scheduling_policy: TaskSchedulingPolicy::PullStaged,
            executor_timeout_seconds: options.worker_timeout.as_secs().max(1),
            expire_dead_executor_interval_seconds: EXPIRY_CHECK_SECONDS,
            // Jobs wait while there are no workers. The deadlines of this engine end them.
            no_executors_grace_period_seconds: u64::from(u32::MAX),
            finished_job_data_clean_up_interval_seconds: KEEP_RESULTS_SECONDS,
            finished_job_state_clean_up_interval_seconds: KEEP_RESULTS_SECONDS,
            grpc_server_max_decoding_message_size: STAGE_MESSAGE_BYTES as u32,
            grpc_server_max_encoding_message_size: STAGE_MESSAGE_BYTES as u32,
            override_config_producer: Some(settings.clone()),
            override_session_builder: Some(Arc::new(builder)),
            override_physical_codec: Some(stage_codec()),
            override_create_grpc_client_endpoint: Some(node_endpoints(options.tls.clone())),
            use_tls,
            ..SchedulerConfig::default()
        };
        let failed = |error| Error::Internal(format!("Ballista's scheduler does not start: {error}"));
        let ballista =
            BallistaCluster::new_memory(config.scheduler_id.clone(), Arc::new(builder), settings.clone());
        let codec = BallistaCodec::new(Arc::new(BallistaLogicalExtensionCodec::default()), stage_codec());
        let metrics = default_metrics_collector().map_err(failed)?;
        let endpoint = config.scheduler_endpoint();
        let mut scheduler = Scheduler::new(endpoint, ballista, codec, Arc::new(config), metrics);
        scheduler.init().await.map_err(failed)?;
        let session = Arc::new(SessionContext::new_with_state(builder(settings())?));
        let fetcher = Fetcher::new(options.tls.clone(), options.worker_timeout);
        let (idle, delivered) = (Arc::default(), Arc::default());
        let inner = Inner { scheduler, work, idle, delivered, session, fetcher, options };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Ballista's service for workers. It does not authenticate its callers, so it must be served to nodes only.
    pub fn service(&self) -> SchedulerGrpcServer<PollWorkService> {
        let Inner { scheduler, work, idle, delivered, options, .. } = &*self.inner;
        let service = PollWorkService {
            scheduler: scheduler.clone(),
            work: Arc::clone(work),
            poll_wait: options.poll_wait(),
            idle: Arc::clone(idle),
            delivered: Arc::clone(delivered),
        };
        SchedulerGrpcServer::new(service)
            .max_decoding_message_size(STAGE_MESSAGE_BYTES)
            .max_encoding_message_size(STAGE_MESSAGE_BYTES)
    }

    /// Whether there is a worker.
    pub(crate) fn has_workers(&self) -> bool {
        self.inner.scheduler.is_ready()
    }

    /// The number of workers, and the number of tasks that they run at once in total.
    pub async fn capacity(&self) -> (usize, usize) {
        self.inner.capacity().await
    }
}

impl Inner {
    /// A batch of the tasks `part`, which sends its rows to `results`.
    fn batch(
        self: &Arc<Self>,
        tasks: Arc<StageTasks>,
        part: &[usize],
        results: Sender<datafusion::common::Result<RecordBatch>>,
    ) -> TaskBatch {
        TaskBatch::new(Arc::clone(self) as Arc<_>, self.options.batch_policy(), tasks, part, results)
    }

    async fn capacity(&self) -> (usize, usize) {
        let workers = self.scheduler.state.executor_manager.get_executors_state().await;
        let slots = |workers: &[(ballista_core::serde::scheduler::ExecutorMetadata, _, _)]| {
            workers
                .iter()
                .map(|(worker, _, _): &(_, Option<Duration>, Vec<_>)| worker.specification.vcores as usize)
                .sum()
        };
        workers.map_or((0, 0), |workers| (workers.len(), slots(&workers)))
    }

    /// Runs all task batches, at any time as many as fill the current workers.
    async fn run_all(&self, batches: Vec<TaskBatch>) -> datafusion::common::Result<()> {
        if let Ok(workers) = self.scheduler.state.executor_manager.get_executors_state().await {
            self.idle.keep(|id| workers.iter().any(|(worker, _, _)| worker.id == id));
        }
        let mut waiting = batches.into_iter();
        let mut under_way = FuturesUnordered::new();
        loop {
            let (_, slots) = self.capacity().await;
            let most = slots.div_ceil(TASKS_PER_BATCH).max(1) + SPARE_BATCHES;
            let room = most.saturating_sub(under_way.len());
            under_way.extend(waiting.by_ref().take(room).map(TaskBatch::run));
            tokio::select! {
                ended = under_way.next() => match ended {
                    Some(ended) => ended?,
                    None => return Ok(()),
                },
                () = tokio::time::sleep(CAPACITY_CHECK), if waiting.len() > 0 => {}
            }
        }
    }
}

#[async_trait]
impl Engine for Cluster {
    async fn run(&self, stage: Stage) -> Result<SendableRecordBatchStream> {
        let tasks = Arc::new(StageTasks::of(stage)?);
        tasks.encode()?;
        let mut results = RecordBatchReceiverStreamBuilder::new(tasks.schema(), WAITING_BATCHES);
        let sender = results.tx();
        let inner = Arc::clone(&self.inner);
        results.spawn(async move {
            let all: Vec<usize> = (0..tasks.count()).collect();
            let batches =
                all.chunks(TASKS_PER_BATCH).map(|part| inner.batch(Arc::clone(&tasks), part, sender.clone()));
            inner.run_all(batches.collect()).await
        });
        Ok(results.build())
    }
}
