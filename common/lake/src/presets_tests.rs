//! Each preset reads the rows in its JSON file, written in the foreign schema, as the rows of its table that the file names.

use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::json::ReaderBuilder;
use arrow::json::reader::infer_json_schema_from_iterator;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::execution::runtime_env::RuntimeEnv;
use futures::TryStreamExt;
use parquet::arrow::ArrowWriter;
use serde_json::{Map, Value};

use crate::file_source::FileSource;
use crate::{LakeFile, LakeTable, Location, Tables, UnreadableCounts, file_scan, task_session};
use hindcast_schema::{MappingPreset, TableMapping, mapping_presets};
use serde::Deserialize;

/// A row in the foreign schema, and what it is in the table; nothing if the preset leaves it out.
#[derive(Deserialize)]
struct Case {
    row: Map<String, Value>,
    is: Option<Map<String, Value>>,
}

fn cases(preset: &MappingPreset) -> Vec<Case> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../schema/mappings")
        .join(format!("{}.json", preset.name));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The rows as a Parquet file.
fn parquet_of(rows: &[Value]) -> Vec<u8> {
    let schema = infer_json_schema_from_iterator(rows.iter().map(Ok::<_, arrow::error::ArrowError>)).unwrap();
    let schema: SchemaRef = Arc::new(schema);
    let mut decoder = ReaderBuilder::new(Arc::clone(&schema)).build_decoder().unwrap();
    decoder.serialize(rows).unwrap();
    let batch = decoder.flush().unwrap().unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), schema, None).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

/// The rows that a scan of the foreign rows reads, with the columns that are not null.
async fn read(preset: &MappingPreset, rows: &[Value]) -> Vec<Map<String, Value>> {
    let folder = tempfile::tempdir().unwrap();
    let location = Location::parse(&folder.path().display().to_string()).unwrap();
    let content = parquet_of(rows);
    std::fs::write(folder.path().join("a.parquet"), &content).unwrap();
    let path = location.name_of(&location.child("a.parquet"));
    let file = LakeFile::new(path, content.len() as u64, None);
    let mapping = TableMapping { preset: Some(preset.name.to_owned()), ..TableMapping::default() };
    let spec = Tables::built_in().by_name(preset.table()).unwrap();
    let table = LakeTable {
        spec,
        location,
        root: None,
        mapping: mapping.with_preset(preset.table()).unwrap(),
        source: FileSource::default(),
        physical: Arc::default(),
        known: Arc::default(),
    };
    let columns: Vec<&str> = preset.columns().keys().map(String::as_str).collect();
    let unreadable = UnreadableCounts::of(spec);
    let scan = file_scan(&table, &columns, &file, None, None, &unreadable).await.unwrap();
    let context = task_session(Arc::new(RuntimeEnv::default())).task_ctx();
    let batches: Vec<RecordBatch> = scan.execute(context).unwrap().try_collect().await.unwrap();
    assert!(unreadable.counts().is_empty(), "{}: {:?}", preset.name, unreadable.counts());
    batches.iter().flat_map(rows_of).collect()
}

fn rows_of(batch: &RecordBatch) -> Vec<Map<String, Value>> {
    let options = FormatOptions::default();
    let value = |column: usize, row: usize| {
        let array = batch.column(column);
        let text = ArrayFormatter::try_new(array, &options).unwrap().value(row).to_string();
        match text.parse::<i64>() {
            Ok(number) if array.data_type().is_integer() => Value::from(number),
            _ => Value::from(text),
        }
    };
    let names = || batch.schema_ref().fields().iter().map(|field| field.name().clone()).enumerate();
    let is_null = |column: usize, row: usize| batch.column(column).is_null(row);
    let rows = 0..batch.num_rows();
    let row = |row: usize| {
        let present = names().filter(|(column, _)| !is_null(*column, row));
        present.map(|(column, name)| (name, value(column, row))).collect()
    };
    rows.map(row).collect()
}

#[tokio::test]
async fn every_preset_reads_foreign_rows_as_those_of_its_table() {
    for preset in mapping_presets() {
        let cases = cases(preset);
        let rows: Vec<Value> = cases.iter().map(|case| Value::Object(case.row.clone())).collect();
        let expected: Vec<&Map<String, Value>> = cases.iter().filter_map(|case| case.is.as_ref()).collect();
        let read = read(preset, &rows).await;
        assert_eq!(read.len(), expected.len(), "{}: {read:#?}", preset.name);
        for (read, expected) in read.iter().zip(expected) {
            assert_eq!(read, expected, "{}", preset.name);
        }
    }
}

/// A foreign row with dots in its names instead of nested values.
fn flattened(prefix: &str, value: &Value, into: &mut Map<String, Value>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                flattened(&path, field, into);
            }
        }
        other => {
            into.insert(prefix.to_owned(), other.clone());
        }
    }
}

#[tokio::test]
async fn nested_columns_and_columns_with_dots_are_read_alike() {
    for preset in mapping_presets().iter().filter(|preset| preset.name.starts_with("ecs/")) {
        let cases = cases(preset);
        let flat = cases.iter().map(|case| {
            let mut row = Map::new();
            flattened("", &Value::Object(case.row.clone()), &mut row);
            Value::Object(row)
        });
        let flat: Vec<Value> = flat.collect();
        let expected: Vec<Map<String, Value>> = cases.iter().filter_map(|case| case.is.clone()).collect();
        assert_eq!(read(preset, &flat).await, expected, "{}", preset.name);
    }
}
