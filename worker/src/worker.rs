//! Starts the parts of a worker and stops them in order.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ballista_core::error::BallistaError;
use ballista_core::registry::BallistaFunctionRegistry;
use ballista_core::serde::protobuf::ExecutorStoppedParams;
use ballista_core::serde::protobuf::scheduler_grpc_client::SchedulerGrpcClient;
use ballista_core::serde::{BallistaCodec, BallistaLogicalExtensionCodec};
use ballista_executor::execution_loop::poll_loop;
use ballista_executor::executor::Executor;
use ballista_executor::executor_process::{ExecutorProcessConfig, structure_executor_metadata};
use ballista_executor::health::ExecutorHealth;
use datafusion::execution::memory_pool::MemoryLimit;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};
use hindcast_base::{Error, Result};
use hindcast_engine::{LocalOptions, runtime};
use hindcast_node::{
    STAGE_MESSAGE_BYTES, Tls, ballista_session, check_plain_text, connect_endpoint, stage_codec,
};
use hindcast_observability::{gauge, serve_http, terminated};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tonic::transport::Channel;

use crate::backoff::BackoffChannel;
use crate::drain::Drain;
use crate::failure_detector::{FailureDetector, MonitoredEngine};
use crate::flight_server::{DiscardMetrics, serve_results};

/// Longest time in which a worker reports that it leaves.
const REPORT_LIMIT: Duration = Duration::from_secs(2);

type SchedulerClient = SchedulerGrpcClient<BackoffChannel<Channel>>;

/// How a worker runs.
#[derive(Debug, Clone)]
pub struct WorkerOptions {
    /// Address of the coordinator.
    pub coordinator: String,
    /// Address at which the worker serves results to the coordinator.
    pub listen: SocketAddr,
    /// Address of metrics and health.
    pub http: SocketAddr,
    /// Host under which the coordinator reaches `listen`; without it, this machine's address on the route to the coordinator.
    pub advertise: Option<String>,
    /// Threads and memory of the tasks.
    pub tasks: LocalOptions,
    /// Folder for spill files and results; a temporary folder if absent. Its content is lost with the worker.
    pub scratch: Option<PathBuf>,
    /// Certificates; plain text if absent.
    pub tls: Option<Tls>,
    /// Whether plain text may leave this machine.
    pub is_insecure: bool,
    /// Longest time that a stopping worker waits for its tasks.
    pub drain_timeout: Duration,
}

