//! Pins the state of fixed rows for each rollup: a change of it requires a new version, so that old state is never used as new.
//! `HINDCAST_GOLDEN=write` writes the list again.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs::{self, File};
use std::path::Path;

use crate::rows::{SmallLake, parquet_of, rows_of, table_rows};
use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit};
use hindcast_detections::Detections;
use hindcast_functions::FUNCTIONS_VERSION;
use hindcast_lake::{CATALOG_VERSION, ColumnKind, TableSpec};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

const ROWS: u64 = 500;

/// The entry of a rollup: its version, those of the catalog and the functions, the rows of its state, and their hash.
type Pinned = (u32, u32, u32, usize, String);

/// Rows of a table in the types of other programs: times in nanoseconds, all other numbers as text.
fn stored(spec: &TableSpec) -> RecordBatch {
    let batch = table_rows(spec, ROWS);
    let columns = batch.schema_ref().fields().iter().zip(batch.columns()).enumerate().map(
        |(position, (field, column))| -> (String, ArrayRef) {
            let stored = match spec.column(field.name()).expect("a column").kind {
                ColumnKind::Time => DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())),
                ColumnKind::Integer if position % 2 == 0 => DataType::Int64,
                ColumnKind::Integer | ColumnKind::Text => DataType::Utf8,
            };
            (field.name().clone(), cast(column, &stored).expect("a cast"))
        },
    );
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true)))
        .expect("rows")
}

/// The rows of a state as text, in order, and its columns.
fn text_of(file: &Path) -> (usize, String) {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(file).expect("state"));
    let batches: Vec<RecordBatch> =
        reader.and_then(|reader| reader.build()).expect("state").collect::<Result<_, _>>().expect("rows");
    let mut rows: Vec<String> = batches.iter().flat_map(rows_of).collect();
    rows.sort();
    let mut text = String::new();
    for field in batches[0].schema().fields() {
        write!(text, "{} {}, ", field.name(), field.data_type()).expect("text");
    }
    (rows.len(), format!("{text}\n{}", rows.join("\n")))
}

async fn states() -> BTreeMap<String, Pinned> {
    let lake = SmallLake::new();
    let mut by_table: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let detections = Detections::built_in();
    for rollup in detections.rollups() {
        by_table.entry(rollup.tables[0]).or_default().push(rollup.id);
    }
    let mut states = BTreeMap::new();
    for (table, rollups) in by_table {
        let spec = TableSpec::by_name(table).expect("a table");
        let file = lake.write(table, "rows.parquet", &parquet_of(&stored(spec)));
        for manifest in lake.unit(table, &file, &rollups).await.expect("state") {
            let file = manifest.file().unwrap_or_else(|| panic!("no state of {}", manifest.rollup));
            let (count, text) = text_of(&lake.state().join(file.path));
            let version = detections.rollup(&manifest.rollup).expect("a rollup").version;
            let hash = blake3::hash(text.as_bytes()).to_hex()[..16].to_owned();
            states.insert(manifest.rollup, (version, CATALOG_VERSION, FUNCTIONS_VERSION, count, hash));
        }
    }
    states
}

fn pinned(list: &Path) -> BTreeMap<String, Pinned> {
    let text = fs::read_to_string(list).unwrap_or_default();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let pinned = lines.map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [rollup, version, catalog, functions, rows, hash] = words[..] else { panic!("{line:?}") };
        let number = |word: &str| word.parse::<u32>().expect("a number");
        let versions = (number(version), number(catalog), number(functions));
        let rows = number(rows) as usize;
        (rollup.to_owned(), (versions.0, versions.1, versions.2, rows, hash.to_owned()))
    });
    pinned.collect()
}

#[test]
fn the_state_of_fixed_rows_is_pinned() {
    let list = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/engine/state_golden.txt");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let states = runtime.expect("threads").block_on(states());
    assert_eq!(states.len(), Detections::built_in().rollups().len());
    let mut text =
        "# rollup, its version, the catalog's, the functions', rows of its state, their hash\n".to_owned();
    for (rollup, (version, catalog, functions, rows, hash)) in &states {
        writeln!(text, "{rollup} {version} {catalog} {functions} {rows} {hash}").expect("text");
    }
    if std::env::var_os("HINDCAST_GOLDEN").is_some_and(|wish| wish == "write") {
        fs::write(&list, &text).expect("the list written");
    }
    let pinned = pinned(&list);
    for (rollup, state) in &states {
        let (version, catalog, functions, _, hash) = state;
        let Some(known) = pinned.get(rollup) else {
            panic!(
                "the state of {rollup} is not pinned: HINDCAST_GOLDEN=write adds it to {}",
                list.display()
            );
        };
        let same_versions = (known.0, known.1, known.2) == (*version, *catalog, *functions);
        assert!(
            known.4 == *hash || !same_versions,
            "state of {rollup} changed: raise its version, or CATALOG_VERSION or FUNCTIONS_VERSION where that is the cause; then rewrite the list:\n{text}"
        );
        assert!(
            known == state,
            "a version of {rollup} was raised: HINDCAST_GOLDEN=write rewrites the list:\n{text}"
        );
    }
    assert_eq!(pinned.len(), states.len(), "the list has rollups that are gone");
}
