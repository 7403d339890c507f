//! Concurrent writers and readers of one lake, as processes: no row is lost or duplicated.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use arrow::array::AsArray;
use arrow::compute::cast;
use arrow::datatypes::DataType;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::json;

use crate::import::traffic;
use crate::support::{Place, batch_of, hindcast, read_json, row, stderr, stdout};

pub const TABLE: &str = "CommonSecurityLog";
/// Rows of an import.
pub const ROWS: u64 = 300;
/// Repetitions of each test.
const TRIES: u32 = 2;

/// Starts `hindcast` with `arguments`, split at spaces.
pub fn start(arguments: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_hindcast"))
        .args(arguments.split_whitespace())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("started")
}

/// The outputs of all of them.
pub fn ended(children: Vec<Child>) -> Vec<Output> {
    children.into_iter().map(|child| child.wait_with_output().expect("ended")).collect()
}

impl Place {
    /// A file of [`ROWS`] rows with ids that no other number has.
    pub fn rows_file(&self, number: u64) -> String {
        let path = self.path(&format!("rows-{number}.ndjson"));
        // With the columns that top_talkers requires.
        let rows = traffic(ROWS, number * ROWS).replace("\"SentBytes\"", "\"ReceivedBytes\":1,\"SentBytes\"");
        fs::write(&path, rows).expect("a file");
        path.display().to_string()
    }

    /// The sorted values of a column in all files below a folder of the lake, visible or not.
    pub fn values_below(&self, folder: &str, column: &str) -> Vec<String> {
        let mut values = Vec::new();
        for path in parquet_files(&self.lake().join(folder)) {
            let file = File::open(&path).expect("a file");
            let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("Parquet").build();
            for batch in reader.expect("a reader") {
                let batch = batch.expect("rows");
                let texts =
                    cast(batch.column_by_name(column).expect("a column"), &DataType::Utf8).expect("texts");
                values.extend(texts.as_string::<i32>().iter().flatten().map(str::to_owned));
            }
        }
        values.sort();
        values
    }

    /// Fails unless the table has each row of `files` files exactly once.
    pub fn assert_rows(&self, table: &str, files: u64, what: &str) {
        // Saved tables have these columns too: the sent bytes are the row's number.
        let mut sent: Vec<u64> = self
            .values_below(table, "SentBytes")
            .iter()
            .map(|sent| sent.parse().expect("a number"))
            .collect();
        sent.sort_unstable();
        let expected: Vec<u64> = (0..files * ROWS).collect();
        assert!(sent == expected, "{what}: {} instead of {} rows of {table}", sent.len(), expected.len());
    }
}

fn parquet_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for path in fs::read_dir(folder).into_iter().flatten().map(|entry| entry.expect("an entry").path()) {
        if path.is_dir() {
            files.extend(parquet_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "parquet") {
            files.push(path);
        }
    }
    files
}

fn assert_all_well(outputs: &[Output]) {
    for output in outputs {
        assert!(output.status.success(), "{}{}", stdout(output), stderr(output));
    }
}

#[test]
fn concurrent_imports_add_each_row_once() {
    for imports in [2, 4] {
        for attempt in 0..TRIES {
            let place = Place::new();
            // Both find a small file to merge with theirs.
            place.import(&place.rows_file(0), "");
            let lake = place.lake().display().to_string();
            let files: Vec<String> = (1..=imports).map(|number| place.rows_file(number)).collect();
            let running = files.iter().map(|file| start(&format!("import {file} --lake {lake} --quiet")));
            assert_all_well(&ended(running.collect()));
            place.assert_rows(TABLE, imports + 1, &format!("{imports} imports, try {attempt}"));
        }
    }
}

#[test]
fn concurrent_compactions_preserve_each_row_once() {
    for attempt in 0..TRIES {
        let place = Place::new();
        let text = |id: u64| json!(chrono::DateTime::from_timestamp(1_767_571_200 + id as i64, 0));
        for file in 0..8 {
            let rows: Vec<_> = (file * ROWS..(file + 1) * ROWS)
                .map(|id| row([("TimeGenerated", text(id)), ("SentBytes", json!(id))]))
                .collect();
            place.write_batch(TABLE, "2026-01-05", &format!("{file}.parquet"), &batch_of(&rows));
        }
        let lake = place.lake().display().to_string();
        let running = (0..2).map(|_| start(&format!("tables --lake {lake} compact {TABLE}")));
        assert_all_well(&ended(running.collect()));
        place.assert_rows(TABLE, 8, &format!("two compactions, try {attempt}"));
        assert_eq!(parquet_files(&place.lake().join(TABLE)).len(), 1);
    }
}

#[test]
fn a_file_imported_twice_at_once_is_imported_once() {
    for attempt in 0..TRIES {
        let place = Place::new();
        let (lake, file) = (place.lake().display().to_string(), place.rows_file(0));
        let running = (0..3).map(|_| start(&format!("import {file} --lake {lake} --quiet")));
        let outputs = ended(running.collect());
        assert!(outputs.iter().any(|output| output.status.success()), "{}", stderr(&outputs[0]));
        assert!(outputs.iter().all(|output| [Some(0), Some(1)].contains(&output.status.code())));
        place.assert_rows(TABLE, 1, &format!("one file three times, try {attempt}"));
    }
}

