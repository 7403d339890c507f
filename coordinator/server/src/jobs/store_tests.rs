//! The job store: what is written once, what wins a race, and what is damaged.

use object_store::memory::InMemory;

use hindcast_base::ErrorKind;
use hindcast_proto::v1;

use super::*;

fn state() -> Location {
    Location::parse_with("s3://memory/state", |_| Ok(Arc::new(InMemory::new()))).unwrap()
}

fn job(state: JobState, config: &str) -> Job {
    let scan = ScanRequest { lake: "/lake".into(), config: config.into(), ..ScanRequest::default() };
    Job { id: "one".into(), state: state.into(), scan: Some(scan), ..Job::default() }
}

#[tokio::test]
async fn the_first_end_counts_and_the_request_alone_has_the_configuration() {
    let store = JobStore::new(&state());
    assert!(store.request("one").await.is_err());
    let submitted = job(JobState::Queued, "[beaconing]");
    assert!(store.submit(&submitted).await.unwrap());
    assert!(!store.submit(&submitted).await.unwrap());
    assert_eq!(store.read("one").await.unwrap(), Some(job(JobState::Queued, "")));

    let failed = job(JobState::Failed, "");
    assert_eq!(store.end(&failed).await.unwrap(), failed);
    // Earlier versions stored the configuration here too.
    assert_eq!(store.end(&job(JobState::Done, "[beaconing]")).await.unwrap(), failed);
    assert_eq!(store.all().await.unwrap().into_values().collect::<Vec<_>>(), [failed]);
    assert_eq!(store.request("one").await.unwrap(), submitted.scan.unwrap());
}

#[tokio::test]
async fn an_unreadable_job_does_not_block_other_jobs() {
    let store = JobStore::new(&state());
    store.submit(&job(JobState::Queued, "")).await.unwrap();
    for id in ["half", "empty", "ended"] {
        let submitted = Job { id: id.into(), ..job(JobState::Queued, "") };
        store.submit(&submitted).await.unwrap();
    }
    store.put("half", "submitted.pb".into(), b"\xff\xffno job".to_vec()).await.unwrap();
    // An empty object is a message without fields.
    store.put("empty", "submitted.pb".into(), Vec::new()).await.unwrap();
    store.put("ended", "ended.pb".into(), b"\xff".to_vec()).await.unwrap();
    let all = store.all().await.unwrap();
    assert_eq!(all["one"], job(JobState::Queued, ""));
    for (id, file) in [("half", "submitted.pb"), ("empty", "submitted.pb"), ("ended", "ended.pb")] {
        assert_eq!((all[id].id.as_str(), all[id].state()), (id, JobState::Unreadable));
        assert!(all[id].error.contains(file), "{}", all[id].error);
    }
    assert_eq!(all["ended"].scan.as_ref().map(|scan| scan.lake.as_str()), Some("/lake"));
}

#[tokio::test]
async fn a_stored_configuration_becomes_part_of_the_request() {
    let store = JobStore::new(&state());
    let hash = store.store_config(b"[beaconing]".to_vec()).await.unwrap();
    let with_hash = |hash: &str, config: &str| ScanRequest {
        config_hash: hash.into(),
        ..job(JobState::Queued, config).scan.unwrap()
    };
    let submitted = Job { scan: Some(with_hash(&hash, "")), ..job(JobState::Queued, "") };
    store.submit(&submitted).await.unwrap();
    assert_eq!(store.request("one").await.unwrap().config, "[beaconing]");
    for hash in [hash.replace(|c: char| c.is_ascii_digit(), "a"), "../jobs/one/submitted".into()] {
        let error = store.with_config(with_hash(&hash, "")).await.unwrap_err().to_string();
        assert!(error.contains("no configuration with the hash"), "{error}");
    }
    assert!(store.with_config(with_hash(&hash, "[other]")).await.is_err());
    assert!(store.store_config(vec![0xff]).await.is_err());
}

#[tokio::test]
async fn of_concurrent_submissions_one_is_stored() {
    let store = JobStore::new(&state());
    let submissions = (0..16).map(|number| {
        let (store, by) = (store.clone(), number.to_string());
        async move {
            let submitted = Job { submitted_by: by.clone(), ..job(JobState::Queued, "") };
            store.submit(&submitted).await.unwrap().then_some(by)
        }
    });
    let stored: Vec<String> = futures::future::join_all(submissions).await.into_iter().flatten().collect();
    assert_eq!(stored.len(), 1);
    assert_eq!(store.read("one").await.unwrap().unwrap().submitted_by, stored[0]);
}

