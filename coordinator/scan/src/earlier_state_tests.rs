//! Scans of a Delta table between commits that add, rewrite and change files.

use hindcast_engine::StateStore;
use hindcast_lake::Location;
use serde_json::{Value, json};

use super::super::run::{ScanResult, run_plan};
use super::super::test_lake::{TestLake, between};

const TABLE: &str = "CommonSecurityLog";
const COLUMNS: [&str; 7] = [
    "TimeGenerated",
    "DeviceVendor",
    "DeviceEventClassID",
    "SourceIP",
    "DestinationIP",
    "SentBytes",
    "ReceivedBytes",
];

/// A lake with one Delta table, which is partitioned by date.
struct DeltaLake {
    lake: TestLake,
    commits: u64,
}

impl DeltaLake {
    fn new() -> Self {
        let lake = TestLake::new();
        std::fs::create_dir_all(lake.path(TABLE).join("_delta_log")).unwrap();
        Self { lake, commits: 0 }
    }

    /// Writes a file with a session of each of these hours, and returns the action that adds it.
    fn file(&self, date: &str, name: &str, hours: &[u32], changes_rows: bool) -> Value {
        let session = |hour: &u32| {
            let (time, destination) = (format!("{date}T{hour:02}:00:00Z"), format!("203.0.113.{hour}"));
            [time.as_str(), "Palo Alto Networks", "TRAFFIC", "10.0.0.1", &destination, "10", "20"]
                .map(str::to_owned)
        };
        let rows: Vec<[String; 7]> = hours.iter().map(session).collect();
        let rows: Vec<Vec<&str>> = rows.iter().map(|row| row.iter().map(String::as_str).collect()).collect();
        let rows: Vec<&[&str]> = rows.iter().map(Vec::as_slice).collect();
        let path = format!("date={date}/{name}.parquet");
        self.lake.write(&format!("{TABLE}/{path}"), &COLUMNS, &rows);
        let size = std::fs::metadata(self.lake.path(TABLE).join(&path)).unwrap().len();
        json!({ "add": {
            "path": path, "partitionValues": { "date": date }, "size": size,
            "modificationTime": 1_772_323_200_000 + i64::try_from(self.commits).unwrap(), "dataChange": changes_rows
        } })
    }

    fn commit(&mut self, actions: &[Value]) {
        let field = |name: &str| json!({ "name": name, "type": "string", "nullable": true, "metadata": {} });
        let mut fields = COLUMNS.map(field).to_vec();
        fields.push(json!({ "name": "date", "type": "date", "nullable": true, "metadata": {} }));
        let schema = json!({ "type": "struct", "fields": fields }).to_string();
        let start = [
            json!({ "protocol": { "minReaderVersion": 1, "minWriterVersion": 2 } }),
            json!({ "metaData": {
                "id": "1", "format": { "provider": "parquet", "options": {} }, "schemaString": schema,
                "partitionColumns": ["date"], "configuration": {}, "createdTime": 0
            } }),
        ];
        let all = start.iter().filter(|_| self.commits == 0).chain(actions);
        let lines: Vec<String> = all.map(Value::to_string).collect();
        let name = format!("_delta_log/{:020}.json", self.commits);
        std::fs::write(self.lake.path(TABLE).join(name), lines.join("\n")).unwrap();
        self.commits += 1;
    }

    /// Scans this window, and compares the result with that of a scan without state. Returns the number of units that were computed,
    /// and of all.
    async fn scan(&self, from: &str, to: &str) -> (usize, usize) {
        let (config, elsewhere) = (self.lake.config(""), tempfile::tempdir().unwrap());
        let fresh = StateStore::new(Location::parse(&elsewhere.path().display().to_string()).unwrap());
        let mut results = Vec::new();
        for state in [self.lake.state(), fresh] {
            let plan =
                self.lake.plan(&config, &["top_talkers", "beaconing"], between(from, to)).await.unwrap();
            results.push(run_plan(&plan, &self.lake.options(&config, &state), &()).await.unwrap());
        }
        let summary = |result: &ScanResult| serde_json::to_value(&result.report.summary).unwrap();
        assert_eq!(summary(&results[0]), summary(&results[1]));
        assert_eq!(results[0].findings, results[1].findings);
        assert!(results[0].report.summary.coverage.complete);
        assert_eq!(results[0].report.summary.coverage.versions[0].version, self.commits - 1);
        results[0].report.computed_units
    }
}

fn remove(path: &str, changes_rows: bool) -> Value {
    json!({ "remove": { "path": path, "dataChange": changes_rows, "deletionTimestamp": 0 } })
}

