//! Tests of saved tables over small lakes: which rows are saved, and what a second save replaces.

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use hindcast_base::time::parse_time;
use hindcast_lake::file_rows;

use super::*;
use crate::layout::writer;

/// A session: its time, its vendor, its destination, and the bytes sent and received.
type Session = (&'static str, &'static str, Option<&'static str>, Option<i64>, Option<i64>);

const VENDOR: &str = "Palo Alto Networks";
const NAME: &str = "Firewall_SPRK";

fn config() -> Config {
    Config::load("default", &[]).unwrap()
}

/// Writes sessions as a file of the source table.
fn write(folder: &std::path::Path, path: &str, sessions: &[Session]) {
    let times = sessions.iter().map(|(time, ..)| parse_time(time).unwrap());
    let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC"));
    let vendors: ArrayRef = Arc::new(StringArray::from_iter_values(sessions.iter().map(|session| session.1)));
    let destinations: ArrayRef = Arc::new(StringArray::from_iter(sessions.iter().map(|session| session.2)));
    let sent: ArrayRef = Arc::new(Int64Array::from_iter(sessions.iter().map(|session| session.3)));
    let received: ArrayRef = Arc::new(Int64Array::from_iter(sessions.iter().map(|session| session.4)));
    let rows = RecordBatch::try_from_iter_with_nullable([
        ("TimeGenerated", times, true),
        ("DeviceVendor", vendors, true),
        ("DestinationIP", destinations, true),
        ("SentBytes", sent, true),
        ("ReceivedBytes", received, true),
    ])
    .unwrap();
    let path = folder.join(SOURCE_TABLE).join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut writer =
        writer(std::fs::File::create(path).unwrap(), &rows.schema(), &["TimeGenerated"]).unwrap();
    writer.write(&rows).unwrap();
    writer.close().unwrap();
}

fn lake_in(folder: &std::path::Path) -> Lake {
    let root = Location::parse(&folder.display().to_string()).unwrap();
    Lake::open(root, &config().tables, config().detections.tables()).unwrap()
}

async fn saved(lake: &Lake, window: Option<Window>) -> Saved {
    save(lake, &config(), &Arc::new(RuntimeEnv::default()), NAME, window).await.unwrap()
}

/// The saved rows by date, each as its destination, its total of bytes and whether it is external.
async fn rows(lake: &Lake) -> Vec<(String, Vec<String>)> {
    let table = lake.root().join(NAME);
    let mut found = Vec::new();
    for (date, files) in table_files(&table).await.unwrap() {
        let mut texts = Vec::new();
        for file in &files {
            let add = |rows: &RecordBatch| {
                let column = |name: &str, kind| cast(rows.column_by_name(name).unwrap(), kind).unwrap();
                let destinations = column("DestinationIP", &DataType::Utf8);
                let totals = column("TotalBytes", &DataType::Int64);
                let external = column("IsExternal", &DataType::Boolean);
                let destinations = destinations.as_string::<i32>().iter();
                let totals = totals.as_primitive::<Int64Type>().iter();
                for ((destination, total), external) in destinations.zip(totals).zip(external.as_boolean()) {
                    texts.push(format!("{destination:?} {total:?} {external:?}"));
                }
                Ok(())
            };
            file_rows(&table, file, None, add).await.unwrap();
        }
        texts.sort();
        found.push((date.to_string(), texts));
    }
    found
}

fn by_date(dates: &[(&str, &[&str])]) -> Vec<(String, Vec<String>)> {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    dates.iter().map(|(date, texts)| ((*date).to_owned(), owned(texts))).collect()
}

#[tokio::test]
async fn rows_of_the_vendor_are_saved_by_their_own_date_with_derived_columns() {
    let folder = tempfile::tempdir().unwrap();
    let sessions = [
        ("2026-01-05T10:00:00Z", VENDOR, Some("8.8.8.8"), Some(1), Some(2)),
        ("2026-01-05T11:00:00Z", VENDOR, Some("10.0.0.1"), Some(4), None),
        ("2026-01-05T12:00:00Z", "Fortinet", Some("8.8.8.8"), Some(1), Some(1)),
        // A late row in the folder of the day before.
        ("2026-01-06T00:00:00Z", VENDOR, Some("fw-1"), Some(5), Some(6)),
    ];
    write(folder.path(), "date=2026-01-05/a.parquet", &sessions);
    write(
        folder.path(),
        "date=2026-01-06/b.parquet",
        &[("2026-01-06T09:00:00Z", VENDOR, Some("::1"), Some(7), Some(0))],
    );
    let lake = lake_in(folder.path());
    let done = saved(&lake, None).await;
    assert_eq!((done.rows_written, done.rows_in_table), (4, 4));
    let wanted: [(&str, &[&str]); 2] = [
        ("2026-01-05", &["Some(\"10.0.0.1\") None Some(false)", "Some(\"8.8.8.8\") Some(3) Some(true)"]),
        ("2026-01-06", &["Some(\"::1\") Some(7) Some(false)", "Some(\"fw-1\") Some(11) Some(false)"]),
    ];
    assert_eq!(rows(&lake).await, by_date(&wanted));
}

#[tokio::test]
async fn a_second_save_replaces_the_rows_of_its_window() {
    let folder = tempfile::tempdir().unwrap();
    let morning = ("2026-01-05T08:00:00Z", VENDOR, Some("8.8.8.8"), Some(1), Some(0));
    let noon = ("2026-01-05T12:00:00Z", VENDOR, Some("8.8.8.8"), Some(2), Some(0));
    write(folder.path(), "date=2026-01-05/a.parquet", &[morning, noon]);
    let lake = lake_in(folder.path());
    assert_eq!(saved(&lake, None).await.rows_in_table, 2);
    let later = ("2026-01-05T13:00:00Z", VENDOR, Some("8.8.8.8"), Some(3), Some(0));
    std::fs::remove_file(folder.path().join(SOURCE_TABLE).join("date=2026-01-05/a.parquet")).unwrap();
    write(folder.path(), "date=2026-01-05/b.parquet", &[later]);
    let time = |text| parse_time(text).unwrap();
    let afternoon = Window::new(time("2026-01-05T12:00:00Z"), time("2026-01-06T00:00:00Z")).unwrap();
    let done = saved(&lake_in(folder.path()), Some(afternoon)).await;
    assert_eq!((done.rows_written, done.rows_in_table), (1, 2));
    let wanted: [(&str, &[&str]); 1] =
        [("2026-01-05", &["Some(\"8.8.8.8\") Some(1) Some(true)", "Some(\"8.8.8.8\") Some(3) Some(true)"])];
    assert_eq!(rows(&lake).await, by_date(&wanted));
    // The same save again changes nothing.
    assert_eq!(saved(&lake_in(folder.path()), Some(afternoon)).await.rows_in_table, 2);
    assert_eq!(rows(&lake).await, by_date(&wanted));
}

#[test]
fn names_end_with_the_suffix_and_are_not_those_of_other_tables() {
    let mut config = config();
    for name in ["Firewall_SPRK", "a_SPRK", "F1_x_SPRK"] {
        assert!(check_name(name, &config).is_ok(), "{name}");
    }
    for name in
        ["_SPRK", "Firewall", "Firewall_SPRK/", "../x_SPRK", "Fire wall_SPRK", "Firewall_SPRK.parquet"]
    {
        let error = check_name(name, &config).unwrap_err().to_string();
        assert!(error.contains("_SPRK"), "{name}: {error}");
    }
    config.save.suffix = "Log".into();
    let error = check_name(SOURCE_TABLE, &config).unwrap_err().to_string();
    assert_eq!(error, "CommonSecurityLog is a table that Hindcast reads, not one to save to");
}

#[test]
fn a_missing_file_is_found_among_the_causes() {
    let missing = || StoreError::NotFound { path: "a.parquet".into(), source: "404".into() };
    let busy = || StoreError::Generic { store: "s3", source: "503".into() };
    assert!(is_not_found(&Error::reading("a.parquet")(missing())));
    assert!(is_not_found(&Error::Engine(datafusion::error::DataFusionError::ObjectStore(Box::new(
        missing()
    )))));
    assert!(!is_not_found(&Error::reading("a.parquet")(busy())));
    assert!(!is_not_found(&Error::Internal("a.parquet".into())));
}
