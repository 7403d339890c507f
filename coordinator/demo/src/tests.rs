//! Tests of whole demo lakes: equal bytes for equal options, row counts, and ground truth that the data confirms.

#![allow(clippy::unwrap_used)] // a test that cannot go on should say where

mod office;
mod story;

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use arrow::array::{Array, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use chrono::NaiveDate;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

use super::tables::Shares;
use super::{DemoError, DemoOptions, DemoSummary, generate};

fn options(out: &Path, days: u32, rows_per_day: u64, seed: u64) -> DemoOptions {
    let start = NaiveDate::from_ymd_opt(2026, 2, 2).unwrap();
    DemoOptions { out: out.join("lake"), days, rows_per_day, seed, start }
}

fn make(days: u32, rows_per_day: u64, seed: u64) -> (tempfile::TempDir, DemoSummary, Vec<(NaiveDate, u64)>) {
    let folder = tempfile::tempdir().unwrap();
    let mut finished = Vec::new();
    let summary = generate(&options(folder.path(), days, rows_per_day, seed), &mut |date, rows| {
        finished.push((date, rows))
    });
    (folder, summary.unwrap(), finished)
}

/// All files below a folder, by relative path.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                found.insert(path.strip_prefix(folder).unwrap().to_owned(), fs::read(&path).unwrap());
            }
        }
    }
    found
}

fn truth(folder: &Path) -> Value {
    serde_json::from_slice(&fs::read(folder.join("lake/truth.json")).unwrap()).unwrap()
}

fn batches(folder: &Path, table: &str) -> Vec<RecordBatch> {
    let mut all = Vec::new();
    for (path, _) in contents(&folder.join("lake").join(table)) {
        let file = fs::File::open(folder.join("lake").join(table).join(path)).unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
        all.extend(reader.map(Result::unwrap));
    }
    all
}

/// The rows of a table with these columns as text; null is `None`.
fn rows<const N: usize>(folder: &Path, table: &str, columns: [&str; N]) -> Vec<[Option<String>; N]> {
    let mut all = Vec::new();
    for batch in batches(folder, table) {
        let texts =
            columns.map(|column| cast(batch.column_by_name(column).unwrap(), &DataType::Utf8).unwrap());
        let text = |column: usize, row: usize| {
            let column = texts[column].as_any().downcast_ref::<StringArray>().unwrap();
            column.is_valid(row).then(|| column.value(row).to_owned())
        };
        all.extend((0..batch.num_rows()).map(|row| std::array::from_fn(|column| text(column, row))));
    }
    all
}

/// The distinct texts of a column.
fn values(folder: &Path, table: &str, column: &str) -> HashSet<String> {
    rows(folder, table, [column]).into_iter().filter_map(|[value]| value).collect()
}

#[test]
fn equal_options_give_equal_bytes() {
    let (first, ..) = make(2, 3_000, 7);
    let (second, ..) = make(2, 3_000, 7);
    let (other, ..) = make(2, 3_000, 8);
    assert!(contents(first.path()) == contents(second.path()));
    assert!(contents(first.path()) != contents(other.path()));
}

#[test]
fn row_counts_are_those_requested_and_planted() {
    for (days, rows_per_day) in [(1, 1_000), (2, 4_321), (7, 2_000)] {
        let (folder, summary, finished) = make(days, rows_per_day, 1);
        let truth = truth(folder.path());
        let attacks = truth["attacks"].as_array().unwrap();
        let lookalikes = truth["lookalikes"].as_array().unwrap();
        let planted: u64 =
            attacks.iter().chain(lookalikes).map(|planted| planted["rows"].as_u64().unwrap()).sum();
        assert_eq!(summary.rows, u64::from(days) * rows_per_day + planted);
        assert_eq!(summary.planted, attacks.len() as u64);
        assert_eq!(finished.len(), days as usize);
        assert_eq!(finished.iter().map(|(_, rows)| rows).sum::<u64>(), summary.rows);
        let files = contents(folder.path());
        let (others, parquet): (Vec<_>, Vec<_>) =
            files.iter().partition(|(path, _)| path.extension().is_none_or(|ending| ending != "parquet"));
        assert_eq!(others.len(), 2, "truth and locations");
        assert_eq!(summary.files, parquet.len() as u64);
        assert_eq!(summary.bytes, parquet.iter().map(|(_, bytes)| bytes.len() as u64).sum::<u64>());
        let read: usize =
            ["CommonSecurityLog", "DeviceNetworkEvents", "DeviceProcessEvents", "DeviceFileEvents"]
                .into_iter()
                .chain(["StorageBlobLogs", "AuditLogs", "OfficeActivity", "AzureNetworkAnalytics_CL"])
                .flat_map(|table| batches(folder.path(), table))
                .map(|batch| batch.num_rows())
                .sum();
        assert_eq!(read as u64, summary.rows);
    }
}