const FIRST: &str = "2026-03-01";
const SECOND: &str = "2026-03-02";

#[tokio::test]
async fn rewritten_files_are_not_read() {
    let mut table = DeltaLake::new();
    table.commit(&[table.file(FIRST, "a", &[1, 2], true)]);
    table.commit(&[table.file(FIRST, "b", &[3], true), table.file(SECOND, "c", &[4], true)]);
    assert_eq!(table.scan(FIRST, "2026-03-03").await, (3, 3));
    table.commit(&[
        table.file(FIRST, "ab", &[1, 2, 3], false),
        remove("date=2026-03-01/a.parquet", false),
        remove("date=2026-03-01/b.parquet", false),
    ]);
    assert_eq!(table.scan(FIRST, "2026-03-03").await, (0, 2));
    table.commit(&[table.file(SECOND, "d", &[5], true)]);
    assert_eq!(table.scan(FIRST, "2026-03-03").await, (1, 3));
    table.commit(&[table.file(FIRST, "less", &[1, 2], true), remove("date=2026-03-01/ab.parquet", true)]);
    assert_eq!(table.scan(FIRST, "2026-03-03").await, (1, 3));
}

#[tokio::test]
async fn state_of_a_window_serves_rewritten_files_in_the_same_window() {
    let mut table = DeltaLake::new();
    table.commit(&[table.file(FIRST, "a", &[1, 12], true)]);
    table.commit(&[table.file(FIRST, "b", &[3, 20], true)]);
    let (from, to) = ("2026-03-01T02:00:00Z", "2026-03-01T18:00:00Z");
    assert_eq!(table.scan(from, to).await, (2, 2));
    // A rewrite into two files: both are one unit from then on.
    table.commit(&[
        table.file(FIRST, "x", &[1, 3], false),
        table.file(FIRST, "y", &[12, 20], false),
        remove("date=2026-03-01/a.parquet", false),
        remove("date=2026-03-01/b.parquet", false),
    ]);
    assert_eq!(table.scan(from, to).await, (0, 1));
    assert_eq!(table.scan(FIRST, SECOND).await, (1, 1));
}

#[tokio::test]
async fn state_of_several_units_together_is_found_again_without_the_log() {
    let mut table = DeltaLake::new();
    table.commit(&[table.file(FIRST, "a", &[1, 12], true)]);
    table.commit(&[table.file(FIRST, "b", &[3, 20], true)]);
    assert_eq!(table.scan(FIRST, SECOND).await, (2, 2));
    let mut later = table.file(FIRST, "y", &[12, 20], false);
    later["add"]["modificationTime"] = json!(1_772_400_000_000_i64);
    table.commit(&[
        table.file(FIRST, "x", &[1, 3], false),
        later.clone(),
        remove("date=2026-03-01/a.parquet", false),
        remove("date=2026-03-01/b.parquet", false),
    ]);
    // They are units of their own, and together they have state.
    assert_eq!(table.scan(FIRST, SECOND).await, (0, 1));
    // A new log has only the files.
    std::fs::remove_dir_all(table.lake.path(TABLE).join("_delta_log")).unwrap();
    std::fs::create_dir(table.lake.path(TABLE).join("_delta_log")).unwrap();
    table.commits = 0;
    let mut earlier = table.file(FIRST, "x", &[1, 3], true);
    earlier["add"]["modificationTime"] = json!(1_772_323_200_002_i64);
    table.commit(&[earlier, later]);
    assert_eq!(table.scan(FIRST, SECOND).await, (0, 1));
    table.commit(&[table.file(FIRST, "c", &[4], true), remove("date=2026-03-01/y.parquet", true)]);
    assert_eq!(table.scan(FIRST, SECOND).await, (2, 2));
}

#[tokio::test]
async fn a_rewrite_of_rows_that_no_scan_has_read_is_read() {
    let mut table = DeltaLake::new();
    table.commit(&[table.file(FIRST, "a", &[1], true)]);
    assert_eq!(table.scan(FIRST, SECOND).await, (1, 1));
    table.commit(&[table.file(FIRST, "b", &[2], true)]);
    table.commit(&[
        table.file(FIRST, "ab", &[1, 2], false),
        remove("date=2026-03-01/a.parquet", false),
        remove("date=2026-03-01/b.parquet", false),
    ]);
    assert_eq!(table.scan(FIRST, SECOND).await, (1, 1));
    assert_eq!(table.scan(FIRST, SECOND).await, (0, 1));
}
