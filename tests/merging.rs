//! Small files are merged without loss: every column, value, instant, row and partition folder is preserved, or the file is left as it is.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Decimal128Array, DictionaryArray, Float64Array, Int8Array, Int64Array,
    ListArray, RecordBatch, StringArray, StructArray, TimestampMicrosecondArray, TimestampMillisecondArray,
};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Field, Float64Type, Int8Type, Int64Type, Schema, TimestampMicrosecondType};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};

use crate::same_bytes::files_of;
use crate::support::{Place, batch_of_columns, hindcast, stderr, stdout};

const TABLE: &str = "AuditLogs";
const DATE: &str = "2026-03-01";
/// 2026-03-01T10:00:00Z.
const TEN_US: i64 = 1_772_359_200_000_000;

fn at(micros: i64) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(vec![micros]))
}

/// One row of this time with an additional column.
fn row(time: ArrayRef, name: &str, value: ArrayRef) -> RecordBatch {
    batch_of_columns(vec![
        ("TimeGenerated", time),
        ("OperationName", Arc::new(StringArray::from(vec!["x"]))),
        (name, value),
    ])
}

fn numbers(values: &[i64]) -> ArrayRef {
    Arc::new(Int64Array::from(values.to_vec()))
}

/// A lake with these files of one date.
fn lake_of(files: &[(&str, RecordBatch)]) -> Place {
    let place = Place::new();
    for (name, rows) in files {
        let path = place.lake().join(format!("{TABLE}/date={DATE}/{name}.parquet"));
        let scratch = place.write_batch("scratch", DATE, "rows.parquet", rows);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::rename(scratch, path).expect("moved");
    }
    fs::remove_dir_all(place.lake().join("scratch")).expect("removed");
    place
}

fn compact(place: &Place) -> Value {
    let lake = place.lake().display().to_string();
    let output = hindcast(&format!("tables --lake {lake} --json compact {TABLE}"));
    assert!(output.status.success(), "{}", stderr(&output));
    serde_json::from_slice(&output.stdout).expect("a report")
}

fn parquet_files(place: &Place, table: &str) -> Vec<PathBuf> {
    let folder = place.lake().join(table);
    let files = files_of(&folder).into_keys().filter(|path| path.ends_with(".parquet"));
    files.map(|path| folder.join(path)).collect()
}

fn rows_of(path: &Path) -> RecordBatch {
    let reader =
        ParquetRecordBatchReaderBuilder::try_new(File::open(path).expect("a file")).expect("Parquet");
    let schema = Arc::clone(reader.schema());
    let batches: Vec<RecordBatch> =
        reader.build().expect("a reader").map(|rows| rows.expect("rows")).collect();
    concat_batches(&schema, &batches).expect("one batch")
}

/// The only remaining file.
fn merged(place: &Place) -> RecordBatch {
    let files = parquet_files(place, TABLE);
    assert_eq!(files.len(), 1, "{files:?}");
    rows_of(&files[0])
}

/// Values of a column as a type, in order.
fn floats(rows: &RecordBatch, name: &str) -> Vec<Option<f64>> {
    let column = rows.column_by_name(name).unwrap_or_else(|| panic!("no {name}"));
    let mut values: Vec<_> =
        cast(column, &DataType::Float64).expect("numbers").as_primitive::<Float64Type>().iter().collect();
    values.sort_by(|left, right| left.partial_cmp(right).expect("no NaN"));
    values
}

fn instants(rows: &RecordBatch) -> Vec<i64> {
    let utc = DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, Some("UTC".into()));
    let times = cast(rows.column_by_name("TimeGenerated").expect("times"), &utc).expect("times");
    let mut instants: Vec<i64> = times.as_primitive::<TimestampMicrosecondType>().values().to_vec();
    instants.sort_unstable();
    instants
}

#[test]
fn a_column_missing_in_the_first_file_is_preserved() {
    let who: ArrayRef = Arc::new(StringArray::from(vec!["mallory"]));
    let plain = batch_of_columns(vec![
        ("TimeGenerated", at(TEN_US)),
        ("OperationName", Arc::new(StringArray::from(vec!["x"]))),
    ]);
    let place = lake_of(&[("a", plain), ("b", row(at(TEN_US + 1), "InitiatedBy", who))]);
    compact(&place);
    let rows = merged(&place);
    let names = rows.column_by_name("InitiatedBy").expect("the column").as_string::<i32>();
    assert_eq!(names.iter().collect::<Vec<_>>(), [None, Some("mallory")]);
}

