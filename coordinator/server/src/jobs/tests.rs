//! The job manager without workers: what it accepts, what it continues, and how jobs end.

use std::time::Duration;

use hindcast_base::ErrorKind;
use hindcast_proto::v1;
use hindcast_scan::own_detections::OwnFiles;
use tempfile::TempDir;
use tokio::time::timeout;
use uuid::Uuid;

use super::*;
use crate::cluster::ClusterOptions;

/// Longer than any step of a test.
const LONG: Duration = Duration::from_secs(60);

/// A place with an empty lake and a state.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("lake")).unwrap();
        Self { folder }
    }

    fn location(&self, name: &str) -> Location {
        Location::parse(&self.folder.path().join(name).display().to_string()).unwrap()
    }

    fn request(&self) -> ScanRequest {
        let lake = self.location("lake").url().to_owned();
        ScanRequest { lake, preset: "default".into(), ..ScanRequest::default() }
    }

    /// A manager that runs `concurrent` jobs at once; with 0 all jobs stay in the queue.
    async fn manager(&self, concurrent: usize) -> Arc<JobManager> {
        let options = ClusterOptions { tls: None, worker_timeout: LONG, stall: LONG, attempts: 3 };
        let context = JobContext {
            cluster: Arc::new(Cluster::start(options).await.unwrap()),
            runtime: hindcast_engine::runtime(64 << 20, None).unwrap(),
            access: Access::Only(vec![self.location("lake")]),
            detections: DetectionPolicy::of_coordinator(OwnFiles::default(), false),
            locations: None,
            sinks: Vec::new(),
        };
        JobManager::recover(self.location("state"), context, JobLimits { concurrent, queued: 2 })
            .await
            .unwrap()
    }
}

fn new_id() -> String {
    Uuid::now_v7().hyphenated().to_string()
}

async fn ended(manager: &JobManager, id: &str) -> Job {
    let mut changes = manager.watch(id).unwrap();
    timeout(LONG, changes.wait_for(|job| !is_open(job))).await.unwrap().unwrap().clone()
}

#[tokio::test]
async fn the_same_id_is_one_job() {
    let place = Place::new();
    let manager = place.manager(0).await;
    let id = new_id();
    let first = manager.submit(&id, place.request(), "a").await.unwrap();
    let again = manager.submit(&id.to_uppercase(), place.request(), "b").await.unwrap();
    assert_eq!(first, again);
    assert_eq!((first.state(), first.submitted_by.as_str()), (JobState::Queued, "a"));
    assert_eq!(manager.list().len(), 1);
}

