//! Task batches on a cluster whose failures a test chooses.

use std::collections::BTreeMap;
use std::sync::{Mutex, atomic::AtomicUsize, atomic::Ordering};

use arrow::array::{ArrayRef, AsArray, StringArray};
use async_trait::async_trait;
use ballista_core::serde::scheduler::{PartitionId, ShuffleLayout};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlanProperties;
use futures::TryStreamExt;
use hindcast_base::ErrorKind;
use hindcast_base::storage_fault::StorageOperation;
use hindcast_base::time::Window;
use hindcast_detections::analyses::FAULT_COLUMN;
use hindcast_detections::config::Config;
use hindcast_engine::{MergeFault, MergeStage, RollupStage, RollupUnit, UnitFault, UnitOutcome};
use hindcast_observability::Origin;
use tokio::sync::mpsc::{Receiver, channel};

use super::*;

/// Longer than any test.
const NEVER: Duration = Duration::from_secs(600);
/// The worker that reports to be idle.
const IDLE_WORKER: &str = "idle";

/// What becomes of a submitted job.
#[derive(Debug, Clone)]
enum Fate {
    /// All tasks succeed.
    Succeeds,
    /// These tasks succeed; nothing happens to the others.
    Hangs(Vec<usize>),
    /// The job ends, and the results of these tasks are lost.
    Loses(Vec<usize>),
    /// The job ends, and the worker does not deliver the results of these tasks.
    Withholds(Vec<usize>),
    /// All tasks end, and these report that the store failed.
    FailsAtStore(Vec<usize>),
    /// Ballista reports a failure.
    Fails,
    /// Workers were lost again and again with the same task.
    Restarts,
    /// The worker that has the tasks reports to be idle.
    Forgets,
    /// The worker of these tasks was lost; its tasks, and only these, were started often.
    IsBereft(Vec<usize>),
}

struct Job {
    tasks: Vec<usize>,
    fate: Fate,
}

/// The fate of a job, by the number of its submission and its tasks.
type FateOf = Box<dyn Fn(usize, &[usize]) -> Fate + Send + Sync>;

/// A cluster on which `fate` decides, by the number of the submission and its tasks, what becomes of a job.
struct FakeCluster {
    fate: FateOf,
    jobs: Mutex<Vec<Job>>,
    cancelled: Mutex<Vec<usize>>,
    /// Tasks whose rows were passed on.
    delivered: Mutex<Vec<usize>>,
    announcements: AtomicUsize,
}

impl FakeCluster {
    fn new(fate: impl Fn(usize, &[usize]) -> Fate + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            fate: Box::new(fate),
            jobs: Mutex::default(),
            cancelled: Mutex::default(),
            delivered: Mutex::default(),
            announcements: AtomicUsize::default(),
        })
    }

    /// The tasks of each submission.
    fn submissions(&self) -> Vec<Vec<usize>> {
        self.jobs.lock().unwrap().iter().map(|job| job.tasks.clone()).collect()
    }
}

fn location(job: &JobId, partition_id: usize) -> ResultLocation {
    ResultLocation {
        executor: "worker".into(),
        host: "127.0.0.1".into(),
        port: 1,
        partition: PartitionId { job_id: job.clone(), stage_id: 1, partition_id },
        file: None,
        layout: ShuffleLayout::Passthrough,
    }
}

/// The index of the task in a partition of a plan.
async fn task_of(plan: &Arc<dyn ExecutionPlan>, partition: usize) -> usize {
    let texts = plan.children()[0].execute(partition, Arc::new(TaskContext::default())).unwrap();
    let texts: Vec<RecordBatch> = texts.try_collect().await.unwrap();
    let task: serde_json::Value =
        serde_json::from_str(texts[0].column(0).as_string::<i32>().value(0)).unwrap();
    task["index"].as_u64().unwrap() as usize
}

#[async_trait]
impl TaskRunner for FakeCluster {
    fn has_workers(&self) -> bool {
        true
    }

    async fn submit(&self, plan: Arc<dyn ExecutionPlan>) -> std::result::Result<JobId, String> {
        let mut tasks = Vec::new();
        for partition in 0..plan.output_partitioning().partition_count() {
            tasks.push(task_of(&plan, partition).await);
        }
        let mut jobs = self.jobs.lock().unwrap();
        let fate = (self.fate)(jobs.len(), &tasks);
        jobs.push(Job { tasks, fate });
        Ok(JobId::from((jobs.len() - 1).to_string()))
    }

