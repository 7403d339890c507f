//! Lists of tables, their columns and their deletion.

use std::collections::BTreeMap;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use hindcast_base::ErrorKind;
use hindcast_lake::Tables;
use object_store::memory::InMemory;
use parquet::arrow::ArrowWriter;

use super::*;

fn file(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    let rows = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), None).unwrap();
    writer.write(&rows).unwrap();
    writer.into_inner().unwrap()
}

/// A lake with a table `T` of two dates, a Delta Lake table, and a folder that is not a table.
async fn lake() -> Lake {
    let lake = Location::parse_with("s3://memory/lake", |_| Ok(Arc::new(InMemory::new()))).unwrap();
    let numbers = || Arc::new(Int64Array::from(vec![Some(1), None])) as ArrayRef;
    let nulls = || Arc::new(StringArray::from(vec![None::<&str>, None])) as ArrayRef;
    let texts = || Arc::new(StringArray::from(vec!["a"])) as ArrayRef;
    for (path, content) in [
        ("T/date=2026-01-05/a.parquet", file(vec![("n", numbers()), ("note", nulls())])),
        ("T/date=2026-01-05/b.parquet", file(vec![("n", texts())])),
        ("T/date=2026-01-06/c.parquet", b"not Parquet".to_vec()),
        ("D/_delta_log/00000000000000000000.json", b"{}".to_vec()),
        ("D/date=2026-01-05/a.parquet", file(vec![("n", numbers())])),
        ("other/readme.txt", b"x".to_vec()),
    ] {
        lake.store().put(&lake.child(path), content.into()).await.unwrap();
    }
    Lake::open(lake, &BTreeMap::new(), Tables::built_in()).unwrap()
}

#[tokio::test]
async fn tables_are_listed_with_dates_or_why_they_are_refused() {
    let tables = list(&lake().await).await.unwrap();
    let found: Vec<(&str, Vec<u64>, bool)> = tables
        .iter()
        .map(|entry| {
            let files = entry.dates.iter().map(|date| date.files).collect();
            (entry.table.as_str(), files, entry.refused.is_some())
        })
        .collect();
    assert_eq!(found, [("D", vec![], true), ("T", vec![2, 1], false)]);
    assert!(tables[1].dates.iter().all(|date| date.rows.is_none() && date.bytes > 0));
}

#[tokio::test]
async fn a_table_is_shown_with_rows_and_types() {
    let detail = show(&lake().await, "T").await.unwrap();
    let dates = &detail.entry.dates;
    assert_eq!((dates[0].rows, dates[0].unreadable.len()), (Some(3), 0));
    assert_eq!((dates[1].rows, dates[1].unreadable.len()), (None, 1));
    assert_eq!(detail.files_read, 2);
    let column = |name: &str, types: &[DataType], files, always_null| ColumnEntry {
        name: name.into(),
        types: types.to_vec(),
        files,
        always_null,
    };
    assert_eq!(
        detail.columns,
        [
            column("n", &[DataType::Int64, DataType::Utf8], 2, false),
            column("note", &[DataType::Utf8], 1, true)
        ]
    );
    let json = serde_json::to_value(&detail.columns[0]).unwrap();
    assert_eq!(json["types"], serde_json::json!(["Int64", "Utf8"]));
}

#[tokio::test]
async fn a_deleted_table_is_gone_and_others_stay() {
    let lake = lake().await;
    let lake = lake.root();
    assert_eq!(delete(lake, "T").await.unwrap(), Some(3));
    assert_eq!(delete(lake, "T").await.unwrap(), None);
    for name in ["", "..", "a/b", "other", "T"] {
        let error = existing(lake, name).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{name}: {error}");
    }
    assert!(delete(lake, "D").await.unwrap_err().to_string().contains("Delta Lake"));
    assert!(lake.store().head(&lake.child("D/date=2026-01-05/a.parquet")).await.is_ok());
}
