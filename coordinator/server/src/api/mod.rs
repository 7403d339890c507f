//! The servers of a coordinator: jobs and results for people and Ballista's scheduler for workers, all on one address.

mod access;
mod jobs;
mod results;
mod settings;
mod sql;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arrow_flight::flight_service_server::FlightServiceServer;
use hindcast_base::{Error, Result};
use hindcast_engine::{LocalOptions, runtime};
use hindcast_node::{Tls, check_plain_text, connections, is_loopback, serve};
use hindcast_observability::{Health, gauge, serve_http, terminated};
use hindcast_proto::v1::jobs_server::JobsServer;
use tokio::net::TcpListener;
use tonic::service::interceptor::InterceptedService;

pub use access::AccessTokens;
pub use settings::Role;
pub use settings::Settings;
pub use sql::answer_query;

use crate::cluster::{Cluster, ClusterOptions};
use crate::jobs::{JobContext, JobLimits, JobManager, register_metrics, run_schedules};
use crate::web::{JobRuns, Runs, serve_pages};
use hindcast_scan::geoip::LocationDatabase;
use hindcast_scan::lake_access::Access;

/// Concurrent streams of one connection: polls of a worker, or watching and fetching of a person.
const STREAMS_PER_CONNECTION: u32 = 64;

/// Longest time between the start of a request and the start of its answer, unless queries may take longer.
const LONGEST_REQUEST: Duration = Duration::from_secs(120);

/// Runs a coordinator until SIGTERM or Ctrl-C. The next coordinator with this state continues the jobs that have not ended.
///
/// # Errors
/// [`Error::Invalid`] for invalid settings, [`Error::Io`] if the coordinator can't listen on an address, and
/// [`Error::Storage`] if the state can't be read.
pub async fn run_coordinator(settings: Settings, tls: Option<Tls>, own: LocalOptions) -> Result<()> {
    for listen in [Some(settings.listen), settings.web].into_iter().flatten() {
        check_exposure(&listen.to_string(), &settings, tls.as_ref())?;
    }
    let sinks = settings.sinks()?;
    let schedules = settings.schedules()?;
    let access = Access::Only(settings.lakes()?);
    let detections = settings.detections().await?;
    schedules.iter().try_for_each(|schedule| schedule.check(&access, &detections))?;
    let locations = settings.geoip.as_deref().map(LocationDatabase::open).transpose()?;
    let listener = TcpListener::bind(settings.listen)
        .await
        .map_err(Error::io(format!("listening on {}", settings.listen)))?;
    let address = listener.local_addr().map_err(Error::io("reading the address listened on"))?;
    let limits =
        JobLimits { concurrent: settings.limits.concurrent_jobs, queued: settings.limits.queued_jobs };
    let cluster = Arc::new(Cluster::start(cluster_options(&settings, tls.clone())).await?);
    register_metrics();
    let recovered = Arc::new(AtomicBool::new(false));
    let http = serve_http(settings.http, readiness(&cluster, &recovered)).await?;
    tokio::spawn(meter(Arc::clone(&cluster)));

    let runtime = runtime(own.memory_bytes, None)?;
    let context = JobContext { cluster: Arc::clone(&cluster), runtime, access, detections, locations, sinks };
    let manager = JobManager::recover(settings.state()?, context, limits).await?;
    recovered.store(true, Ordering::Relaxed);
    tokio::spawn(run_schedules(Arc::clone(&manager), schedules));

    let tokens = Arc::new(AccessTokens::new(&settings.tokens));
    let sql = sql::SqlApi::new(Arc::clone(&manager), settings.sql.clone()).await?;
    if let Some(listen) = settings.web {
        let runs = Runs::Jobs(JobRuns::new(Arc::clone(&manager), settings.lakes.clone()));
        let tokens = (!settings.tokens.is_empty()).then(|| Arc::clone(&tokens));
        let url = serve_pages(listen, settings.tls.as_deref(), runs, tokens).await?;
        println!("pages at {url}");
    }
    let with_token = access::require_token(Arc::clone(&tokens));
    let jobs = JobsServer::new(jobs::JobsApi::new(
        Arc::clone(&manager),
        Arc::clone(&tokens),
        settings.limits.clone(),
    ))
    .max_decoding_message_size(settings.limits.request_bytes)
    .max_encoding_message_size(settings.limits.message_bytes);
    let results = FlightServiceServer::new(results::ResultsApi::new(manager, sql, tokens))
        .max_decoding_message_size(settings.limits.request_bytes)
        .max_encoding_message_size(settings.limits.message_bytes);
    let scheduler = InterceptedService::new(cluster.service(), access::require_node(tls.is_some()));
    tracing::info!(%address, %http, tls = tls.is_some(), "coordinator started");
    println!("coordinator at {address}, metrics and health at {http}");
    let served = serve(tls.as_ref())?
        .max_concurrent_streams(STREAMS_PER_CONNECTION)
        .timeout(LONGEST_REQUEST.max(Duration::from_secs(settings.sql.seconds.saturating_mul(2))))
        .add_service(InterceptedService::new(jobs, with_token.clone()))
        .add_service(InterceptedService::new(results, with_token))
        .add_service(scheduler)
        .serve_with_incoming(connections(listener));
    // Don't wait for open streams: those of watchers and workers never end by themselves, and everything is stored already.
    tokio::select! {
        ended = served => ended.map_err(|error| Error::Internal(format!("serving failed: {error}"))),
        () = terminated() => Ok(()),
    }
}

/// Refuses to serve without TLS or without tokens beyond this machine, unless the settings allow it.
fn check_exposure(listen: &str, settings: &Settings, tls: Option<&Tls>) -> Result<()> {
    check_plain_text(listen, tls, settings.insecure)?;
    if settings.tokens.is_empty() && !settings.insecure && !is_loopback(listen) {
        return Err(Error::Invalid(format!(
            "everyone who can reach {listen} could submit jobs: configure [[tokens]], or give --insecure"
        )));
    }
    Ok(())
}

fn readiness(cluster: &Arc<Cluster>, recovered: &Arc<AtomicBool>) -> Health {
    let (cluster, recovered) = (Arc::clone(cluster), Arc::clone(recovered));
    Arc::new(move || match (recovered.load(Ordering::Relaxed), cluster.has_workers()) {
        (false, _) => Err("reading the job store".to_owned()),
        (true, false) => Err("there is no worker".to_owned()),
        (true, true) => Ok(()),
    })
}

fn cluster_options(settings: &Settings, tls: Option<Tls>) -> ClusterOptions {
    ClusterOptions {
        tls,
        worker_timeout: Duration::from_secs(settings.faults.worker_timeout_seconds),
        stall: Duration::from_secs(settings.faults.stall_seconds),
        attempts: settings.faults.attempts,
    }
}

/// Updates the gauges of workers.
async fn meter(cluster: Arc<Cluster>) {
    let workers = gauge("hindcast_workers", "Registered workers");
    let slots = gauge("hindcast_cluster_slots", "Tasks that all workers together run at once");
    loop {
        let (count, capacity) = cluster.capacity().await;
        workers.set(count as i64);
        slots.set(capacity as i64);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Parses an address to listen on.
///
/// # Errors
/// [`Error::Invalid`] if it is not IP:PORT.
pub fn parse_address(text: &str) -> Result<SocketAddr> {
    text.parse().map_err(|_| Error::Invalid(format!("{text:?} is not an address to listen on: give IP:PORT")))
}