    async fn status(&self, job: &JobId) -> JobStatus {
        let jobs = self.jobs.lock().unwrap();
        let Job { tasks, fate } = &jobs[job.as_str().parse::<usize>().unwrap()];
        let located = |is_there: &dyn Fn(&usize) -> bool| -> HashMap<usize, ResultLocation> {
            let partitions = tasks.iter().enumerate().filter(|(_, task)| is_there(task));
            partitions.map(|(partition, _)| (partition, location(job, partition))).collect()
        };
        let last = tasks.len() - 1;
        let running = |results, worker: &str, starts: &dyn Fn(usize) -> usize| JobStatus::Running {
            results,
            starts: (0..=last).map(|partition| (partition, starts(partition))).collect(),
            running: (0..=last).map(|partition| (partition, worker.to_owned())).collect(),
        };
        match fate {
            Fate::Succeeds | Fate::Withholds(_) | Fate::FailsAtStore(_) => {
                JobStatus::Done(located(&|_| true))
            }
            Fate::Loses(lost) => JobStatus::Done(located(&|task| !lost.contains(task))),
            Fate::Fails => JobStatus::Failed("a task failed".into()),
            Fate::Hangs(done) => running(located(&|task| done.contains(task)), "busy", &|_| 1),
            Fate::Restarts => running(HashMap::new(), "busy", &|_| MOST_STARTS + 1),
            Fate::Forgets => running(HashMap::new(), IDLE_WORKER, &|_| 1),
            // At first all but the last task are done. Then their worker is lost, and all are ready again.
            Fate::IsBereft(lost) if self.delivered.lock().unwrap().len() < lost.len() => {
                running(located(&|task| lost.contains(task)), "busy", &|_| 1)
            }
            Fate::IsBereft(_) if self.announcements.load(Ordering::Relaxed) == 0 => JobStatus::Running {
                results: HashMap::new(),
                starts: (0..=last).map(|place| (place, MOST_STARTS + usize::from(place != last))).collect(),
                running: HashMap::new(),
            },
            Fate::IsBereft(lost) => JobStatus::Done(located(&|task| !lost.contains(task))),
        }
    }

    async fn fetch(&self, location: &ResultLocation) -> std::result::Result<Vec<RecordBatch>, String> {
        let jobs = self.jobs.lock().unwrap();
        let Job { tasks, fate } = &jobs[location.partition.job_id.as_str().parse::<usize>().unwrap()];
        let task = tasks[location.partition.partition_id];
        match fate {
            Fate::Withholds(withheld) if withheld.contains(&task) => Err("the worker does not answer".into()),
            Fate::FailsAtStore(failing) if failing.contains(&task) => {
                Ok(vec![rows(task, Some(MergeFault::Storage(slow_store())))])
            }
            _ => Ok(vec![rows(task, None)]),
        }
    }

    fn delivered(&self, job: &JobId, partition: usize) {
        let jobs = self.jobs.lock().unwrap();
        self.delivered.lock().unwrap().push(jobs[job.as_str().parse::<usize>().unwrap()].tasks[partition]);
    }

    fn announce(&self) {
        self.announcements.fetch_add(1, Ordering::Relaxed);
    }

    fn has_been_idle_for(&self, worker: &str, _: Duration) -> bool {
        worker == IDLE_WORKER
    }

    fn cancel(&self, job: JobId) {
        self.cancelled.lock().unwrap().push(job.as_str().parse().unwrap());
    }
}

/// The rows of a task: the outcome of a unit, and the fault of a shard.
fn rows(unit: usize, fault: Option<MergeFault>) -> RecordBatch {
    let outcome = serde_json::to_string(&UnitOutcome { unit, result: Ok(Vec::new()) }).unwrap();
    let outcome: ArrayRef = Arc::new(StringArray::from(vec![outcome]));
    let fault = fault.map(|fault| serde_json::to_string(&fault).unwrap());
    let fault: ArrayRef = Arc::new(StringArray::from(vec![fault]));
    RecordBatch::try_from_iter_with_nullable([("outcome", outcome, false), (FAULT_COLUMN, fault, true)])
        .unwrap()
}

fn slow_store() -> StorageFault {
    StorageFault::temporary(StorageOperation::Reading, "the state at s3://a/b", "it is slow")
}