/// Runs until SIGTERM or Ctrl-C. Then it takes no more tasks, finishes the running ones, waits until their results are fetched, and stops.
///
/// # Errors
/// [`Error::Invalid`] for addresses that can't be used, [`Error::Io`] if the worker can't listen on one.
pub async fn run_worker(options: WorkerOptions) -> Result<()> {
    check_plain_text(&options.coordinator, options.tls.as_ref(), options.is_insecure)?;
    check_plain_text(&options.listen.to_string(), options.tls.as_ref(), options.is_insecure)?;
    let scratch = match &options.scratch {
        Some(folder) => std::fs::create_dir_all(folder)
            .and_then(|()| tempfile::Builder::new().prefix("hindcast-worker-").tempdir_in(folder)),
        None => tempfile::tempdir(),
    };
    let scratch = scratch.map_err(Error::io("creating the scratch folder"))?;
    let runtime = runtime(options.tasks.memory_bytes, Some(scratch.path()))?;
    let listener = TcpListener::bind(options.listen)
        .await
        .map_err(Error::io(format!("listening on {}", options.listen)))?;
    let port = listener.local_addr().map_err(Error::io("reading the address listened on"))?.port();
    let host = match &options.advertise {
        Some(host) => host.clone(),
        None => own_address(&options)?.to_string(),
    };

    let work_folder = scratch.path().display().to_string();
    let failures = FailureDetector::default();
    let watched = Arc::new(MonitoredEngine::new(failures.clone()));
    let executor = Arc::new(executor(&options, &host, port, &work_folder, &runtime, watched));
    let results = serve_results(listener, Arc::clone(&executor), options.tls.as_ref())?;
    let slots = Arc::new(Semaphore::new(executor.vcores));
    let health = ExecutorHealth::new();
    let scheduler = connect(&options)?;
    let codec: BallistaCodec<LogicalPlanNode, PhysicalPlanNode> =
        BallistaCodec::new(Arc::new(BallistaLogicalExtensionCodec::default()), stage_codec());
    let mut polls = tokio::spawn(poll_loop(
        scheduler.clone(),
        Arc::clone(&executor),
        codec,
        None,
        Some(Arc::clone(&slots)),
        health.clone(),
    ));

    let drain = Drain::new(slots, executor.vcores, Arc::clone(&executor));
    let is_draining = drain.flag();
    let ready = move || match (is_draining.is_set(), health.is_ready()) {
        (true, _) => Err("draining".to_owned()),
        (false, false) => Err("the coordinator does not answer".to_owned()),
        (false, true) => Ok(()),
    };
    let http = serve_http(options.http, Arc::new(ready)).await?;
    let meter = tokio::spawn(meter(runtime, executor.vcores));
    tracing::info!(id = executor.metadata.id, address = %format!("{host}:{port}"), %http, slots = executor.vcores, "worker started");

    let failed = tokio::select! {
        ended = &mut polls => Some(stopped("polling for tasks", ended)),
        ended = results => Some(stopped("serving results", ended)),
        () = failures.limit_reached() => Some(Error::Internal(
            "too many tasks failed in a row on this worker: other workers take them over".into(),
        )),
        () = terminated() => None,
    };
    if failed.is_none() {
        tracing::info!("stopping: no more tasks are taken");
        drain.run(options.drain_timeout).await;
    }
    // A poll after the report would make this worker known again.
    polls.abort();
    report_leaving(scheduler, &executor.metadata.id).await;
    meter.abort();
    tracing::info!("worker stopped");
    failed.map_or(Ok(()), Err)
}

/// Connects to the coordinator's scheduler on first use.
fn connect(options: &WorkerOptions) -> Result<SchedulerClient> {
    let endpoint = connect_endpoint(&options.coordinator, options.tls.as_ref(), true)?;
    Ok(SchedulerGrpcClient::new(BackoffChannel::new(endpoint.connect_lazy()))
        .max_decoding_message_size(STAGE_MESSAGE_BYTES)
        .max_encoding_message_size(STAGE_MESSAGE_BYTES))
}

/// Reports to the coordinator that this worker leaves, so that its unfinished tasks go to other workers at once.
async fn report_leaving(mut scheduler: SchedulerClient, id: &str) {
    let report = ExecutorStoppedParams { executor_id: id.to_owned(), reason: "it leaves".to_owned() };
    let answer = tokio::time::timeout(REPORT_LIMIT, scheduler.executor_stopped(report)).await;
    if !matches!(answer, Ok(Ok(_))) {
        tracing::warn!("the coordinator does not answer: it counts this worker until its timeout");
    }
}

fn executor(
    options: &WorkerOptions,
    host: &str,
    port: u16,
    work_folder: &str,
    runtime: &Arc<RuntimeEnv>,
    engine: Arc<MonitoredEngine>,
) -> Executor {
    let slots = options.tasks.tasks();
    let process = Arc::new(ExecutorProcessConfig {
        executor_id: uuid::Uuid::now_v7().to_string(),
        external_host: Some(host.to_owned()),
        port,
        grpc_port: port,
        ..ExecutorProcessConfig::default()
    });
    let use_tls = options.tls.is_some();
    let runtime = Arc::clone(runtime);
    Executor::new(
        structure_executor_metadata(&process, slots as u32),
        work_folder,
        Arc::new(move |_| Ok(Arc::clone(&runtime))),
        Arc::new(move || ballista_session(use_tls)),
        Arc::new(BallistaFunctionRegistry::default()),
        Arc::new(DiscardMetrics),
        slots,
        engine,
    )
}

