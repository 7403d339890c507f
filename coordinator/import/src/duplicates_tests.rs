//! Tests that repeated record ids are found in an import and in the lake.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray, TimestampMicrosecondArray};
use hindcast_base::time::parse_time;
use hindcast_tables::layout;
use object_store::ObjectStoreExt;
use object_store::memory::InMemory;

use super::*;

/// A row: its time, its id and a value.
type Row = (&'static str, Option<&'static str>, &'static str);

fn times(rows: &[Row]) -> ArrayRef {
    let times = rows.iter().map(|(time, ..)| parse_time(time).unwrap());
    Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC"))
}

fn ids(rows: &[Row]) -> ArrayRef {
    Arc::new(StringArray::from_iter(rows.iter().map(|(_, id, _)| *id)))
}

fn batch(rows: &[Row]) -> RecordBatch {
    let values: ArrayRef = Arc::new(StringArray::from_iter_values(rows.iter().map(|(.., value)| *value)));
    RecordBatch::try_from_iter_with_nullable([
        ("TimeGenerated", times(rows), true),
        ("Id", ids(rows), true),
        ("Value", values, true),
    ])
    .unwrap()
}

fn lake() -> Location {
    Location::parse_with("s3://memory/lake", |_| Ok(Arc::new(InMemory::new()))).unwrap()
}

/// Which of the rows are kept, batch by batch, and how many are duplicates and changed.
async fn kept(lake: Location, batches: Vec<RecordBatch>) -> (Vec<Vec<bool>>, u64, u64) {
    let find = move || {
        let (mut duplicates, mut counts) =
            (Duplicates::new(lake, "Id".into(), Tables::built_in()), Counts::default());
        let kept = batches.iter().map(|rows| duplicates.first_of_each("Own", rows, &mut counts).unwrap());
        let kept = kept.collect();
        (kept, counts.duplicates, counts.changed)
    };
    tokio::task::spawn_blocking(find).await.unwrap()
}

const MORNING: &str = "2026-01-05T08:00:00Z";

#[tokio::test]
async fn equal_rows_are_left_out_and_changed_ones_are_kept() {
    let first = batch(&[
        (MORNING, Some("a"), "1"),
        (MORNING, Some("a"), "1"),
        (MORNING, Some("a"), "2"),
        (MORNING, Some("b"), "1"),
        (MORNING, None, "1"),
        (MORNING, None, "1"),
    ]);
    let second = batch(&[
        (MORNING, Some("b"), "1"),
        ("2026-01-05T08:00:01Z", Some("b"), "1"),
        ("2026-01-06T08:00:00Z", Some("a"), "1"),
    ]);
    let (kept, duplicates, changed) = kept(lake(), vec![first, second]).await;
    assert_eq!(kept, [vec![true, false, true, true, true, true], vec![false, true, true]]);
    assert_eq!((duplicates, changed), (2, 2));
}

#[tokio::test]
async fn rows_of_the_lake_count_in_any_type_and_order_of_columns() {
    let rows = [(MORNING, Some("a"), "7"), (MORNING, Some("b"), "8")];
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![7, 8]));
    let stored = RecordBatch::try_from_iter_with_nullable([
        ("Value", numbers, true),
        ("Unset", Arc::new(StringArray::from(vec![None::<&str>, None])) as ArrayRef, true),
        ("Id", ids(&rows), true),
        ("TimeGenerated", times(&rows), true),
    ])
    .unwrap();
    let mut writer = layout::writer(Vec::new(), &stored.schema(), &["TimeGenerated"]).unwrap();
    writer.write(&stored).unwrap();
    let (lake, content) = (lake(), writer.into_inner().unwrap());
    lake.store().put(&lake.child("Own/date=2026-01-05/a.parquet"), content.into()).await.unwrap();
    let imported = batch(&[(MORNING, Some("a"), "7"), (MORNING, Some("b"), "9"), (MORNING, Some("c"), "7")]);
    let (kept, duplicates, changed) = kept(lake, vec![imported]).await;
    assert_eq!(kept, [vec![false, true, true]]);
    assert_eq!((duplicates, changed), (1, 1));
}

#[tokio::test]
async fn a_table_without_the_column_is_an_error() {
    let rows = batch(&[(MORNING, Some("a"), "1")]).project(&[0, 2]).unwrap();
    let find = move || {
        let mut duplicates = Duplicates::new(lake(), "Id".into(), Tables::built_in());
        duplicates.first_of_each("Own", &rows, &mut Counts::default()).unwrap_err().to_string()
    };
    let error = tokio::task::spawn_blocking(find).await.unwrap();
    assert_eq!(error, "rows of Own have no column Id to find duplicates by");
}