/// A rollup stage of `count` units without files.
fn stage(count: usize) -> Arc<StageTasks> {
    let unit = RollupUnit {
        table: 0,
        date: "2026-03-01".parse().unwrap(),
        files: Vec::new(),
        window: Window::new(0, 1).unwrap(),
        is_clipped: false,
        rollups: Arc::default(),
        selection: None,
    };
    let stage = RollupStage {
        config: Config::load("default", &[]).unwrap(),
        tables: Vec::new(),
        state_url: String::new(),
        origin: Origin::here("job"),
        units: vec![unit; count],
    };
    Arc::new(StageTasks::of(stage.into()).unwrap())
}

fn policy() -> BatchPolicy {
    let moment = Duration::from_millis(1);
    BatchPolicy {
        status_interval: moment,
        stall: NEVER,
        forgotten_after: moment,
        attempts: 3,
        back_off: RetryPolicy::new(2, 2),
    }
}

fn batch(
    cluster: &Arc<FakeCluster>,
    policy: BatchPolicy,
    count: usize,
) -> (TaskBatch, Receiver<Result<RecordBatch>>) {
    let (sender, receiver) = channel(64);
    let tasks: Vec<usize> = (0..count).collect();
    (TaskBatch::new(Arc::clone(cluster) as Arc<_>, policy, stage(count), &tasks, sender), receiver)
}

/// Runs a batch of `count` tasks. Returns the outcomes of units by task, in the order of their numbers.
async fn run(
    cluster: &Arc<FakeCluster>,
    policy: BatchPolicy,
    count: usize,
) -> Vec<(usize, Option<UnitFault>)> {
    let (batch, mut receiver) = batch(cluster, policy, count);
    batch.run().await.unwrap();
    let mut outcomes = Vec::new();
    while let Some(rows) = receiver.recv().await {
        let rows = rows.unwrap();
        for text in rows.column(0).as_string::<i32>().iter().flatten() {
            let outcome: UnitOutcome = serde_json::from_str(text).unwrap();
            outcomes.push((outcome.unit, outcome.result.err()));
        }
    }
    outcomes.sort_by_key(|(unit, _)| *unit);
    outcomes
}

fn all(count: usize) -> Vec<(usize, Option<UnitFault>)> {
    (0..count).map(|unit| (unit, None)).collect()
}

#[tokio::test]
async fn tasks_that_succeed_are_submitted_once() {
    let cluster = FakeCluster::new(|_, _| Fate::Succeeds);
    assert_eq!(run(&cluster, policy(), 5).await, all(5));
    assert_eq!(cluster.submissions(), [[0, 1, 2, 3, 4]]);
}

#[tokio::test]
async fn only_missing_tasks_are_submitted_again_and_no_row_comes_twice() {
    let fates: [fn() -> Fate; 2] = [|| Fate::Loses(vec![1, 3]), || Fate::Withholds(vec![1, 3])];
    for fate in fates {
        let cluster =
            FakeCluster::new(move |submission, _| if submission == 0 { fate() } else { Fate::Succeeds });
        assert_eq!(run(&cluster, policy(), 5).await, all(5), "{:?}", fate());
        assert_eq!(cluster.submissions(), [vec![0, 1, 2, 3, 4], vec![1, 3]], "{:?}", fate());
    }
}

#[tokio::test]
async fn a_job_without_progress_is_cancelled_and_submitted_again() {
    let cluster = FakeCluster::new(|submission, _| match submission {
        0 => Fate::Hangs(vec![2]),
        _ => Fate::Succeeds,
    });
    let stalled = BatchPolicy { stall: Duration::from_millis(30), ..policy() };
    assert_eq!(run(&cluster, stalled, 3).await, all(3));
    assert_eq!(cluster.submissions(), [vec![0, 1, 2], vec![0, 1]]);
    assert!(cluster.cancelled.lock().unwrap().contains(&0));
}

#[tokio::test]
async fn lost_and_forgotten_tasks_are_submitted_again_without_waiting_for_the_deadline() {
    let fates: [fn() -> Fate; 3] = [|| Fate::Restarts, || Fate::Forgets, || Fate::Fails];
    for fate in fates {
        let cluster =
            FakeCluster::new(move |submission, _| if submission == 0 { fate() } else { Fate::Succeeds });
        assert_eq!(run(&cluster, policy(), 2).await, all(2), "{:?}", fate());
        assert_eq!(cluster.submissions(), [[0, 1], [0, 1]], "{:?}", fate());
    }
}

