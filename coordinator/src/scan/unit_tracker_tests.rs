//! The unit tracker with an engine that loses its worker whenever a task reads a file called poison.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use arrow::array::{AsArray, Int64Array, RecordBatch, StringArray};
use async_trait::async_trait;
use datafusion::execution::TaskContext;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{TryStreamExt, stream};
use hindcast_common::catalog::task_session;
use hindcast_common::catalog::{Lake, Location};
use hindcast_common::engine::{StageTasks, UnitOutcome, runtime};
use hindcast_common::time::Window;
use parquet::arrow::ArrowWriter;

use super::*;

struct Fragile {
    context: Arc<TaskContext>,
    losses: AtomicU32,
}

#[async_trait]
impl Engine for Fragile {
    async fn run(&self, plan: LogicalPlan) -> Result<SendableRecordBatchStream> {
        let tasks = StageTasks::of(&plan)?;
        let mut rows = Vec::new();
        for task in 0..tasks.count() {
            let plan = tasks.plan(&[task])?;
            let texts: Vec<RecordBatch> =
                plan.children()[0].execute(0, Arc::clone(&self.context))?.try_collect().await?;
            if texts[0].column(0).as_string::<i32>().value(0).contains("poison") {
                self.losses.fetch_add(1, Ordering::Relaxed);
                rows.push(tasks.given_up(task, "its worker was lost")?);
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
    async fn run(&self, plan: LogicalPlan) -> Result<SendableRecordBatchStream> {
        let tasks = StageTasks::of(&plan)?;
        let outcome = |unit| serde_json::to_string(&UnitOutcome { unit, result: Ok(Vec::new()) }).unwrap();
        let texts: StringArray = (0..tasks.count()).map(|unit| Some(outcome(unit))).collect();
        let rows = RecordBatch::try_new(tasks.schema(), vec![Arc::new(texts)]).unwrap();
        Ok(Box::pin(RecordBatchStreamAdapter::new(tasks.schema(), stream::iter([Ok(rows)]))))
    }
}

struct Silent;

impl Progress for Silent {
    fn planned(&self, _: u64, _: u64) {}
    fn cached(&self, _: u64) {}
    fn unit_done(&self, _: u64) {}
    fn unit_failed(&self, _: &UnitFault) {}
    fn merging(&self) {}
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
    let tables = Lake::open(root, &config.tables).unwrap().tables(|_| true).await.unwrap().readable;
    let date = "2026-03-01".parse().unwrap();
    let unit = RollupUnit {
        table: 0,
        date,
        files: tables[0].files_of(date).await.unwrap(),
        window: Window::new(1_772_323_200_000_000, 1_772_409_600_000_000).unwrap(),
        is_clipped: false,
        rollups: vec!["event_bins".into(), "external_pairs".into()],
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
        tables: vec![TableRef {
            name: "CommonSecurityLog".into(),
            url: tables[0].location.url().to_owned(),
            mapping: tables[0].mapping.clone(),
        }],
        use_cache: true,
        failed_rollups: Default::default(),
    };
    let records = run.complete(vec![unit], &Silent).await.unwrap();
    let names = |files: &[LakeFile]| -> Vec<String> {
        files.iter().map(|file| file.path.rsplit('/').next().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&records[0].unit.files), ["a.parquet", "z.parquet"]);
    assert_eq!(records[0].faults.len(), 1);
    assert!(records[0].faults[0].file.ends_with("poison.parquet"), "{:?}", records[0].faults);
    assert!(records[0].faults[0].reason.contains("its worker was lost"));
    assert_eq!(records[0].manifests.len(), 2);
    assert!(records[0].manifests.iter().all(|manifest| manifest.stats.rows == 2));
    // Once with the others, once alone.
    assert_eq!(engine.losses.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn units_that_come_to_nothing_again_and_again_are_an_error() {
    let place = tempfile::tempdir().unwrap();
    let config = Config::load("default", &[]).unwrap();
    let state = StateStore::new(Location::parse(&place.path().display().to_string()).unwrap());
    let file = LakeFile { path: "/lake/a.parquet".into(), bytes: 9, etag: None, range: None };
    let table = "CommonSecurityLog";
    let run = RollupRun {
        engine: &Idle,
        state: &state,
        config: &config,
        job: "",
        tables: vec![TableRef {
            name: table.into(),
            url: "file:///lake/".into(),
            mapping: Default::default(),
        }],
        use_cache: true,
        failed_rollups: Default::default(),
    };
    let unit = RollupUnit {
        table: 0,
        date: "2026-03-01".parse().unwrap(),
        files: vec![file],
        window: Window::new(1_772_323_200_000_000, 1_772_409_600_000_000).unwrap(),
        is_clipped: false,
        rollups: vec!["event_bins".into()],
        selection: None,
    };
    let error = run.complete(vec![unit], &Silent).await.unwrap_err().to_string();
    assert!(error.contains(table) && error.contains("2026-03-01"), "{error}");
}
