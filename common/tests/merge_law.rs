//! The law of rollups: state of the parts, united in any order and any shards, is the state of the whole.
#![allow(clippy::expect_used, reason = "a test that fails stops")]

use std::sync::Arc;

use arrow::array::{ArrayRef, DictionaryArray, Int64Array, RecordBatch, TimestampMicrosecondArray};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::Int32Type;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::logical_expr::{ident, lit};
use datafusion::prelude::{DataFrame, SessionContext};
use hindcast_common::catalog::{ColumnKind, TableSpec, canonical_schema};
use hindcast_common::config::Config;
use hindcast_common::engine::task_session;
use hindcast_common::functions::BUCKETS;
use hindcast_common::rollups::{BUCKET_COLUMN, ROLLUPS, Rollup};
use proptest::prelude::*;

/// 2026-03-01T23:59:50Z: ten seconds before a midnight, so that gaps span it.
const BEFORE_MIDNIGHT_US: i64 = 1_772_409_590_000_000;

/// Values a column takes; several match each filter, and null is among them.
fn texts(column: &str) -> Vec<Option<&'static str>> {
    let mut pool = match column {
        "DeviceVendor" => vec!["Palo Alto Networks", "Palo Alto Networks", "Fortinet"],
        "DeviceEventClassID" => vec!["TRAFFIC", "TRAFFIC", "THREAT", "SYSTEM"],
        "SimplifiedDeviceAction" => vec!["Allowed", "Blocked", "Reset"],
        "LocalIP" | "ClientIP" | "Client_IPAddress" => {
            vec!["10.0.0.1", "[2A01::1]:443", "2a01::1", "10.0.0.1:80", "<null>", ""]
        }
        "UserId" => vec!["Ada@corp.example", "ada@corp.example", "bob@corp.example", "<null>"],
        "UserType" => vec!["Regular", "Regular", "Admin"],
        "SourceIP" | "DestinationIP" => vec!["10.0.0.1", "203.0.113.7", "2a01::1", "not an address"],
        "ApplicationProtocol" => vec!["dns-base", "ssl", "DNS"],
        "ProcessCommandLine" => vec!["7z a x.7z y", "azcopy copy a b", "notepad", "tar czf a.tgz b"],
        "RemoteUrl" => vec!["https://loot.blob.core.windows.net/c", "example.org"],
        "FileName" => vec!["loot.zip", "a.7z", "notes.txt"],
        "FolderPath" => vec!["C:\\Windows\\Temp", "/srv/staging", "C:\\Docs"],
        "OperationName" => vec!["PutBlob", "GetBlob", "microsoft.storage/storageaccounts/listkeys/action"],
        "RecordType" => vec!["SharePointFileOperation", "ExchangeItem"],
        "UserAgent" => vec!["Edge", "curl", ""],
        "StatusCode" => vec!["201", "403"],
        _ => vec!["one", "Two", "drei"],
    };
    pool.dedup();
    pool.into_iter().map(Some).chain([None]).collect()
}

const INTEGERS: [Option<i64>; 7] =
    [Some(0), Some(53), Some(443), Some(700), Some(600_000), Some(1 << 40), None];

/// A batch of the rollup's columns; each row is a seed for its cells.
fn batch(rollup: &Rollup, seeds: &[u64]) -> RecordBatch {
    let spec = TableSpec::by_name(rollup.tables[0]).expect("a table");
    let schema = canonical_schema(spec, rollup.columns);
    let columns = schema.fields().iter().enumerate().map(|(position, field)| -> ArrayRef {
        let kind = spec.column(field.name()).expect("a column").kind;
        // Each column takes other bits of the seed.
        let cells = seeds
            .iter()
            .map(|seed| seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(7 * position as u32));
        match kind {
            ColumnKind::Time => {
                let times = cells.map(|cell| BEFORE_MIDNIGHT_US + (cell % 40) as i64 * 500_000);
                Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC"))
            }
            ColumnKind::Text => {
                let pool = texts(field.name());
                Arc::new(
                    cells
                        .map(|cell| pool[cell as usize % pool.len()])
                        .collect::<DictionaryArray<Int32Type>>(),
                )
            }
            ColumnKind::Integer => {
                Arc::new(cells.map(|cell| INTEGERS[cell as usize % INTEGERS.len()]).collect::<Int64Array>())
            }
        }
    });
    RecordBatch::try_new(Arc::clone(&schema), columns.collect()).expect("a batch")
}

