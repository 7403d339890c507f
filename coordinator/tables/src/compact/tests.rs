//! Tests that small files are merged without loss, and that others stay.

use arrow::array::{
    Array, ArrayRef, AsArray, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use hindcast_base::time::parse_time;
use hindcast_lake::{file_rows, table_files};
use object_store::memory::InMemory;

use super::*;
use crate::layout::writer;

/// The content of a file with a time per second of the morning from `second` on, and a column `x`.
fn file(second: i64, x: ArrayRef) -> Vec<u8> {
    let start_us = parse_time("2026-01-05T08:00:00Z").unwrap();
    let times = (0..x.len() as i64).map(|row| start_us + (second + row) * 1_000_000);
    let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC"));
    let rows = RecordBatch::try_from_iter([("TimeGenerated", times), ("x", x)]).unwrap();
    let mut writer = writer(Vec::new(), &rows.schema(), &["TimeGenerated"]).unwrap();
    writer.write(&rows).unwrap();
    writer.into_inner().unwrap()
}

async fn lake(files: Vec<(&str, Vec<u8>)>) -> Location {
    let lake = Location::parse_with("s3://memory/lake", |_| Ok(Arc::new(InMemory::new()))).unwrap();
    for (path, content) in files {
        lake.store().put(&lake.child(&format!("T/{path}")), content.into()).await.unwrap();
    }
    lake
}

/// Compacts table `T`, all its files or only those that Hindcast wrote.
async fn compacted(lake: &Location, is_own_only: bool) -> Compacted {
    let options = CompactOptions {
        small_bytes: 1 << 20,
        dates: &|_| true,
        is_own_only,
        tables: Tables::built_in(),
        mapping: &TableMapping::default(),
    };
    compact(lake, "T", &options, &Arc::new(RuntimeEnv::default())).await.unwrap()
}

/// The values of `x` in each file of the table, in order of paths; and the paths.
async fn values(lake: &Location) -> Vec<(String, Vec<i64>)> {
    let mut found = Vec::new();
    for (_, files) in table_files(&lake.join("T")).await.unwrap() {
        for file in files {
            let mut values = Vec::new();
            let add = |rows: &RecordBatch| {
                let x = cast(rows.column_by_name("x").unwrap(), &DataType::Int64).unwrap();
                values.extend(x.as_primitive::<Int64Type>().iter().flatten());
                Ok(())
            };
            file_rows(&lake.join("T"), &file, None, add).await.unwrap();
            found.push((file.path.clone(), values));
        }
    }
    found
}

#[tokio::test]
async fn files_of_different_integers_become_one_in_order_of_time() {
    let lake = lake(vec![
        ("date=2026-01-05/a.parquet", file(10, Arc::new(Int64Array::from(vec![1 << 40, 2])))),
        ("date=2026-01-05/b.parquet", file(0, Arc::new(Int32Array::from(vec![3])))),
        ("date=2026-01-06/c.parquet", file(0, Arc::new(Int32Array::from(vec![4])))),
    ])
    .await;
    let done = compacted(&lake, false).await;
    assert_eq!((done.dates, done.files_before, done.files_after, done.rows), (1, 2, 1, 3));
    assert!(done.left_alone.is_empty() && done.left_to_others == 0);
    let found = values(&lake).await;
    assert_eq!(
        found.iter().map(|(_, values)| values.clone()).collect::<Vec<_>>(),
        [vec![3, 1 << 40, 2], vec![4]]
    );
    assert!(found[0].0.contains("date=2026-01-05/compact-"), "{}", found[0].0);
    assert!(found[1].0.ends_with("date=2026-01-06/c.parquet"), "{}", found[1].0);
}

#[tokio::test]
async fn files_that_cannot_be_merged_are_named_and_stay() {
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["7"]));
    let lake = lake(vec![
        ("date=2026-01-05/a.parquet", file(0, Arc::new(Int64Array::from(vec![1])))),
        ("date=2026-01-05/b.parquet", file(1, texts)),
        ("date=2026-01-05/c.parquet", b"not Parquet".to_vec()),
        ("date=2026-01-05/d.parquet", file(2, Arc::new(Int64Array::from(vec![2])))),
    ])
    .await;
    let done = compacted(&lake, false).await;
    assert_eq!((done.files_before, done.files_after, done.rows), (2, 1, 2));
    let reasons: Vec<(&str, bool)> = done
        .left_alone
        .iter()
        .map(|left| (left.file.rsplit('/').next().unwrap(), left.reason.contains("column x")))
        .collect();
    assert_eq!(reasons, [("c.parquet", false), ("b.parquet", true)]);
    for name in ["b.parquet", "c.parquet"] {
        assert!(lake.store().head(&lake.child(&format!("T/date=2026-01-05/{name}"))).await.is_ok(), "{name}");
    }
}

#[tokio::test]
async fn only_files_that_hindcast_wrote_are_merged_if_so_requested() {
    let numbers = |number| Arc::new(Int64Array::from(vec![number])) as ArrayRef;
    let own = |id: u64| format!("date=2026-01-05/import-00000000-0000-7000-8000-{id:012}-0000.parquet");
    let (first, second) = (own(1), own(2));
    let lake = lake(vec![
        (first.as_str(), file(0, numbers(1))),
        (second.as_str(), file(1, numbers(2))),
        ("date=2026-01-05/import-other.parquet", file(2, numbers(3))),
        ("date=2026-01-05/part-1.parquet", file(3, numbers(4))),
    ])
    .await;
    let done = compacted(&lake, true).await;
    assert_eq!((done.files_before, done.files_after), (2, 1));
    let mut found: Vec<Vec<i64>> = values(&lake).await.into_iter().map(|(_, values)| values).collect();
    found.sort_unstable();
    assert_eq!(found, [vec![1, 2], vec![3], vec![4]]);
    // One file is not merged again.
    assert_eq!(compacted(&lake, true).await.files_before, 0);
}

#[test]
fn only_folders_of_partitions_are_separate() {
    let date = Path::parse("lake/T/date=2026-01-05").unwrap();
    let file = |name: &str| LakeFile::new(format!("{date}/{name}"), 1, None);
    let names = ["a.parquet", "x/b.parquet", "hour=05/c.parquet", "hour=05/x/k=1%3A/d=1.parquet"];
    let by_folder = by_partition(&date, names.map(file).to_vec());
    let folders: Vec<(&str, usize)> =
        by_folder.iter().map(|(folder, files)| (folder.as_ref(), files.len())).collect();
    let expected = [
        ("lake/T/date=2026-01-05", 2),
        ("lake/T/date=2026-01-05/hour=05", 1),
        ("lake/T/date=2026-01-05/hour=05/k=1%3A", 1),
    ];
    assert_eq!(folders, expected);
}
