//! State that can be read but not merged: the merge names the file, and only its task fails.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::Path;

use crate::rows::{SmallLake, parquet_of, table_rows, url_of};
use arrow::array::{ArrayRef, BinaryArray, RecordBatch};
use arrow::compute::cast;
use hindcast_base::time::Window;
use hindcast_detections::config::Config;
use hindcast_engine::{MergeFault, MergeRows, MergeStage};
use hindcast_functions::BUCKETS;
use hindcast_lake::{StateFile, TableSpec, content_hash, seal_of};
use hindcast_observability::Origin;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

const TABLE: &str = "CommonSecurityLog";
const ROLLUP: &str = "external_pairs";

/// Writes rows as a state file with hashes.
fn write_state(state: &Path, rows: &RecordBatch) -> StateFile {
    let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), None).expect("a writer");
    writer.write(rows).expect("rows");
    writer.flush().and_then(|()| Ok(writer.sync()?)).expect("pages");
    let pages_bytes = writer.inner().len();
    let seal = seal_of(writer.inner());
    writer.append_key_value_metadata(seal);
    let bytes = writer.into_inner().expect("a footer");
    let path = format!("{ROLLUP}.{}.parquet", content_hash(&bytes[pages_bytes..]));
    fs::write(state.join(&path), &bytes).expect("a file");
    StateFile { path, bytes: bytes.len() as u64, tail_bytes: (bytes.len() - pages_bytes) as u64 }
}

/// The rows of a state file, with each packed set truncated within a number.
fn with_cut_sets(file: &Path) -> RecordBatch {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(file).expect("state"));
    let rows = reader.and_then(|reader| reader.build()).expect("state").next().expect("rows").expect("rows");
    let position = rows.schema().index_of("seconds").expect("a set");
    let cut = BinaryArray::from_iter_values((0..rows.num_rows()).map(|_| [0xff]));
    let mut columns: Vec<ArrayRef> = rows.columns().to_vec();
    columns[position] = cast(&cut, columns[position].data_type()).expect("the set's type");
    RecordBatch::try_new(rows.schema(), columns).expect("rows")
}

fn stage(lake: &SmallLake, files: &[&StateFile]) -> MergeStage {
    let spec = TableSpec::by_name(TABLE).expect("a table");
    let columns: BTreeSet<String> = spec.columns.iter().map(|column| column.name.to_owned()).collect();
    MergeStage {
        config: Config::load("default", &[]).expect("the preset"),
        state_url: url_of(&lake.state()),
        window: Window::new(0, i64::MAX).expect("a window"),
        shards: vec![(0, 20), (20, BUCKETS)],
        inputs: BTreeMap::from([(ROLLUP.to_owned(), files.iter().map(|file| (*file).clone()).collect())]),
        past: BTreeMap::new(),
        side_tables: BTreeMap::new(),
        columns: BTreeMap::from([(TABLE.to_owned(), columns)]),
        analyses: vec!["beaconing".into(), "beacon_scores".into()],
        investigated: None,
        origin: Origin::default(),
    }
}

async fn faults(lake: &SmallLake, files: &[&StateFile]) -> Vec<MergeFault> {
    let stage = stage(lake, files);
    MergeRows::faults(&lake.run(stage.into()).await).expect("faults")
}

#[tokio::test]
async fn state_that_fails_to_merge_is_named() {
    let lake = SmallLake::new();
    let spec = TableSpec::by_name(TABLE).expect("a table");
    let file = lake.write(TABLE, "rows.parquet", &parquet_of(&table_rows(spec, 500)));
    let manifests = lake.unit(TABLE, &file, &[ROLLUP]).await.expect("state");
    let good = manifests[0].file().expect("state");
    assert_eq!(faults(&lake, &[&good]).await, []);

    let bad = write_state(&lake.state(), &with_cut_sets(&lake.state().join(&good.path)));
    let found = faults(&lake, &[&good, &bad]).await;
    assert!(!found.is_empty());
    for fault in found {
        let MergeFault::State(of_shard) = fault else { panic!("{fault:?}") };
        assert_eq!(of_shard.iter().map(|fault| &fault.file).collect::<Vec<_>>(), [&bad.path]);
        assert!(of_shard[0].reason.contains("packed set"), "{}", of_shard[0].reason);
    }
    let gone = StateFile { path: "elsewhere.0123456789abcdef.parquet".into(), ..good.clone() };
    let found = faults(&lake, &[&gone, &good]).await;
    assert!(!found.is_empty());
    assert!(
        found.iter().all(|fault| matches!(fault, MergeFault::State(files) if files[0].file == gone.path))
    );
}
