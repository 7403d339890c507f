//! State that is held in memory equals the state of DataFusion's plans, which spill: for every rollup, any rows, in any files.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use crate::rows::{SmallLake, batch_of, parquet_of, rows_of};
use arrow::array::RecordBatch;
use hindcast_detections::Detections;
use hindcast_detections::config::{Config, Layer};
use hindcast_lake::TableSpec;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::prelude::*;

/// With less than 256 MiB, rollups spill from the start.
const MEMORIES: [usize; 2] = [1 << 30, 200 << 20];
/// Rules for other vendors are conditions over several columns.
const VENDORS: [&str; 2] = ["", "[firewall]\nvendors = []"];

/// The columns of a state, and its rows in an order.
fn content(file: &Path) -> (String, Vec<String>) {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(file).expect("state"));
    let batches: Vec<RecordBatch> =
        reader.and_then(|reader| reader.build()).expect("state").collect::<Result<_, _>>().expect("rows");
    let mut rows: Vec<String> = batches.iter().flat_map(rows_of).collect();
    rows.sort();
    (format!("{:?}", batches[0].schema().fields()), rows)
}

/// The state of each rollup over files of these rows.
async fn states(
    memory_bytes: usize,
    settings: &str,
    files: &[Vec<u64>],
) -> BTreeMap<String, (String, Vec<String>)> {
    let lake = SmallLake::within(memory_bytes);
    let mut by_table: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for rollup in Detections::built_in().rollups() {
        by_table.entry(rollup.tables[0]).or_default().push(rollup.id);
    }
    let mut states = BTreeMap::new();
    for (table, rollups) in by_table {
        let spec = TableSpec::by_name(table).expect("a table");
        let columns: Vec<&str> = spec.columns.iter().map(|column| column.name).collect();
        let write = |(number, seeds): (usize, &Vec<u64>)| {
            let rows = parquet_of(&batch_of(spec, &columns, seeds));
            lake.write(table, &format!("{number}.parquet"), &rows)
        };
        let files: Vec<_> = files.iter().enumerate().map(write).collect();
        let config =
            Config::load("default", &[Layer { name: "mine.toml", text: settings }]).expect("settings");
        for manifest in lake.unit_of(config, table, &files, &rollups).await.expect("state") {
            let content = manifest.file().map(|file| content(&lake.state().join(file.path)));
            states.insert(manifest.rollup, content.unwrap_or_default());
        }
    }
    states
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, ..ProptestConfig::default() })]

    #[test]
    fn held_state_equals_that_of_plans(
        files in prop::collection::vec(prop::collection::vec(any::<u64>(), 1..150), 1..4),
        settings in prop::sample::select(&VENDORS),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let [held, spilled] = runtime.expect("threads").block_on(async {
            [states(MEMORIES[0], settings, &files).await, states(MEMORIES[1], settings, &files).await]
        });
        prop_assert_eq!(held.len(), Detections::built_in().rollups().len());
        for (rollup, state) in &held {
            prop_assert_eq!(Some(state), spilled.get(rollup), "{}", rollup);
        }
    }
}
