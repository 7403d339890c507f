//! The unit tracker with an engine that loses its worker whenever a task reads a file called poison.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use arrow::array::{AsArray, Int64Array, RecordBatch, StringArray};
use async_trait::async_trait;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{TryStreamExt, stream};
use hindcast_base::Error;
use hindcast_base::storage_fault::StorageFault;
use hindcast_base::time::Window;
use hindcast_engine::{KnownState, Stage, StageTasks, UnitOutcome, runtime};
use hindcast_lake::task_session;
use hindcast_lake::{Lake, Location};
use parquet::arrow::ArrowWriter;

use super::super::test_lake::{TestLake, between};
use super::super::units::cut;
use super::*;

struct Fragile {
    context: Arc<TaskContext>,
    losses: AtomicU32,
}

#[async_trait]
impl Engine for Fragile {
    async fn run(&self, stage: Stage) -> Result<SendableRecordBatchStream> {
        let tasks = StageTasks::of(stage)?;
        let mut rows = Vec::new();
        for task in 0..tasks.count() {
            let plan = tasks.plan(&[task])?;
            let texts: Vec<RecordBatch> =
                plan.children()[0].execute(0, Arc::clone(&self.context))?.try_collect().await?;
            if texts[0].column(0).as_string::<i32>().value(0).contains("poison") {
                self.losses.fetch_add(1, Ordering::Relaxed);
                rows.push(tasks.given_up(task, Error::Unavailable("its worker was lost".into()))?);
            } else {
                rows.extend(
                    plan.execute(0, Arc::clone(&self.context))?.try_collect::<Vec<RecordBatch>>().await?,
                );
            }
        }
        let rows = stream::iter(rows.into_iter().map(Ok));
        Ok(Box::pin(RecordBatchStreamAdapter::new(tasks.schema(), rows)))
    }
}

/// Reports success for each unit, and gives no state.
struct Idle;

#[async_trait]
impl Engine for Idle {
    async fn run(&self, stage: Stage) -> Result<SendableRecordBatchStream> {
        let tasks = StageTasks::of(stage)?;
        let outcome = |unit| serde_json::to_string(&UnitOutcome { unit, result: Ok(Vec::new()) }).unwrap();
        let texts: StringArray = (0..tasks.count()).map(|unit| Some(outcome(unit))).collect();
        let rows = RecordBatch::try_new(tasks.schema(), vec![Arc::new(texts)]).unwrap();
        Ok(Box::pin(RecordBatchStreamAdapter::new(tasks.schema(), stream::iter([Ok(rows)]))))
    }
}

