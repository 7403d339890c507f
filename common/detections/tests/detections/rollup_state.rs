//! Tests of state: what is stored of rows, and what merging makes of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringViewArray, TimestampMicrosecondArray};
use arrow::compute::concat_batches;
use arrow::datatypes::{Int64Type, UInt16Type};
use datafusion::logical_expr::ident;
use datafusion::prelude::DataFrame;
use hindcast_detections::config::Config;
use hindcast_detections::findings::Row;
use hindcast_detections::rollups::definition::parse;
use hindcast_detections::rollups::{BUCKET_COLUMN, Rollup};
use hindcast_detections::sql;
use hindcast_functions::BUCKETS;
use hindcast_lake::Tables;

const ROLLUP: &str = r#"version = 1
tables = ["CommonSecurityLog"]
filter = "DestinationPort = 53"
columns = [
  "SourceIP AS source_ip", "SentBytes AS sent", "TimeGenerated AS time", "second_of(TimeGenerated) AS second",
  "CAST(SentBytes AS VARCHAR) AS size",
]
bucket_key = ["source_ip"]
keys = ["source_ip"]
measures = [
  { name = "sessions", kind = "count" },
  { name = "bytes_sent", kind = "sum", of = "sent" },
  { name = "max_sent", kind = "max", of = "sent" },
  { name = "first_seen", kind = "min", of = "time" },
  { name = "last_seen", kind = "max", of = "time" },
  { name = "seconds", kind = "seconds", of = "second", ends = ["first_seen", "last_seen"] },
  { name = "sizes", kind = "distinct", of = "size" },
  { name = "some_sizes", kind = "samples", of = "size" },
]
"#;

fn rollup() -> Rollup {
    parse("mine.toml", ROLLUP, "mine", Tables::built_in()).unwrap()
}

/// Rows of `a` (three), `b` (one), of another port, and without a source.
fn table() -> RecordBatch {
    let half_seconds = [20, 21, 60, 40, 50, 80].map(|half: i64| half * 500_000);
    let columns: [(&str, ArrayRef); 4] = [
        (
            "TimeGenerated",
            Arc::new(TimestampMicrosecondArray::from(half_seconds.to_vec()).with_timezone("UTC")),
        ),
        (
            "SourceIP",
            Arc::new(StringViewArray::from(vec![
                Some("a"),
                Some("a"),
                Some("a"),
                Some("b"),
                Some("c"),
                None,
            ])),
        ),
        ("DestinationPort", Arc::new(Int64Array::from(vec![53, 53, 53, 53, 80, 53]))),
        ("SentBytes", Arc::new(Int64Array::from(vec![Some(5), Some(7), None, Some(9), Some(3), Some(1)]))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true))).unwrap()
}

/// The rows of a frame in order of their first time.
async fn collected(frame: DataFrame) -> RecordBatch {
    let sorted = frame.sort(vec![ident("first_seen").sort(true, false)]).unwrap();
    let schema = Arc::clone(sorted.schema().inner());
    concat_batches(&schema, &sorted.collect().await.unwrap()).unwrap()
}

async fn state_of(rows: RecordBatch) -> RecordBatch {
    let table = sql::session().unwrap().read_batch(rows).unwrap();
    collected(rollup().build(table, &Config::load("default", &[]).unwrap()).unwrap()).await
}

async fn merged(states: RecordBatch) -> RecordBatch {
    collected(rollup().merge(sql::session().unwrap().read_batch(states).unwrap()).unwrap()).await
}

fn integers(batch: &RecordBatch, column: &str) -> Vec<Option<i64>> {
    (0..batch.num_rows()).map(|index| Row::new(batch, index).integer(column)).collect()
}

fn seconds(batch: &RecordBatch, column: &str) -> Vec<Option<i64>> {
    let second = |index| Row::new(batch, index).micros(column).map(|micros| micros / 1_000_000);
    (0..batch.num_rows()).map(second).collect()
}

#[tokio::test]
async fn state_does_not_store_values_that_others_imply() {
    let state = state_of(table()).await;
    assert_eq!(integers(&state, "sessions"), [Some(3), Some(1), Some(1)], "the filter and a null key");
    assert_eq!(integers(&state, "bytes_sent"), [Some(12), Some(9), Some(1)]);
    assert_eq!(integers(&state, "max_sent"), [Some(7), None, None], "the sum of one row is its maximum");
    assert_eq!(seconds(&state, "first_seen"), [Some(10), Some(20), Some(40)]);
    assert_eq!(seconds(&state, "last_seen"), [Some(30), None, None]);
    let buckets = state[BUCKET_COLUMN].as_primitive::<UInt16Type>();
    assert!(buckets.values().iter().all(|bucket| *bucket < BUCKETS));
    assert_eq!(state.schema().fields().last().unwrap().name(), BUCKET_COLUMN);
}

#[tokio::test]
async fn merging_restores_implied_values() {
    let whole = merged(state_of(table()).await).await;
    let sources: Vec<Option<&str>> = whole["source_ip"].as_string_view().iter().collect();
    assert_eq!(sources, [Some("a"), Some("b"), None]);
    assert_eq!(integers(&whole, "max_sent"), [Some(7), Some(9), Some(1)]);
    assert_eq!(seconds(&whole, "last_seen"), [Some(30), Some(20), Some(40)]);
    let lists = whole["seconds"].as_list::<i32>();
    let of_row = |row| lists.value(row).as_primitive::<Int64Type>().values().to_vec();
    assert_eq!([of_row(0), of_row(1), of_row(2)], [vec![10, 30], vec![20], vec![40]]);
    // Hashes of eight bytes each; a null has none.
    let sizes: Vec<usize> = whole["sizes"].as_binary::<i32>().iter().flatten().map(<[u8]>::len).collect();
    assert_eq!(sizes, [16, 8, 8]);
    let some: Vec<BTreeSet<&str>> = whole["some_sizes"]
        .as_string_view()
        .iter()
        .map(|lines| lines.unwrap_or_default().lines().collect())
        .collect();
    assert_eq!(some, [BTreeSet::from(["5", "7"]), BTreeSet::from(["9"]), BTreeSet::from(["1"])]);
}

#[tokio::test]
async fn states_of_parts_merge_to_the_state_of_the_whole() {
    let (rows, whole) = (table(), state_of(table()).await);
    let parts = [
        state_of(rows.slice(2, 4)).await,
        state_of(rows.slice(0, 1)).await,
        state_of(rows.slice(1, 1)).await,
    ];
    let parts = concat_batches(&whole.schema(), &parts).unwrap();
    let whole = merged(whole).await;
    assert_eq!(merged(parts.clone()).await, whole);
    let frame = sql::session().unwrap().read_batch(parts).unwrap();
    let combined = collected(rollup().combine(frame).unwrap()).await;
    assert_eq!(merged(combined).await, whole);
}
