//! The worker's server for its coordinator: task results by Arrow Flight, and cancellation of tasks.

use std::sync::Arc;

use arrow_flight::flight_service_server::FlightServiceServer;
use ballista_core::JobId;
use ballista_core::error::BallistaError;
use ballista_core::serde::protobuf::executor_grpc_server::{ExecutorGrpc, ExecutorGrpcServer};
use ballista_core::serde::protobuf::{
    CancelTasksParams, CancelTasksResult, LaunchMultiTaskParams, LaunchMultiTaskResult, LaunchTaskParams,
    LaunchTaskResult, RemoveJobDataParams, RemoveJobDataResult, StopExecutorParams, StopExecutorResult,
};
use ballista_executor::execution_engine::QueryStageExecutor;
use ballista_executor::executor::Executor;
use ballista_executor::flight_service::BallistaFlightService;
use ballista_executor::metrics::ExecutorMetricsCollector;
use hindcast_base::Result;
use hindcast_node::{STAGE_MESSAGE_BYTES, Tls, comes_from_node, connection_slot_of, connections, serve};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tonic::{Request, Response, Status};

/// Serves results and cancellation to nodes. With `tls`, other clients are refused.
pub(crate) fn serve_results(
    listener: TcpListener,
    executor: Arc<Executor>,
    tls: Option<&Tls>,
) -> Result<JoinHandle<std::result::Result<(), BallistaError>>> {
    let is_checked = tls.is_some();
    let only_nodes = move |request: Request<()>| -> std::result::Result<Request<()>, Status> {
        if is_checked && !comes_from_node(&request) {
            return Err(Status::permission_denied("only the coordinator may call a worker"));
        }
        if let Some(slot) = connection_slot_of(&request) {
            slot.note_node_request();
        }
        Ok(request)
    };
    let flight = FlightServiceServer::new(BallistaFlightService::new(executor.work_dir.clone()))
        .max_decoding_message_size(STAGE_MESSAGE_BYTES)
        .max_encoding_message_size(STAGE_MESSAGE_BYTES);
    let control = ExecutorGrpcServer::new(ExecutorControl { executor });
    let served = serve(tls)?
        .add_service(tonic::service::interceptor::InterceptedService::new(flight, only_nodes))
        .add_service(tonic::service::interceptor::InterceptedService::new(control, only_nodes))
        .serve_with_incoming(connections(listener));
    Ok(tokio::spawn(async move { served.await.map_err(BallistaError::TonicError) }))
}

/// The part of Ballista's executor protocol that a worker needs although it polls for its tasks.
struct ExecutorControl {
    executor: Arc<Executor>,
}

#[tonic::async_trait]
impl ExecutorGrpc for ExecutorControl {
    async fn launch_task(
        &self,
        _: Request<LaunchTaskParams>,
    ) -> std::result::Result<Response<LaunchTaskResult>, Status> {
        Err(Status::unimplemented("this worker polls for its tasks"))
    }

    async fn launch_multi_task(
        &self,
        _: Request<LaunchMultiTaskParams>,
    ) -> std::result::Result<Response<LaunchMultiTaskResult>, Status> {
        Err(Status::unimplemented("this worker polls for its tasks"))
    }

    /// Ballista sends this to a worker whose heartbeat is overdue. The worker continues: its next poll registers it again.
    async fn stop_executor(
        &self,
        request: Request<StopExecutorParams>,
    ) -> std::result::Result<Response<StopExecutorResult>, Status> {
        tracing::warn!(
            reason = request.get_ref().reason,
            "the coordinator had removed this worker; it registers again"
        );
        Ok(Response::new(StopExecutorResult {}))
    }

    async fn cancel_tasks(
        &self,
        request: Request<CancelTasksParams>,
    ) -> std::result::Result<Response<CancelTasksResult>, Status> {
        let mut cancelled = true;
        for task in request.into_inner().task_infos {
            let job = JobId::from(task.job_id);
            let found = self.executor.cancel_task(job, task.stage_id as usize, task.task_id as usize).await;
            cancelled &= found.unwrap_or(false);
        }
        Ok(Response::new(CancelTasksResult { cancelled }))
    }

    async fn remove_job_data(
        &self,
        _: Request<RemoveJobDataParams>,
    ) -> std::result::Result<Response<RemoveJobDataResult>, Status> {
        Err(Status::unimplemented("this worker gets this instruction with its tasks"))
    }
}

/// Ignores the plan metrics that Ballista offers for each task: the tasks themselves count the metrics for operators.
pub(crate) struct DiscardMetrics;

impl ExecutorMetricsCollector for DiscardMetrics {
    fn record_stage(&self, _: &JobId, _: usize, _: usize, _: Arc<dyn QueryStageExecutor>) {}
}
