//! Which columns a table has, and which files are searched for them.

use std::collections::BTreeSet;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use object_store::ObjectStoreExt;
use object_store::memory::InMemory;
use parquet::arrow::ArrowWriter;

use super::*;

fn file(columns: &[&str]) -> Vec<u8> {
    let numbers = || Arc::new(Int64Array::from(vec![1])) as ArrayRef;
    let rows = RecordBatch::try_from_iter(columns.iter().map(|name| (*name, numbers()))).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), None).unwrap();
    writer.write(&rows).unwrap();
    writer.into_inner().unwrap()
}

#[tokio::test]
async fn only_columns_that_are_wanted_are_searched_for() {
    let root = Location::parse_with("s3://memory/lake", |_| Ok(Arc::new(InMemory::new()))).unwrap();
    // The file in the middle of the date is looked at only if the first and the last lack a column.
    for (name, columns) in [
        ("a", &["TimeGenerated", "SourceIP"][..]),
        ("b", &["TimeGenerated", "SourceIP", "FileHash"]),
        ("c", &["TimeGenerated", "SourceIP"]),
    ] {
        let path = root.child(&format!("CommonSecurityLog/date=2026-03-01/{name}.parquet"));
        root.store().put(&path, file(columns).into()).await.unwrap();
    }
    let lake = Lake::open(root, &BTreeMap::new(), Tables::built_in()).unwrap();
    let found = lake.tables(|name| name == "CommonSecurityLog").await.unwrap().readable;
    let folders = found[0].all_folders().await.unwrap();
    let wanted = BTreeSet::from(["TimeGenerated", "SourceIP"]);
    assert_eq!(found[0].columns(&folders, &wanted).await.unwrap(), wanted);
    assert!(!found[0].stored_columns(&folders).contains("FileHash"), "the file in the middle was read");
    let more = BTreeSet::from(["SourceIP", "FileHash", "FileName"]);
    let there = found[0].columns(&folders, &more).await.unwrap();
    assert_eq!(there, BTreeSet::from(["SourceIP", "FileHash"]));
}