struct Bench {
    session: SessionContext,
    config: Config,
    runtime: tokio::runtime::Runtime,
}

impl Bench {
    fn new() -> Self {
        Self {
            session: task_session(Arc::new(RuntimeEnv::default())),
            config: Config::load("default", &[]).expect("the preset"),
            runtime: tokio::runtime::Builder::new_current_thread().build().expect("a runtime"),
        }
    }

    fn collect(&self, frame: DataFrame) -> RecordBatch {
        let schema = Arc::clone(frame.schema().inner());
        let batches = self.runtime.block_on(frame.collect()).expect("rows");
        concat_batches(&schema, &batches).expect("one batch")
    }

    fn state(&self, rollup: &Rollup, rows: RecordBatch) -> RecordBatch {
        let table = self.session.read_batch(rows).expect("a frame");
        self.collect(rollup.build(table, &self.config).expect("a plan"))
    }

    fn merged(&self, rollup: &Rollup, states: RecordBatch, buckets: (u8, u8)) -> Vec<String> {
        let in_shard =
            ident(BUCKET_COLUMN).gt_eq(lit(buckets.0)).and(ident(BUCKET_COLUMN).lt(lit(buckets.1)));
        let states = self.session.read_batch(states).expect("a frame").filter(in_shard).expect("a filter");
        rows_of(&self.collect(rollup.merge(states).expect("a plan")))
    }
}

/// Rows as text.
fn rows_of(batch: &RecordBatch) -> Vec<String> {
    let options = FormatOptions::default().with_null("null");
    let columns: Vec<ArrayFormatter<'_>> = batch
        .columns()
        .iter()
        .map(|column| ArrayFormatter::try_new(column, &options).expect("a format"))
        .collect();
    (0..batch.num_rows())
        .map(|row| columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join("|"))
        .collect()
}

fn sorted(mut rows: Vec<String>) -> Vec<String> {
    rows.sort();
    rows
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn parts_unite_to_the_whole(
        rows in prop::collection::vec((any::<u64>(), 0usize..4), 1..120),
        order in Just([0usize, 1, 2, 3]).prop_shuffle(),
        cut in 1u8..BUCKETS,
    ) {
        let bench = Bench::new();
        for rollup in ROLLUPS {
            let seeds: Vec<u64> = rows.iter().map(|(seed, _)| *seed).collect();
            let whole = bench.state(rollup, batch(rollup, &seeds));
            let expected = sorted(bench.merged(rollup, whole, (0, BUCKETS)));

            let parts: Vec<RecordBatch> = order
                .iter()
                .map(|part| {
                    let of_part: Vec<u64> = rows.iter().filter(|(_, p)| p == part).map(|(seed, _)| *seed).collect();
                    bench.state(rollup, batch(rollup, &of_part))
                })
                .collect();
            let states = concat_batches(&parts[0].schema(), &parts).expect("states");
            prop_assert_eq!(&expected, &sorted(bench.merged(rollup, states.clone(), (0, BUCKETS))), "{} in parts", rollup.id);

            let low = bench.merged(rollup, states.clone(), (0, cut));
            let high = bench.merged(rollup, states, (cut, BUCKETS));
            prop_assert_eq!(&expected, &sorted([low, high].concat()), "{} in shards", rollup.id);
        }
    }
}

/// The generated rows reach every rollup: a law over empty states would hold of anything.
#[test]
fn generated_rows_give_every_rollup_state() {
    let bench = Bench::new();
    for rollup in ROLLUPS {
        let seeds: Vec<u64> = (0..500u64).map(|seed| seed.wrapping_mul(0x2545_f491_4f6c_dd1d)).collect();
        let rows = batch(rollup, &seeds);
        let state = bench.state(rollup, rows.clone());
        assert!(state.num_rows() > 1, "{}", rollup.id);
        // Rows in another order give the same state.
        let reversed: arrow::array::UInt32Array = (0..rows.num_rows() as u32).rev().collect();
        let reversed = take_record_batch(&rows, &reversed).expect("rows");
        assert_eq!(sorted(rows_of(&state)), sorted(rows_of(&bench.state(rollup, reversed))), "{}", rollup.id);
    }
}
