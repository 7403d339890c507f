//! Runs the binary, writes small lakes and reads results.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use serde_json::Value;

/// Runs `hindcast` with `arguments`, split at spaces.
pub fn hindcast(arguments: &str) -> Output {
    run(&arguments.split_whitespace().collect::<Vec<_>>())
}

/// Runs `hindcast` with `arguments`.
pub fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hindcast")).args(arguments).output().expect("the binary runs")
}

/// The standard error of a run.
pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The standard output of a run.
pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A temporary folder with a lake in `lake`, removed at the end of the test.
pub struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    /// A place with a demo lake with these options.
    pub fn with_demo(options: &str) -> Self {
        let place = Self::new();
        let output = hindcast(&format!("demo {} {options}", place.lake().display()));
        assert!(output.status.success(), "{}", stderr(&output));
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn lake(&self) -> PathBuf {
        self.path("lake")
    }

    pub fn out(&self) -> PathBuf {
        self.path("out")
    }

    /// Scans without a cache into `out`, with further `arguments`.
    pub fn scan(&self, arguments: &str) -> Output {
        hindcast(&format!(
            "scan --lake {} --out {} --no-cache --format json,parquet {arguments}",
            self.lake().display(),
            self.out().display()
        ))
    }

    /// Investigates `entity` (kind and name) without a cache into `out`, with further `arguments`.
    pub fn investigate(&self, entity: &str, arguments: &str) -> Output {
        hindcast(&format!(
            "investigate {entity} --lake {} --out {} --no-cache --format json,parquet {arguments}",
            self.lake().display(),
            self.out().display()
        ))
    }

    /// Like [`Place::scan`], but the scan must succeed.
    pub fn scan_well(&self, arguments: &str) {
        let output = self.scan(arguments);
        assert!(output.status.success(), "{}", stderr(&output));
    }

    /// The rows of a result table.
    pub fn table(&self, name: &str) -> Vec<Value> {
        read_json(&self.out().join("tables").join(format!("{name}.json")))
    }

    pub fn summary(&self) -> Value {
        read_json(&self.out().join("summary.json"))
    }

    pub fn findings(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.out().join("findings.jsonl")).expect("findings.jsonl");
        text.lines().map(|line| serde_json::from_str(line).expect("a finding")).collect()
    }

    /// The coverage entry of a table and date.
    pub fn coverage(&self, table: &str, date: &str) -> Value {
        let summary = self.summary();
        let entries = summary["coverage"]["tables"].as_array().expect("coverage");
        entries.iter().find(|e| e["table"] == table && e["date"] == date).expect("an entry").clone()
    }

    /// Writes rows to a file of a table's date, with the columns of all rows.
    pub fn write_rows(
        &self,
        table: &str,
        date: &str,
        file: &str,
        rows: &[BTreeMap<String, Value>],
    ) -> PathBuf {
        self.write_batch(table, date, file, &batch_of(rows))
    }

    pub fn write_batch(&self, table: &str, date: &str, file: &str, batch: &RecordBatch) -> PathBuf {
        let folder = self.lake().join(table).join(format!("date={date}"));
        fs::create_dir_all(&folder).expect("a date folder");
        let path = folder.join(file);
        let target = File::create(&path).expect("a file");
        let mut writer = ArrowWriter::try_new(target, batch.schema(), None).expect("a writer");
        writer.write(batch).expect("rows written");
        writer.close().expect("a footer");
        path
    }
}

/// The files below a folder: their paths relative to it, with slashes, and in full.
pub fn files_below(folder: &Path) -> Vec<(String, PathBuf)> {
    let (mut folders, mut found) = (vec![folder.to_owned()], Vec::new());
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let relative = path.strip_prefix(folder).expect("below it").to_string_lossy().into_owned();
                found.push((relative, path));
            }
        }
    }
    found.sort();
    found
}

pub fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> T {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Rows as a batch: numbers as 64-bit integers, everything else as text; missing values are null.
pub fn batch_of(rows: &[BTreeMap<String, Value>]) -> RecordBatch {
    let mut names: Vec<&String> = rows.iter().flat_map(BTreeMap::keys).collect();
    names.sort();
    names.dedup();
    let mut fields = Vec::new();
    let mut columns: Vec<ArrayRef> = Vec::new();
    for name in names {
        let values: Vec<Option<&Value>> =
            rows.iter().map(|row| row.get(name).filter(|v| !v.is_null())).collect();
        if values.iter().flatten().all(|value| value.is_i64()) {
            fields.push(Field::new(name, DataType::Int64, true));
            columns.push(Arc::new(values.iter().map(|v| v.and_then(Value::as_i64)).collect::<Int64Array>()));
        } else {
            fields.push(Field::new(name, DataType::Utf8, true));
            columns.push(Arc::new(values.iter().map(|v| v.and_then(Value::as_str)).collect::<StringArray>()));
        }
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("a batch")
}

/// Columns as a batch; all are nullable.
pub fn batch_of_columns(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let columns = columns.into_iter().map(|(name, array)| (name, array, true));
    RecordBatch::try_from_iter_with_nullable(columns).expect("a batch")
}

/// A row from name and value pairs.
pub fn row<const N: usize>(cells: [(&str, Value); N]) -> BTreeMap<String, Value> {
    cells.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