/// This machine's address on the route to the coordinator.
fn own_address(options: &WorkerOptions) -> Result<IpAddr> {
    if !options.listen.ip().is_unspecified() {
        return Ok(options.listen.ip());
    }
    let bare = options.coordinator.trim_start_matches("https://").trim_start_matches("http://");
    // Connecting a datagram socket sends nothing, but determines its local address.
    let socket = UdpSocket::bind("0.0.0.0:0").and_then(|socket| socket.connect(bare).map(|()| socket));
    let address = socket.and_then(|socket| socket.local_addr());
    address.map(|address| address.ip()).map_err(|error| {
        Error::Invalid(format!("no route to {} ({error}): give --advertise HOST", options.coordinator))
    })
}

/// Updates the memory gauges.
async fn meter(runtime: Arc<RuntimeEnv>, slots: usize) {
    gauge("hindcast_worker_slots", "Tasks this worker runs at once").set(slots as i64);
    let limit = gauge("hindcast_memory_limit_bytes", "Memory limit for grouping, sorting and joining");
    let reserved = gauge("hindcast_memory_pool_bytes", "Memory held by grouping, sorting and joining");
    if let MemoryLimit::Finite(bytes) = runtime.memory_pool.memory_limit() {
        limit.set(bytes as i64);
    }
    loop {
        reserved.set(runtime.memory_pool.reserved() as i64);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

fn stopped(
    part: &str,
    ended: std::result::Result<std::result::Result<(), BallistaError>, tokio::task::JoinError>,
) -> Error {
    Error::Internal(match ended {
        Ok(Ok(())) => format!("{part} ended"),
        Ok(Err(error)) => format!("{part} failed: {error}"),
        Err(error) => format!("{part} stopped: {error}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(coordinator: &str, listen: &str) -> WorkerOptions {
        WorkerOptions {
            coordinator: coordinator.into(),
            listen: listen.parse().unwrap(),
            http: "127.0.0.1:0".parse().unwrap(),
            advertise: None,
            tasks: LocalOptions { threads: 1, memory_bytes: 64 << 20 },
            scratch: None,
            tls: None,
            is_insecure: false,
            drain_timeout: Duration::ZERO,
        }
    }

    #[test]
    fn the_own_address_is_the_one_listened_on_or_that_on_the_route() {
        let own = |coordinator: &str, listen: &str| own_address(&options(coordinator, listen));
        assert_eq!(own("192.0.2.1:7480", "127.0.0.1:0").unwrap().to_string(), "127.0.0.1");
        assert_eq!(own("https://127.0.0.1:7480", "0.0.0.0:0").unwrap().to_string(), "127.0.0.1");
        let error = own("no port", "0.0.0.0:0").unwrap_err().to_string();
        assert!(error.contains("give --advertise HOST"), "{error}");
    }

    #[tokio::test]
    async fn plain_text_beyond_this_machine_is_refused() {
        for (coordinator, listen) in [("192.0.2.1:7480", "127.0.0.1:0"), ("127.0.0.1:7480", "0.0.0.0:0")] {
            let error = run_worker(options(coordinator, listen)).await.unwrap_err();
            assert_eq!(error.kind(), hindcast_base::ErrorKind::InvalidInput, "{error}");
            assert!(error.to_string().contains("--insecure"), "{error}");
        }
    }

    #[test]
    fn a_part_that_stops_is_named() {
        let failed = stopped("polling for tasks", Ok(Err(BallistaError::General("refused".into()))));
        assert!(failed.to_string().starts_with("polling for tasks failed"), "{failed}");
        assert_eq!(stopped("serving results", Ok(Ok(()))).to_string(), "serving results ended");
    }
}
