//! Partitions whose rows have been passed on. When a worker is lost, Ballista plans all its partitions again, also those that
//! it had finished, because their results were on it. Those that have been delivered are not run a second time.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ballista_core::JobId;
use ballista_core::serde::protobuf::{SuccessfulTask, TaskDefinition, TaskStatus, task_status};

/// The delivered partitions of each running Ballista job.
#[derive(Debug, Default)]
pub(super) struct Delivered {
    jobs: Mutex<HashMap<String, HashSet<usize>>>,
}

impl Delivered {
    /// Records that the rows of a partition have been passed on.
    pub(super) fn add(&self, job: &JobId, partition: usize) {
        self.jobs().entry(job.as_str().to_owned()).or_default().insert(partition);
    }

    /// Forgets a job that is over.
    pub(super) fn forget(&self, job: &JobId) {
        self.jobs().remove(job.as_str());
    }

    /// Divides tasks into those that must run and those whose partitions have all been delivered.
    pub(super) fn split(&self, tasks: Vec<TaskDefinition>) -> (Vec<TaskDefinition>, Vec<TaskDefinition>) {
        let jobs = self.jobs();
        tasks.into_iter().partition(|task| {
            let delivered = jobs.get(&task.job_id);
            let is_delivered = |partition: &u32| {
                delivered.is_some_and(|delivered| delivered.contains(&(*partition as usize)))
            };
            !task.global_output_partition_ids.iter().all(is_delivered)
        })
    }

    fn jobs(&self) -> MutexGuard<'_, HashMap<String, HashSet<usize>>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The status of a task that `worker` was to run and whose rows have been delivered: done, with no result to fetch.
pub(super) fn done(task: &TaskDefinition, worker: &str) -> TaskStatus {
    let success = SuccessfulTask { executor_id: worker.to_owned(), ..SuccessfulTask::default() };
    TaskStatus {
        task_id: task.task_id,
        job_id: task.job_id.clone(),
        stage_id: task.stage_id,
        stage_attempt_num: task.stage_attempt_num,
        launch_time: task.launch_time,
        status: Some(task_status::Status::Successful(success)),
        ..TaskStatus::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(job: &str, task_id: u32, partitions: &[u32]) -> TaskDefinition {
        TaskDefinition {
            task_id,
            job_id: job.to_owned(),
            global_output_partition_ids: partitions.to_vec(),
            ..TaskDefinition::default()
        }
    }

    #[test]
    fn only_tasks_with_an_undelivered_partition_run() {
        let delivered = Delivered::default();
        let (a, b) = (JobId::from("a".to_owned()), JobId::from("b".to_owned()));
        delivered.add(&a, 1);
        delivered.add(&a, 2);
        delivered.add(&b, 3);
        let tasks =
            vec![task("a", 10, &[1]), task("a", 11, &[3]), task("a", 12, &[1, 2]), task("a", 13, &[2, 3])];
        let ids = |tasks: Vec<TaskDefinition>| tasks.iter().map(|task| task.task_id).collect::<Vec<_>>();
        let (to_run, repeated) = delivered.split(tasks.clone());
        assert_eq!((ids(to_run), ids(repeated)), (vec![11, 13], vec![10, 12]));
        delivered.forget(&a);
        assert_eq!(ids(delivered.split(tasks).0), [10, 11, 12, 13]);
    }

    #[test]
    fn a_repeated_task_is_done_without_a_result() {
        let status = done(&task("a", 10, &[1]), "worker");
        assert_eq!((status.task_id, status.job_id.as_str()), (10, "a"));
        let Some(task_status::Status::Successful(success)) = status.status else { panic!("it is not done") };
        assert_eq!((success.executor_id.as_str(), success.partitions.len()), ("worker", 0));
    }
}