#[test]
fn types_are_widened_and_instants_are_preserved() {
    let zoned: ArrayRef =
        Arc::new(TimestampMicrosecondArray::from(vec![TEN_US]).with_timezone("America/New_York"));
    let millis: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![TEN_US / 1_000]));
    let one = || numbers(&[1]);
    let place = lake_of(&[("a", row(zoned, "n", one())), ("b", row(at(TEN_US), "n", one()))]);
    compact(&place);
    assert_eq!(instants(&merged(&place)), [TEN_US, TEN_US], "with and without a zone");

    let place = lake_of(&[("a", row(millis, "n", one())), ("b", row(at(TEN_US + 123_456), "n", one()))]);
    compact(&place);
    assert_eq!(instants(&merged(&place)), [TEN_US, TEN_US + 123_456], "milliseconds and microseconds");

    let fraction: ArrayRef = Arc::new(Float64Array::from(vec![7.9]));
    let place = lake_of(&[("a", row(at(TEN_US), "n", one())), ("b", row(at(TEN_US), "n", fraction))]);
    compact(&place);
    assert_eq!(floats(&merged(&place), "n"), [Some(1.0), Some(7.9)]);

    let short: ArrayRef = Arc::new(Int8Array::from(vec![-3]));
    let place =
        lake_of(&[("a", row(at(TEN_US), "n", short)), ("b", row(at(TEN_US), "n", numbers(&[1 << 40])))]);
    compact(&place);
    assert_eq!(floats(&merged(&place), "n"), [Some(-3.0), Some((1i64 << 40) as f64)]);
}

#[test]
fn files_without_a_common_type_are_left_and_named() {
    let text: ArrayRef = Arc::new(StringArray::from(vec!["7"]));
    let fraction: ArrayRef = Arc::new(Float64Array::from(vec![0.5]));
    let long = numbers(&[(1 << 53) + 1]);
    let bytes = |text: &str| -> ArrayRef { Arc::new(arrow::array::BinaryArray::from(vec![text.as_bytes()])) };
    for (name, left, right) in [
        ("text and a number", text.clone(), numbers(&[7])),
        ("a number that no float holds", long, fraction),
        ("text and bytes", text, bytes("7")),
    ] {
        let place = lake_of(&[("a", row(at(TEN_US), "n", left)), ("b", row(at(TEN_US), "n", right))]);
        let before = files_of(&place.lake());
        let report = compact(&place);
        assert_eq!(report["files_before"], 0, "{name}");
        let left = report["left_alone"].as_array().expect("files");
        assert_eq!(left.len(), 2, "{name}: {left:?}");
        assert!(left.iter().all(|file| file["reason"].to_string().contains("column n")), "{name}: {left:?}");
        assert!(files_of(&place.lake()) == before, "{name}");
        let lake = place.lake().display().to_string();
        let output = hindcast(&format!("tables --lake {lake} compact {TABLE}"));
        assert!(stdout(&output).contains("not merged: ") && stdout(&output).contains("b.parquet"), "{name}");
    }
}

/// Files are not merged into a type that Hindcast reads as different text, even if the numbers are equal.
#[test]
fn files_that_would_be_read_differently_are_left() {
    let whole = row(at(TEN_US), "ResultDescription", numbers(&[7]));
    let float = row(at(TEN_US), "ResultDescription", Arc::new(Float64Array::from(vec![7.5])));
    let place = lake_of(&[("a", whole), ("b", float)]);
    let before = files_of(&place.lake());
    assert_eq!(compact(&place)["files_before"], 0);
    assert!(files_of(&place.lake()) == before);
}

#[test]
fn files_of_any_name_are_merged_with_their_rows() {
    let names = ["a", "b#1", "c%20d", "what?", "e f", "50%", "ü"];
    let rows: Vec<(&str, RecordBatch)> = names
        .iter()
        .zip(0..)
        .map(|(name, number)| (*name, row(at(TEN_US), "n", numbers(&[number]))))
        .collect();
    let place = lake_of(&rows);
    assert_eq!(compact(&place)["files_before"], 7);
    let expected: Vec<Option<f64>> = (0..7).map(|number| Some(f64::from(number))).collect();
    assert_eq!(floats(&merged(&place), "n"), expected);
}