#[tokio::test]
async fn a_request_is_refused_by_the_kind_of_its_error() {
    let place = Place::new();
    let manager = place.manager(0).await;
    let submit = async |id: &str, scan: ScanRequest| {
        manager.submit(id, scan, "").await.map_err(|error| error.kind()).map(|job| job.id)
    };
    assert_eq!(submit("one", place.request()).await, Err(ErrorKind::InvalidInput));
    let unknown = ScanRequest { suites: vec!["firewal".into()], ..place.request() };
    assert_eq!(submit(&new_id(), unknown).await, Err(ErrorKind::InvalidInput));
    let hashed = ScanRequest { config_hash: "0".repeat(64), ..place.request() };
    assert_eq!(submit(&new_id(), hashed).await, Err(ErrorKind::NotFound));
    let elsewhere = ScanRequest { lake: place.location("other").url().to_owned(), ..place.request() };
    assert!(submit(&new_id(), elsewhere).await.is_err());
    for _ in 0..2 {
        assert!(submit(&new_id(), place.request()).await.is_ok());
    }
    assert_eq!(submit(&new_id(), place.request()).await, Err(ErrorKind::Busy));
    assert_eq!(manager.cancel(&new_id()).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(manager.snapshot("none").unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(manager.list().len(), 2);
}

#[tokio::test]
async fn a_restart_continues_open_jobs_and_no_others() {
    let place = Place::new();
    let (open, cancelled) = (new_id(), new_id());
    {
        let manager = place.manager(0).await;
        manager.submit(&open, place.request(), "a").await.unwrap();
        manager.submit(&cancelled, place.request(), "a").await.unwrap();
        assert_eq!(manager.cancel(&cancelled).await.unwrap().state(), JobState::Cancelled);
        // To cancel it again changes nothing.
        assert_eq!(manager.cancel(&cancelled).await.unwrap().state(), JobState::Cancelled);
    }
    let manager = place.manager(0).await;
    assert_eq!(manager.snapshot(&open).unwrap().state(), JobState::Queued);
    let kept = manager.snapshot(&cancelled).unwrap();
    assert_eq!((kept.state(), kept.submitted_by.as_str()), (JobState::Cancelled, "a"));
    assert!(kept.ended_us >= kept.submitted_us);
    assert_eq!(manager.submit(&cancelled, place.request(), "b").await.unwrap(), kept);
}

#[tokio::test]
async fn a_failed_job_keeps_its_message_and_kind_after_a_restart() {
    let place = Place::new();
    let id = new_id();
    let failed = {
        let manager = place.manager(1).await;
        manager.submit(&id, place.request(), "").await.unwrap();
        ended(&manager, &id).await
    };
    assert_eq!((failed.state(), failed.error_kind()), (JobState::Failed, v1::ErrorKind::InvalidInput));
    assert!(!failed.error.is_empty());
    let manager = place.manager(1).await;
    assert_eq!(manager.snapshot(&id).unwrap(), failed);
    assert!(manager.with_results().is_empty());
}

#[tokio::test]
async fn a_damaged_job_is_listed_and_does_not_run() {
    let place = Place::new();
    let id = new_id();
    place.manager(0).await.submit(&id, place.request(), "").await.unwrap();
    let object = place.folder.path().join("state/jobs").join(&id).join("submitted.pb");
    std::fs::write(object, b"\xff").unwrap();
    let manager = place.manager(1).await;
    let job = manager.snapshot(&id).unwrap();
    assert_eq!(job.state(), JobState::Unreadable);
    assert!(job.error.contains("submitted.pb"), "{}", job.error);
    // There is nothing to cancel.
    assert_eq!(manager.cancel(&id).await.unwrap().state(), JobState::Unreadable);
}

#[tokio::test]
async fn a_schedule_submits_one_job_per_period_also_after_a_restart() {
    let place = Place::new();
    let lake = place.location("lake").url().to_owned();
    let settings = toml::from_str(&format!("name = 'nightly'\nlake = '{lake}'\nevery = '3650d'")).unwrap();
    let schedules = vec![Schedule::of(&settings).unwrap()];
    let mut ids = Vec::new();
    for _ in 0..2 {
        let manager = place.manager(0).await;
        let submitting = tokio::spawn(run_schedules(Arc::clone(&manager), schedules.clone()));
        let has_job = async {
            while manager.list().is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(LONG, has_job).await.unwrap();
        submitting.abort();
        ids.extend(manager.list().into_iter().map(|job| (job.id, job.submitted_by)));
    }
    assert_eq!(ids.len(), 2);
    assert_eq!(ids[0], ids[1]);
    assert_eq!(ids[0].1, "schedule nightly");
}

#[test]
fn progress_counts_units_and_mentions_merging_only_of_open_jobs() {
    let job = |state: JobState, failures: u64| Job {
        state: state.into(),
        progress: Some(v1::Progress {
            units: 12,
            units_done: 2,
            units_cached: 1,
            failures,
            merging: true,
            ..v1::Progress::default()
        }),
        ..Job::default()
    };
    assert_eq!(format_progress(&job(JobState::Running, 0)), "3 of 12 units, merging");
    assert_eq!(format_progress(&job(JobState::Running, 2)), "3 of 12 units, merging, 2 failures");
    assert_eq!(format_progress(&job(JobState::Done, 0)), "3 of 12 units");
    assert_eq!(format_progress(&Job::default()), "");
}