fn write_sessions(folder: &Path, name: &str) {
    let text = |value: &str| Arc::new(StringArray::from(vec![value])) as _;
    let batch = RecordBatch::try_from_iter([
        ("TimeGenerated", text("2026-03-01T10:00:00Z")),
        ("DeviceVendor", text("Palo Alto Networks")),
        ("DeviceEventClassID", text("TRAFFIC")),
        ("SourceIP", text("10.0.0.1")),
        ("DestinationIP", text("203.0.113.1")),
        ("SentBytes", Arc::new(Int64Array::from(vec![1])) as _),
    ])
    .unwrap();
    std::fs::create_dir_all(folder).unwrap();
    let file = std::fs::File::create(folder.join(name)).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

#[tokio::test]
async fn a_file_that_takes_its_worker_down_is_named_and_the_rest_is_read() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("lake/CommonSecurityLog/date=2026-03-01");
    ["a.parquet", "poison.parquet", "z.parquet"].iter().for_each(|name| write_sessions(&folder, name));
    let config = Config::load("default", &[]).unwrap();
    let root = Location::parse(&place.path().join("lake").display().to_string()).unwrap();
    let tables = Lake::open(root, &config.tables, config.detections.tables())
        .unwrap()
        .tables(|_| true)
        .await
        .unwrap()
        .readable;
    let date = "2026-03-01".parse().unwrap();
    let unit = RollupUnit {
        table: 0,
        date,
        files: tables[0].files_ending_on(date).await.unwrap(),
        window: Window::new(1_772_323_200_000_000, 1_772_409_600_000_000).unwrap(),
        is_clipped: false,
        rollups: vec!["event_bins".into(), "external_pairs".into()].into(),
        selection: None,
    };
    let engine = Fragile {
        context: task_session(runtime(64 << 20, None).unwrap()).task_ctx(),
        losses: AtomicU32::new(0),
    };
    let state = StateStore::new(Location::parse(&place.path().join("state").display().to_string()).unwrap());
    let run = RollupRun {
        engine: &engine,
        state: &state,
        config: &config,
        job: "",
        tables: vec![TableRef::of(&tables[0])],
        lake_tables: Vec::new(),
        use_cache: true,
        folders: Default::default(),
        failed_rollups: Default::default(),
    };
    let records = run.complete(vec![unit], &()).await.unwrap();
    let names = |files: &[LakeFile]| -> Vec<String> {
        files.iter().map(|file| file.path.rsplit('/').next().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&records[0].unit.files), ["a.parquet", "z.parquet"]);
    assert_eq!(records[0].faults.len(), 1);
    assert!(records[0].faults[0].file.ends_with("poison.parquet"), "{:?}", records[0].faults);
    assert!(records[0].faults[0].reason.contains("its worker was lost"));
    assert_eq!(records[0].states.len(), 2);
    assert!(records[0].states.iter().all(|state| state.stats.rows == 2));
    // Once with the others, once alone.
    assert_eq!(engine.losses.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn units_that_come_to_nothing_again_and_again_are_an_error() {
    let place = tempfile::tempdir().unwrap();
    let config = Config::load("default", &[]).unwrap();
    let state = StateStore::new(Location::parse(&place.path().display().to_string()).unwrap());
    let file = LakeFile::new("/lake/a.parquet".into(), 9, None);
    let table = "CommonSecurityLog";
    let run = RollupRun {
        engine: &Idle,
        state: &state,
        config: &config,
        job: "",
        tables: vec![TableRef { name: table.into(), url: "file:///lake/".into(), ..TableRef::default() }],
        lake_tables: Vec::new(),
        use_cache: true,
        folders: Default::default(),
        failed_rollups: Default::default(),
    };
    let unit = RollupUnit {
        table: 0,
        date: "2026-03-01".parse().unwrap(),
        files: vec![file],
        window: Window::new(1_772_323_200_000_000, 1_772_409_600_000_000).unwrap(),
        is_clipped: false,
        rollups: vec!["event_bins".into()].into(),
        selection: None,
    };
    let error = run.complete(vec![unit], &()).await.unwrap_err().to_string();
    assert!(error.contains(table) && error.contains("2026-03-01"), "{error}");
}

#[tokio::test]
async fn state_is_found_again_and_computed_again_if_it_can_not_be_read() {
    let lake = TestLake::new();
    for date in ["2026-03-01", "2026-03-02"] {
        lake.write_sessions(date, &[("10", "Palo Alto Networks", "10.0.0.1", "203.0.113.1")]);
    }
    let (config, state) = (lake.config(""), lake.state());
    let options = lake.options(&config, &state);
    let plan = lake.plan(&config, &["top_talkers"], between("2026-03-01", "2026-03-03")).await.unwrap();
    let run = RollupRun::new(&plan, &options);
    let records = run.complete(cut(&plan), &()).await.unwrap();
    assert!(records.len() == 2 && records.iter().all(|record| record.was_computed && record.is_complete()));

    let mut records = run.complete(cut(&plan), &()).await.unwrap();
    assert!(records.iter().all(|record| !record.was_computed && record.is_complete()));
    let file = records[0].states.iter().find_map(KnownState::file).unwrap().path;
    let fault = StateFault { file: file.clone(), reason: "a checksum differs".into() };
    run.compute_again(&mut records, std::slice::from_ref(&fault), &()).await.unwrap();
    assert!(records[0].was_computed && records[0].is_complete() && !records[1].was_computed);
    assert_eq!(records[0].replaced, [fault]);
    // What is computed again is the same.
    assert_eq!(records[0].states.iter().filter(|state| state.is_at(&file)).count(), 1);

    let unknown = StateFault { file: "no such state".into(), reason: "gone".into() };
    let error = run.compute_again(&mut records, &[unknown], &()).await.unwrap_err().to_string();
    assert!(error.contains("no such state") && error.contains("gone"), "{error}");
}

#[test]
fn the_reason_of_a_failed_rollup_does_not_depend_on_which_unit_ended_first() {
    for reasons in [["b", "a", "c"], ["c", "b", "a"], ["a", "c", "b"]] {
        let mut failed = BTreeMap::new();
        for reason in reasons {
            keep_smallest(&mut failed, "own".into(), reason.into());
        }
        assert_eq!(failed["own"], "a");
    }
}

/// A unit of two files, and its record.
fn unit_of_two_files() -> (RollupUnit, UnitRecord) {
    let file = |path: &str| LakeFile::new(path.into(), 9, None);
    let unit = RollupUnit {
        table: 0,
        date: "2026-03-01".parse().unwrap(),
        files: vec![file("a.parquet"), file("b.parquet")],
        window: Window::new(0, 1).unwrap(),
        is_clipped: false,
        rollups: vec!["event_bins".into()].into(),
        selection: None,
    };
    (unit.clone(), UnitRecord::new(unit))
}

#[test]
fn a_file_that_the_store_fails_on_is_set_aside_after_some_attempts() {
    let (unit, mut record) = unit_of_two_files();
    let fault =
        || UnitFault::Storage(StorageFault::temporary(StorageOperation::Reading, "b.parquet", "timed out"));
    for attempt in 1..STORE_ATTEMPTS {
        handle(&mut record, &unit, fault(), &()).unwrap();
        assert_eq!((record.store_failures, record.faults.len()), (attempt, 0));
    }
    handle(&mut record, &unit, fault(), &()).unwrap();
    let paths: Vec<&str> = record.unit.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, ["a.parquet"]);
    assert_eq!(record.faults[0].reason, "not read after 4 attempts: reading b.parquet: timed out");
}

#[test]
fn files_of_a_unit_that_fails_without_a_culprit_are_tried_one_by_one() {
    let (unit, mut record) = unit_of_two_files();
    handle(&mut record, &unit, UnitFault::Failed("out of memory".into()), &()).unwrap();
    assert!(record.faults.is_empty() && record.was_probed);
    assert_eq!(record.suspects.len(), 2);
    // The one that fails alone is at fault.
    let alone = RollupUnit { files: vec![unit.files[1].clone()], ..unit.clone() };
    handle(&mut record, &alone, UnitFault::Failed("out of memory".into()), &()).unwrap();
    assert_eq!((record.faults[0].file.as_str(), record.suspects.len()), ("b.parquet", 1));
    // A fault of a file that the unit does not have is an error.
    let stray = InputFault { file: "c.parquet".into(), row_group: None, column: None, reason: "x".into() };
    assert!(handle(&mut record, &unit, UnitFault::Input(stray), &()).is_err());
}