/// A page that can't be decoded is only detected when everything is read.
#[test]
fn a_damaged_file_is_left_and_the_others_are_merged() {
    let rows = |number: i64| row(at(TEN_US), "n", numbers(&[number]));
    let place = lake_of(&[("a", rows(1)), ("b", rows(2)), ("c", rows(3))]);
    let damaged = place.lake().join(format!("{TABLE}/date={DATE}/b.parquet"));
    let mut bytes = fs::read(&damaged).expect("bytes");
    bytes[4..12].fill(0xff);
    fs::write(&damaged, &bytes).expect("written");
    let report = compact(&place);
    assert_eq!((&report["files_before"], &report["rows"]), (&json!(2), &json!(2)));
    let left = report["left_alone"].as_array().expect("files");
    assert_eq!(left.len(), 1, "{left:?}");
    assert!(left[0]["file"].as_str().is_some_and(|file| file.ends_with("b.parquet")), "{left:?}");
    assert!(fs::read(&damaged).expect("bytes") == bytes);
    assert_eq!(parquet_files(&place, TABLE).len(), 2);
}

/// The value of a partition folder is in no file: its files are only merged with each other, in place.
#[test]
fn partitions_are_preserved() {
    let hour = "ts=2026-03-01 05%3A00%3A00";
    let names =
        ["a".to_owned(), "b".to_owned(), format!("{hour}/c"), format!("{hour}/d#1"), "plain/e".to_owned()];
    let rows: Vec<(&str, RecordBatch)> = names
        .iter()
        .zip(0..)
        .map(|(name, number)| (name.as_str(), row(at(TEN_US), "n", numbers(&[number]))))
        .collect();
    let place = lake_of(&rows);
    compact(&place);
    let mut by_folder: BTreeMap<String, Vec<Option<f64>>> = BTreeMap::new();
    for path in parquet_files(&place, TABLE) {
        let folder =
            path.parent().expect("a folder").file_name().expect("a name").to_string_lossy().into_owned();
        by_folder.entry(folder).or_default().extend(floats(&rows_of(&path), "n"));
    }
    let some =
        |numbers: &[i32]| -> Vec<Option<f64>> { numbers.iter().map(|n| Some(f64::from(*n))).collect() };
    let expected = [(format!("date={DATE}"), some(&[0, 1, 4])), (hour.to_owned(), some(&[2, 3]))];
    assert_eq!(by_folder, BTreeMap::from(expected));
}

#[test]
fn nested_columns_decimals_dictionaries_nulls_and_duplicates_are_preserved() {
    let time: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![TEN_US, TEN_US, TEN_US + 1]));
    let decimals: ArrayRef = Arc::new(
        Decimal128Array::from(vec![Some(12_345), Some(12_345), None])
            .with_precision_and_scale(10, 2)
            .expect("fits"),
    );
    let words: ArrayRef =
        Arc::new(vec![Some("a"), Some("a"), None].into_iter().collect::<DictionaryArray<Int8Type>>());
    let lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(vec![
        Some(vec![Some(1), None]),
        Some(vec![Some(1), None]),
        None,
    ]));
    let inner: ArrayRef = Arc::new(Int64Array::from(vec![Some(5), Some(5), None]));
    let nested: ArrayRef =
        Arc::new(StructArray::from(vec![(Arc::new(Field::new("deep", DataType::Int64, true)), inner)]));
    let note = |text: &str| std::collections::HashMap::from([("note".to_owned(), text.to_owned())]);
    let columns =
        [("TimeGenerated", time), ("Cost", decimals), ("Words", words), ("Lists", lists), ("Nested", nested)];
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, array)| Field::new(*name, array.data_type().clone(), true).with_metadata(note(name)))
        .collect();
    let arrays: Vec<ArrayRef> = columns.into_iter().map(|(_, array)| array).collect();
    let rows = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).expect("rows");
    let place = lake_of(&[("a", rows.clone()), ("b", rows.clone()), ("empty", rows.slice(0, 0))]);
    let report = compact(&place);
    assert_eq!((&report["files_before"], &report["rows"]), (&json!(3), &json!(6)));
    let merged = merged(&place);
    for field in rows.schema().fields() {
        let (before, after) = (rows.column_by_name(field.name()), merged.column_by_name(field.name()));
        let (before, after) = (before.expect("a column"), after.expect("the column still exists"));
        assert_eq!(
            merged.schema().field_with_name(field.name()).expect("a field").metadata(),
            field.metadata()
        );
        // Rows are in order of time: the first two of both files, then the last of both.
        let after = cast(after, before.data_type()).expect("the same type, or wider keys");
        for (places, of) in [(0..4, 0), (4..6, 2)] {
            for place in places {
                assert!(after.slice(place, 1).to_data() == before.slice(of, 1).to_data(), "{}", field.name());
            }
        }
    }
}