#[tokio::test]
async fn a_lost_worker_takes_no_delivered_task_with_it() {
    let cluster = FakeCluster::new(|_, _| Fate::IsBereft(vec![0, 1]));
    assert_eq!(run(&cluster, policy(), 3).await, all(3));
    // Only what is missing counts: one submission, in which the delivered tasks have been planned again very often.
    assert_eq!(cluster.submissions(), [[0, 1, 2]]);
    let mut delivered = cluster.delivered.lock().unwrap().clone();
    delivered.sort_unstable();
    assert_eq!(delivered, [0, 1, 2]);
    // The task that is ready again is announced to waiting workers.
    assert!(cluster.announcements.load(Ordering::Relaxed) > 0);
}

#[tokio::test]
async fn a_task_that_fails_alone_is_given_up_by_name_and_the_others_complete() {
    let cluster = FakeCluster::new(|_, tasks| if tasks.contains(&1) { Fate::Fails } else { Fate::Succeeds });
    let outcomes = run(&cluster, policy(), 3).await;
    let faults: Vec<_> = outcomes.iter().map(|(unit, fault)| (*unit, fault.is_some())).collect();
    assert_eq!(faults, [(0, false), (1, true), (2, false)]);
    assert_eq!(outcomes[1].1, Some(UnitFault::Failed("a task failed".into())));
    let submissions = cluster.submissions();
    assert_eq!(submissions[..3], vec![vec![0, 1, 2]; 3]);
    assert_eq!(submissions[3..], [vec![0], vec![1], vec![2]]);
}

/// Runs a batch of the merges of `count` shards. Returns how many sent rows.
async fn run_merges(cluster: &Arc<FakeCluster>, count: u16) -> Result<usize> {
    let stage = MergeStage {
        config: Config::load("default", &[]).unwrap(),
        state_url: String::new(),
        window: Window::new(0, 1).unwrap(),
        shards: (0..count).map(|shard| (shard, shard + 1)).collect(),
        inputs: BTreeMap::new(),
        levels: BTreeMap::new(),
        stored: None,
        past: BTreeMap::new(),
        side_tables: BTreeMap::new(),
        columns: BTreeMap::new(),
        analyses: Vec::new(),
        investigated: None,
        origin: Origin::here("job"),
    };
    let tasks = Arc::new(StageTasks::of(stage.into()).unwrap());
    let part: Vec<usize> = (0..tasks.count()).collect();
    let (sender, mut receiver) = channel(64);
    TaskBatch::new(Arc::clone(cluster) as Arc<_>, policy(), tasks, &part, sender).run().await?;
    let mut sent = 0;
    while let Some(rows) = receiver.recv().await {
        sent += rows?.num_rows();
    }
    Ok(sent)
}

#[tokio::test]
async fn only_the_shard_whose_store_fails_runs_again() {
    let cluster = FakeCluster::new(|submission, _| match submission {
        0 => Fate::FailsAtStore(vec![1]),
        _ => Fate::Succeeds,
    });
    assert_eq!(run_merges(&cluster, 3).await.unwrap(), 3);
    assert_eq!(cluster.submissions(), [vec![0, 1, 2], vec![1]]);
}

#[tokio::test]
async fn a_shard_whose_store_keeps_failing_fails_as_the_store_does() {
    let cluster = FakeCluster::new(|_, _| Fate::FailsAtStore(vec![1]));
    let error = Error::from(run_merges(&cluster, 2).await.unwrap_err());
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("the state at s3://a/b"), "{error}");
}

#[tokio::test]
async fn progress_starts_the_count_of_failures_again() {
    // Each submission finishes one task, so that no task ever runs alone.
    let cluster = FakeCluster::new(|_, tasks| match tasks {
        [_] => Fate::Succeeds,
        tasks => Fate::Loses(tasks[1..].to_vec()),
    });
    assert_eq!(run(&cluster, policy(), 6).await, all(6));
    let sizes: Vec<usize> = cluster.submissions().iter().map(Vec::len).collect();
    assert_eq!(sizes, [6, 5, 4, 3, 2, 1]);
}

#[tokio::test]
async fn a_batch_ends_when_nobody_reads_its_rows() {
    let cluster = FakeCluster::new(|_, _| Fate::Hangs(vec![0]));
    let (batch, receiver) = batch(&cluster, policy(), 2);
    drop(receiver);
    batch.run().await.unwrap();
    assert_eq!(*cluster.cancelled.lock().unwrap(), [0]);
}
