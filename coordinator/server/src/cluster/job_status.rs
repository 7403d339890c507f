//! The status of a Ballista job: which partitions are done and where their results are, how often partitions were started, and how the job ended.

use std::collections::HashMap;

use ballista_core::JobId;
use ballista_core::serde::protobuf::{job_status, task_status};
use ballista_core::serde::scheduler::{PartitionId, ShuffleLayout};
use ballista_scheduler::state::execution_stage::{ExecutionStage, TaskInfo};

use super::Scheduler;

/// Where the result of a partition is fetched from.
#[derive(Debug, Clone)]
pub(super) struct ResultLocation {
    pub(super) executor: String,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) partition: PartitionId,
    pub(super) file: Option<u64>,
    pub(super) layout: ShuffleLayout,
}

/// The current status of a job.
#[derive(Debug)]
pub(super) enum JobStatus {
    /// The job has not ended.
    Running {
        /// Results of the finished partitions.
        results: HashMap<usize, ResultLocation>,
        /// How often each partition was started.
        starts: HashMap<usize, usize>,
        /// Running partitions, with the worker of each.
        running: HashMap<usize, String>,
    },
    /// The job succeeded; the results of its partitions.
    Done(HashMap<usize, ResultLocation>),
    /// The job failed, with Ballista's message.
    Failed(String),
}

impl JobStatus {
    /// Whether a partition was started and is ready again, because its worker was lost.
    pub(super) fn waits_again(&self, partition: usize) -> bool {
        let JobStatus::Running { results, starts, running } = self else { return false };
        starts.contains_key(&partition)
            && !results.contains_key(&partition)
            && !running.contains_key(&partition)
    }
}

/// Returns the status of a job. Our jobs have only one level of stages, so the first running stage is the job.
pub(super) async fn job_status_of(scheduler: &Scheduler, job: &JobId) -> JobStatus {
    let running = scheduler.state.task_manager.get_running_job_cache();
    if let Some(cached) = running.get(job) {
        let graph = cached.execution_graph.read().await;
        let stage = graph.stages().values().find_map(|stage| match stage {
            ExecutionStage::Running(stage) => Some(stage),
            _ => None,
        });
        if let Some(stage) = stage {
            let (stage_id, tasks) = (stage.stage_id, stage.task_infos.clone());
            drop(graph);
            return of_tasks(scheduler, job, stage_id, &tasks).await;
        }
    }
    match scheduler.state.task_manager.get_job_status(job).await {
        Ok(Some(status)) => of_status(status.status),
        // Ballista has not registered the job yet.
        Ok(None) => of_status(None),
        Err(error) => JobStatus::Failed(error.to_string()),
    }
}

async fn of_tasks(scheduler: &Scheduler, job: &JobId, stage_id: usize, tasks: &[TaskInfo]) -> JobStatus {
    let mut results = HashMap::new();
    let mut starts: HashMap<usize, usize> = HashMap::new();
    let mut running = HashMap::new();
    for task in tasks {
        for partition in &task.global_input_partition_ids {
            *starts.entry(*partition).or_default() += 1;
        }
        if let task_status::Status::Running(at) = &task.task_status {
            running
                .extend(task.global_input_partition_ids.iter().map(|index| (*index, at.executor_id.clone())));
        }
        let task_status::Status::Successful(success) = &task.task_status else { continue };
        let worker = scheduler.state.executor_manager.get_executor_metadata(&success.executor_id).await;
        let Ok(worker) = worker else { continue };
        for written in &success.partitions {
            let index = written.partition_id as usize;
            let partition = PartitionId { job_id: job.clone(), stage_id, partition_id: index };
            let layout =
                if written.is_sort_shuffle { ShuffleLayout::Sort } else { ShuffleLayout::Passthrough };
            let (executor, host) = (worker.id.clone(), worker.host.clone());
            let file = written.file_id;
            results
                .insert(index, ResultLocation { executor, host, port: worker.port, partition, file, layout });
        }
    }
    JobStatus::Running { results, starts, running }
}

fn of_status(status: Option<job_status::Status>) -> JobStatus {
    match status {
        Some(job_status::Status::Successful(job)) => {
            let results = job.partition_location.into_iter().filter_map(|location| {
                let layout = location.layout();
                let worker = location.executor_meta?;
                let partition: PartitionId = location.partition_id?.into();
                let (executor, host, port) = (worker.id, worker.host, worker.port as u16);
                let index = partition.partition_id;
                Some((
                    index,
                    ResultLocation { executor, host, port, partition, file: location.file_id, layout },
                ))
            });
            JobStatus::Done(results.collect())
        }
        Some(job_status::Status::Failed(job)) => JobStatus::Failed(job.error),
        _ => JobStatus::Running { results: HashMap::new(), starts: HashMap::new(), running: HashMap::new() },
    }
}
