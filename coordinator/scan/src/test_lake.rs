//! Small lakes for the unit tests of scans.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use hindcast_base::Result;
use hindcast_base::entities::Entity;
use hindcast_base::time::parse_time;
use hindcast_detections::Detections;
use hindcast_detections::config::{Config, Layer};
use hindcast_engine::{Local, LocalOptions, StateStore};
use hindcast_lake::{Lake, Location};
use parquet::arrow::ArrowWriter;
use tempfile::TempDir;

use super::plan::{PlanRequest, ScanPlan, WindowRequest, plan_scan};
use super::run::{RunOptions, ScanResult, run_plan};

/// A lake in a temporary folder, with a local engine.
pub(super) struct TestLake {
    place: TempDir,
    pub(super) engine: Local,
}

impl TestLake {
    pub(super) fn new() -> Self {
        let engine = Local::new(&LocalOptions { threads: 1, memory_bytes: 256 << 20 }).unwrap();
        Self { place: tempfile::tempdir().unwrap(), engine }
    }

    /// The folder of the lake, or one below it.
    pub(super) fn path(&self, below: &str) -> PathBuf {
        self.place.path().join("lake").join(below)
    }

    /// Writes a file with text columns: their names, and one text per column for each row.
    pub(super) fn write(&self, path: &str, columns: &[&str], rows: &[&[&str]]) {
        let column = |index: usize| -> ArrayRef {
            Arc::new(rows.iter().map(|row| Some(row[index])).collect::<StringArray>())
        };
        let arrays = columns.iter().enumerate().map(|(index, name)| (*name, column(index)));
        let batch = RecordBatch::try_from_iter(arrays).unwrap();
        let file = self.path(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        let mut writer =
            ArrowWriter::try_new(std::fs::File::create(file).unwrap(), batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
    }

    /// Writes the firewall's sessions of a date: hour, vendor, source and destination of each.
    pub(super) fn write_sessions(&self, date: &str, sessions: &[(&str, &str, &str, &str)]) {
        self.write_sessions_in("", date, sessions);
    }

    /// Like [`TestLake::write_sessions`], in the folder `root` below the lake, or next to it.
    pub(super) fn write_sessions_in(&self, root: &str, date: &str, sessions: &[(&str, &str, &str, &str)]) {
        let rows: Vec<[String; 7]> = sessions
            .iter()
            .map(|(hour, vendor, source, destination)| {
                let time = format!("{date}T{hour}:00:00Z");
                [time.as_str(), *vendor, "TRAFFIC", *source, *destination, "10", "20"].map(str::to_owned)
            })
            .collect();
        let rows: Vec<Vec<&str>> = rows.iter().map(|row| row.iter().map(String::as_str).collect()).collect();
        let rows: Vec<&[&str]> = rows.iter().map(Vec::as_slice).collect();
        let columns = [
            "TimeGenerated",
            "DeviceVendor",
            "DeviceEventClassID",
            "SourceIP",
            "DestinationIP",
            "SentBytes",
            "ReceivedBytes",
        ];
        self.write(&format!("{root}CommonSecurityLog/date={date}/a.parquet"), &columns, &rows);
    }

    /// The parameters of a run, with a configuration on top of the defaults.
    pub(super) fn config(&self, text: &str) -> Config {
        Config::load("default", &[Layer { name: "test.toml", text }]).unwrap()
    }

    /// The default parameters, with the files of a user's own detection.
    pub(super) fn config_with_own(&self, id: &str, files: &[(&str, &str)]) -> Config {
        let own = files.iter().map(|(name, text)| (format!("mine/{id}/{name}"), (*text).to_owned()));
        Config::load_with("default", &[], Detections::with_own(own.collect()).unwrap()).unwrap()
    }

    /// The plan of a scan of these analyses.
    pub(super) async fn plan(
        &self,
        config: &Config,
        analyses: &[&str],
        window: WindowRequest,
    ) -> Result<ScanPlan> {
        self.plan_of(config, analyses, window, None).await
    }

    /// The plan of a scan, or of an investigation.
    pub(super) async fn plan_of(
        &self,
        config: &Config,
        analyses: &[&str],
        window: WindowRequest,
        investigated: Option<Entity>,
    ) -> Result<ScanPlan> {
        let detections = config.detections;
        let only = analyses.iter().map(|id| detections.by_id(id).unwrap()).collect();
        let suites = hindcast_detections::analyses::Suite::ALL.to_vec();
        let request = PlanRequest { window, suites, only, investigated, detections };
        let root = Location::parse(&self.path("").display().to_string())?;
        let lake = Lake::open(root, &config.tables, config.detections.tables())?;
        let lake = lake.with_roots(&config.roots, |root| Location::parse(&root.url))?;
        plan_scan(&lake, &request, config, None, &self.engine.runtime()).await
    }

    /// The state next to the lake.
    pub(super) fn state(&self) -> StateStore {
        StateStore::new(Location::parse(&self.state_path().display().to_string()).unwrap())
    }

    /// The folder of the state.
    pub(super) fn state_path(&self) -> PathBuf {
        self.place.path().join("state")
    }

    pub(super) fn options<'a>(&'a self, config: &'a Config, state: &'a StateStore) -> RunOptions<'a> {
        RunOptions {
            engine: &self.engine,
            runtime: self.engine.runtime(),
            state,
            use_cache: true,
            shards: 2,
            concurrent_merges: 1,
            config,
            job: "",
            locations: None,
        }
    }

    /// Runs a plan.
    pub(super) async fn run(&self, config: &Config, plan: &ScanPlan) -> Result<ScanResult> {
        run_plan(plan, &self.options(config, &self.state()), &()).await
    }
}

/// The window between two times.
pub(super) fn between(from: &str, to: &str) -> WindowRequest {
    WindowRequest::Between(Some(parse_time(from).unwrap()), Some(parse_time(to).unwrap()))
}