#[test]
fn entities_of_the_truth_are_in_the_data() {
    let (folder, ..) = make(7, 5_000, 3);
    let tables = [
        ("device_name", "DeviceProcessEvents", "DeviceName"),
        ("account_name", "DeviceProcessEvents", "InitiatingProcessAccountName"),
        ("command_line", "DeviceProcessEvents", "ProcessCommandLine"),
        ("remote_url", "DeviceNetworkEvents", "RemoteUrl"),
        ("source_ip", "CommonSecurityLog", "SourceIP"),
        ("destination_ip", "CommonSecurityLog", "DestinationIP"),
        ("initiated_by", "AuditLogs", "InitiatedBy"),
        ("user", "OfficeActivity", "UserId"),
        ("operation", "OfficeActivity", "Operation"),
        ("user_agent", "OfficeActivity", "UserAgent"),
    ];
    let known: BTreeMap<&str, HashSet<String>> = tables
        .iter()
        .map(|(entity, table, column)| (*entity, values(folder.path(), table, column)))
        .collect();
    let truth = truth(folder.path());
    let attacks = truth["attacks"].as_array().unwrap();
    let ids: Vec<&str> = attacks.iter().map(|attack| attack["id"].as_str().unwrap()).collect();
    assert!(ids.is_sorted());
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());
    for attack in attacks {
        for (entity, value) in attack["entities"].as_object().unwrap() {
            if let Some(values) = known.get(entity.as_str()) {
                assert!(values.contains(value.as_str().unwrap()), "{}: {entity} {value}", attack["id"]);
            }
        }
    }
    let analyses: HashSet<&str> = attacks.iter().map(|attack| attack["analysis"].as_str().unwrap()).collect();
    assert_eq!(analyses.len(), 10);
}

#[test]
fn a_beacon_once_a_day_needs_six_days() {
    let has_daily = |days| {
        let (folder, ..) = make(days, 1_000, 1);
        let truth = truth(folder.path());
        truth["attacks"].as_array().unwrap().iter().any(|attack| attack["id"] == "beacon-86400s-1pct")
    };
    assert!(!has_daily(5));
    assert!(has_daily(6));
}

#[test]
fn sizes_from_zero_up_are_written() {
    for rows_per_day in [0, 1, 10, 137] {
        let (_folder, summary, _) = make(1, rows_per_day, 1);
        assert!(summary.rows >= rows_per_day);
    }
    let (_folder, summary, _) = make(0, 1_000, 1);
    assert_eq!(summary, DemoSummary::default());
}

#[test]
fn shares_add_up() {
    for rows_per_day in [0, 1, 999, 200_000, u64::MAX] {
        let shares = Shares::of(rows_per_day);
        let endpoint = shares.network + shares.process + shares.file;
        let cloud = shares.blob + shares.audit + shares.office + shares.flows;
        assert_eq!(shares.firewall + endpoint + cloud, rows_per_day);
        assert!(shares.firewall >= rows_per_day / 5 * 3);
    }
}

#[test]
fn a_folder_in_use_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path(), 1, 100, 1);
    fs::create_dir_all(&options.out).unwrap();
    fs::write(options.out.join("keep.txt"), "mine").unwrap();
    let refused = generate(&options, &mut |_, _| {});
    assert!(matches!(refused, Err(DemoError::NotEmpty { .. })));
    assert_eq!(contents(&options.out).len(), 1);
}