fn ndjson(place: &Place, name: &str, lines: &[&str]) -> String {
    let path = place.path(name);
    fs::write(&path, lines.join("\n") + "\n").expect("written");
    path.display().to_string()
}

#[test]
fn a_second_import_with_other_columns_preserves_all() {
    const FEW: &str = r#"{"TimeGenerated":"2026-03-01T08:00:00Z","DeviceVendor":"Palo Alto Networks","DeviceEventClassID":"THREAT","SourceIP":"10.0.0.1","Note":"first"}"#;
    const MANY: &str = r#"{"TimeGenerated":"2026-03-01T09:00:00Z","DeviceVendor":"Palo Alto Networks","DeviceEventClassID":"TRAFFIC","SourceIP":"10.0.0.7","DestinationIP":"203.0.113.9","SentBytes":52428800,"ReceivedBytes":100,"SourceUserName":"corp\\mallory","DestinationPort":443}"#;
    for order in [[FEW, MANY], [MANY, FEW]] {
        let place = Place::new();
        for (number, line) in order.iter().enumerate() {
            let file = ndjson(&place, &format!("{number}.ndjson"), &[line]);
            place.import(&file, "--table CommonSecurityLog");
        }
        let files = parquet_files(&place, "CommonSecurityLog");
        assert_eq!(files.len(), 1, "{files:?}");
        let rows = rows_of(&files[0]);
        let known = |name: &str| {
            let column = rows.column_by_name(name).unwrap_or_else(|| panic!("no {name}"));
            column.len() - column.null_count()
        };
        for (name, values) in
            [("AdditionalFields", 1), ("SentBytes", 1), ("DestinationPort", 1), ("SourceIP", 2)]
        {
            assert_eq!(known(name), values, "{name}");
        }
        place.scan_well("--suite firewall");
        let sent = place.table("data_exfiltration");
        assert_eq!(sent[0]["source_ip"], "10.0.0.7", "{sent:?}");
    }
}

/// An import does not change existing files.
#[test]
fn an_import_does_not_change_files_of_others() {
    let place = Place::new();
    let foreign = |name: &str, number: i64| {
        let rows = row(at(TEN_US), "n", numbers(&[number]));
        let path = place.write_batch("CommonSecurityLog", DATE, "rows.parquet", &rows);
        let target = path.with_file_name(name);
        fs::create_dir_all(target.parent().expect("a folder")).expect("a folder");
        fs::rename(path, &target).expect("moved");
    };
    foreign("ts=2026-03-01 05%3A00%3A00/part-0.parquet", 1);
    foreign("part-0.parquet", 2);
    foreign("import-0190163d-8694-739b-aea5-966c26f8ad91-0000.parquet", 3);
    let before = files_of(&place.lake());
    for hour in 8..11 {
        let line = format!(r#"{{"TimeGenerated":"2026-03-01T{hour:02}:00:00Z","DeviceVendor":"x"}}"#);
        let file = ndjson(&place, &format!("{hour}.ndjson"), &[&line]);
        place.import(&file, "--table CommonSecurityLog");
    }
    let after = files_of(&place.lake());
    for (path, content) in &before {
        assert!(after.get(path) == Some(content), "{path}");
    }
    // The files of the three imports are merged.
    assert_eq!(parquet_files(&place, "CommonSecurityLog").len(), 4);
}
