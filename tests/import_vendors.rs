//! Logs of network vendors in the forms that their products write, and the rows of them: `vendor_logs.toml`.

use std::collections::BTreeMap;
use std::fs;

use arrow::array::{Array, AsArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use serde::Deserialize;

use crate::support::{Place, files_below};

#[derive(Deserialize)]
struct Cases {
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// Name of the file.
    file: String,
    text: String,
    source: String,
    #[serde(default)]
    options: String,
    /// Records that are no rows, by kind.
    #[serde(default)]
    set_aside: BTreeMap<String, u64>,
    /// Rows in the order of their times, by table: some of their columns. An empty value is null.
    rows: BTreeMap<String, Vec<Row>>,
}

type Row = BTreeMap<String, String>;

/// The rows of a table in the order of their times, as texts and without nulls.
fn rows_of(place: &Place, table: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    for (_, path) in files_below(&place.lake().join(table)) {
        let file = fs::File::open(path).expect("opened");
        for batch in ParquetRecordBatchReader::try_new(file, 1_000).expect("a reader") {
            let batch = batch.expect("rows");
            let texts: Vec<_> =
                batch.columns().iter().map(|column| cast(column, &DataType::Utf8).expect("texts")).collect();
            let schema = batch.schema();
            rows.extend((0..batch.num_rows()).map(|row| -> Row {
                let cells = schema.fields().iter().zip(&texts);
                let cells = cells.filter(|(_, texts)| texts.is_valid(row));
                cells
                    .map(|(field, texts)| {
                        (field.name().clone(), texts.as_string::<i32>().value(row).to_owned())
                    })
                    .collect()
            }));
        }
    }
    let time = |row: &Row| row.get("TimeGenerated").or_else(|| row.get("Timestamp")).cloned();
    rows.sort_by_key(time);
    rows
}

#[test]
fn logs_of_vendors_become_the_rows_that_they_mean() {
    let cases: Cases = toml::from_str(include_str!("vendor_logs.toml")).expect("cases");
    for case in cases.case {
        let place = Place::new();
        let path = place.file(&case.file, case.text.trim_start());
        let report = place.import(&path, &case.options);
        let file = &report["files"][0];
        assert_eq!(file["source"], case.source, "{}: {report}", case.file);
        assert_eq!(file["rejects"], 0, "{}: {report}", case.file);
        let set_aside: BTreeMap<String, u64> =
            serde_json::from_value(file["set_aside"].clone()).unwrap_or_default();
        assert_eq!(set_aside, case.set_aside, "{}", case.file);
        for (table, wanted) in &case.rows {
            let rows = rows_of(&place, table);
            assert_eq!(rows.len(), wanted.len(), "{}: {rows:?}", case.file);
            for (row, wanted) in rows.iter().zip(wanted) {
                for (column, value) in wanted {
                    let stored = row.get(column).map_or("", String::as_str);
                    assert_eq!(stored, value, "{}: {column} of {row:?}", case.file);
                }
            }
        }
    }
}