#[tokio::test]
async fn of_concurrent_ends_all_get_the_one_that_is_stored() {
    let store = JobStore::new(&state());
    store.submit(&job(JobState::Queued, "")).await.unwrap();
    let states = [JobState::Done, JobState::Failed, JobState::Cancelled];
    let ends = states.into_iter().cycle().take(12).map(|state| {
        let store = store.clone();
        async move { store.end(&job(state, "")).await.unwrap() }
    });
    let ends = futures::future::join_all(ends).await;
    let stored = store.read("one").await.unwrap().unwrap();
    assert!(ends.iter().all(|end| *end == stored), "{ends:?}");
}

#[tokio::test]
async fn a_coordinator_that_starts_finds_all_jobs_in_the_order_of_their_ids() {
    let state = state();
    let store = JobStore::new(&state);
    for (id, end) in [("c", None), ("a", Some(JobState::Done)), ("b", Some(JobState::Cancelled))] {
        store.submit(&Job { id: id.into(), ..job(JobState::Queued, "") }).await.unwrap();
        if let Some(end) = end {
            store.end(&Job { id: id.into(), ..job(end, "") }).await.unwrap();
        }
    }
    let found = JobStore::new(&state).all().await.unwrap();
    let found: Vec<_> = found.iter().map(|(id, job)| (id.as_str(), job.state())).collect();
    assert_eq!(found, [("a", JobState::Done), ("b", JobState::Cancelled), ("c", JobState::Queued)]);
}

#[tokio::test]
async fn an_object_of_another_job_is_damaged_data() {
    let store = JobStore::new(&state());
    store.submit(&job(JobState::Queued, "")).await.unwrap();
    let other = Job { id: "two".into(), ..job(JobState::Done, "") };
    store.put("one", "ended.pb".into(), other.encode_to_vec()).await.unwrap();
    let error = store.read("one").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data, "{error}");
    assert!(error.to_string().contains("one/ended.pb belongs to another job"), "{error}");
    // It does not count as the end of this job either.
    assert_eq!(store.end(&job(JobState::Done, "")).await.unwrap_err().kind(), ErrorKind::Data);
}

#[tokio::test]
async fn a_bad_request_that_an_earlier_build_stored_is_an_invalid_input() {
    let store = JobStore::new(&state());
    let mut ended = job(JobState::Failed, "").encode_to_vec();
    // The field 9 as a bool that is true.
    ended.extend([9 << 3, 1]);
    store.put("one", "ended.pb".into(), ended).await.unwrap();
    let read = store.read("one").await.unwrap().unwrap();
    assert_eq!((read.state(), read.error_kind()), (JobState::Failed, v1::ErrorKind::InvalidInput));
}

#[tokio::test]
async fn tables_are_listed_and_read_and_damaged_ones_fail() {
    let store = JobStore::new(&state());
    let column = Arc::new(arrow::array::Int64Array::from(vec![1, 2])) as _;
    let rows = RecordBatch::try_from_iter([("rows", column)]).unwrap();
    for name in ["b", "a"] {
        store.put_table("one", name, std::iter::once(Ok(rows.clone()))).await.unwrap();
    }
    assert_eq!(store.tables("one").await.unwrap(), ["a", "b"]);
    assert_eq!(store.table("one", "a").await.unwrap().unwrap().whole().await.unwrap(), [rows]);
    assert!(store.table("one", "c").await.unwrap().is_none());
    assert!(store.put_table("one", "none", std::iter::empty()).await.is_err());
    store.put("one", "tables/cut.arrow".into(), b"ARROW".to_vec()).await.unwrap();
    let error = store.table("one", "cut").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data, "{error}");
    assert!(error.to_string().contains("one/tables/cut.arrow"), "{error}");
}

#[tokio::test]
async fn removal_takes_only_one_folder_of_one_job() {
    let store = JobStore::new(&state());
    for (id, name) in [("one", "state/a"), ("one", "report.json"), ("two", "state/a")] {
        store.put(id, name.into(), b"text".to_vec()).await.unwrap();
    }
    store.remove("one", "state").await.unwrap();
    assert!(store.get("one", "state/a").await.unwrap().is_none());
    assert!(store.get("one", "report.json").await.unwrap().is_some());
    assert!(store.get("two", "state/a").await.unwrap().is_some());
}