#[test]
fn saves_concurrent_with_saves_and_compactions_save_each_row_once() {
    for attempt in 0..TRIES {
        let place = Place::new();
        let files: Vec<String> = (0..4).map(|number| place.rows_file(number)).collect();
        place.import(&files.join(" "), "");
        let lake = place.lake().display().to_string();
        let save = format!("tables --lake {lake} save Rows_SPRK");
        let halves =
            ["--from 2026-01-05 --to 2026-01-05T00:10:00Z", "--from 2026-01-05T00:05:00Z --to 2026-01-06"];
        let compact = |table: &str| format!("tables --lake {lake} compact {table}");
        // A table of several small files, saved again by two overlapping saves while it is compacted.
        for half in halves {
            assert!(hindcast(&format!("{save} {half}")).status.success());
        }
        place.assert_rows("Rows_SPRK", 4, &format!("saved by halves, try {attempt}"));
        let running = [format!("{save} {}", halves[0]), save.clone(), compact("Rows_SPRK"), compact(TABLE)];
        assert_all_well(&ended(running.iter().map(|arguments| start(arguments)).collect()));
        place.assert_rows("Rows_SPRK", 4, &format!("saves and compactions, try {attempt}"));
        assert!(hindcast(&compact("Rows_SPRK")).status.success());
        assert!(hindcast(&save).status.success());
        place.assert_rows("Rows_SPRK", 4, &format!("saved, compacted, saved, try {attempt}"));
    }
}

/// The rows of the firewall table that a scan has read.
pub fn scanned_rows(place: &Place, out: &str) -> (Output, u64) {
    let (lake, out) = (place.lake().display().to_string(), place.path(out));
    let output = hindcast(&format!(
        "scan --lake {lake} --out {} --no-cache --format json --only top_talkers",
        out.display()
    ));
    let summary: serde_json::Value = read_json(&out.join("summary.json"));
    let entries = summary["coverage"]["tables"].as_array().expect("coverage").clone();
    let rows =
        entries.iter().filter(|entry| entry["table"] == TABLE).filter_map(|entry| entry["rows"].as_u64());
    (output, rows.sum())
}

#[test]
fn a_scan_during_imports_reads_complete_imports() {
    let place = Place::new();
    place.import(&place.rows_file(0), "");
    let lake = place.lake().display().to_string();
    let files: Vec<String> = (1..6).map(|number| place.rows_file(number)).collect();
    let mut running: Vec<Child> =
        files.iter().map(|file| start(&format!("import {file} --lake {lake} --quiet"))).collect();
    let mut scans = 0;
    while running.iter_mut().any(|child| child.try_wait().expect("a status").is_none()) {
        let (output, rows) = scanned_rows(&place, "during");
        // A file that was merged after the listing is reported, and the scan runs again.
        if output.status.code() == Some(3) {
            assert!(stdout(&output).contains(".parquet"), "{}", stdout(&output));
            continue;
        }
        assert!(output.status.success(), "{}", stderr(&output));
        assert!((ROWS..=6 * ROWS).contains(&rows) && rows % ROWS == 0, "{rows} rows");
        scans += 1;
    }
    assert_all_well(&ended(running));
    println!("{scans} whole scans");
    assert_eq!(scanned_rows(&place, "after").1, 6 * ROWS);
}

#[test]
fn changes_of_another_lake_apply_to_a_table_mapped_to_it() {
    let place = Place::new();
    place.import(&place.rows_file(0), "");
    let other = Place::new();
    let url = place.lake().join(TABLE).display().to_string();
    fs::create_dir_all(other.lake()).expect("a folder");
    fs::write(other.lake().join("hindcast.toml"), format!("[tables.{TABLE}]\nurl = \"{url}\""))
        .expect("written");
    assert_eq!(scanned_rows(&other, "out").1, ROWS);
    // A pending change: one more file, which is not read.
    let id = "import-019a0000-0000-7000-8000-000000000001";
    let folder = place.lake().join(TABLE).join("date=2026-01-05");
    let written = parquet_files(&folder).pop().expect("a file");
    fs::copy(written, folder.join(format!("{id}-0000.parquet"))).expect("copied");
    let list =
        json!({"id": id, "adds": [format!("{TABLE}/date=2026-01-05/{id}-0000.parquet")], "replaces": []});
    let changes = place.lake().join("_hindcast/changes");
    fs::write(changes.join(format!("{id}.json")), list.to_string()).expect("written");
    assert_eq!(scanned_rows(&place, "out").1, ROWS);
    assert_eq!(scanned_rows(&other, "out").1, ROWS);
    fs::write(changes.join(format!("{id}.decision")), "committed").expect("written");
    assert_eq!(scanned_rows(&other, "out").1, 2 * ROWS);
}
