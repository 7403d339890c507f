//! Columns anywhere in the lake's files: nested, under other names, in another case, as constants, as mapped values, as SQL
//! expressions, with times as numbers, among rows of other tables. Results are those of the plain lake.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, Int32Array, Int64Array, ListArray, RecordBatch, StringArray, StructArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Field, Int64Type};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

use crate::same_bytes::{assert_same, files_of};
use crate::support::{Place, batch_of_columns, files_below, hindcast, read_json, row, stderr};

const DEMO: &str = "--days 2 --rows-per-day 3000 --seed 3";

const MAPPING: &str = r#"
[tables.CommonSecurityLog]
filter = "class_uid = 4001"

[tables.CommonSecurityLog.columns]
TimeGenerated = "event.at"
SourceIP = "src.ip"
SourcePort = "src.port"
SourceHostName = "SRC.Host"
DestinationIP = "dst[0].ip"
DestinationPort = "dst[0].port"
SentBytes = { sql = "traffic.sent_bits / 8" }
ReceivedBytes = "traffic.received"
SimplifiedDeviceAction = { column = "action_id", values = { VALUES } }
LogSeverity = { sql = "substr(severity, 2)" }
"#;

fn read(path: &Path) -> RecordBatch {
    let file = fs::File::open(path).expect("a file");
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("Parquet").build().expect("a reader");
    let batches: Vec<RecordBatch> = reader.map(|batch| batch.expect("rows")).collect();
    concat_batches(&batches[0].schema(), &batches).expect("one batch")
}

fn write(path: &Path, rows: &RecordBatch) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    let file = fs::File::create(path).expect("a file");
    let mut writer = ArrowWriter::try_new(file, rows.schema(), None).expect("a writer");
    writer.write(rows).expect("rows written");
    writer.close().expect("a footer");
}

fn structure(fields: Vec<(&str, ArrayRef)>) -> ArrayRef {
    let field = |(name, array): (&str, ArrayRef)| {
        (Arc::new(Field::new(name, array.data_type().clone(), true)), array)
    };
    Arc::new(StructArray::from(fields.into_iter().map(field).collect::<Vec<_>>()))
}

/// Lists of one element each.
fn lists(elements: ArrayRef) -> ArrayRef {
    let field = Field::new("item", elements.data_type().clone(), true);
    let offsets = OffsetBuffer::from_lengths(std::iter::repeat_n(1, elements.len()));
    Arc::new(ListArray::new(Arc::new(field), offsets, elements, None))
}

/// The rows with names in lower case.
fn lowered(rows: &RecordBatch) -> Vec<(String, ArrayRef)> {
    let names = rows.schema();
    let names = names.fields().iter().map(|field| field.name().to_lowercase());
    names.zip(rows.columns().iter().cloned()).collect()
}

/// Rows of a firewall as nested events, after as many rows of another class. `actions` are the values of ids from 0 on.
fn nested(rows: &RecordBatch, actions: &mut Vec<String>) -> RecordBatch {
    let column = |name: &str| Arc::clone(rows.column_by_name(name).expect(name));
    let texts = |name: &str| cast(&column(name), &DataType::Utf8).expect("text");
    let moved = [
        "timegenerated",
        "sourceip",
        "sourceport",
        "sourcehostname",
        "destinationip",
        "destinationport",
        "sentbytes",
        "receivedbytes",
        "simplifieddeviceaction",
        "logseverity",
    ];
    let mut columns = lowered(rows);
    columns.retain(|(name, _)| !moved.contains(&name.as_str()));
    let ids: Int32Array = texts("SimplifiedDeviceAction")
        .as_string::<i32>()
        .iter()
        .map(|action| {
            let action = action?;
            let known = actions.iter().position(|known| known == action);
            Some(known.unwrap_or_else(|| {
                actions.push(action.to_owned());
                actions.len() - 1
            }) as i32)
        })
        .collect();
    let bits: Int64Array = column("SentBytes")
        .as_primitive::<Int64Type>()
        .iter()
        .map(|bytes| bytes.map(|bytes| bytes * 8))
        .collect();
    let severity: StringArray = texts("LogSeverity")
        .as_string::<i32>()
        .iter()
        .map(|severity| severity.map(|severity| format!("#{severity}")))
        .collect();
    let at = cast(&column("TimeGenerated"), &DataType::Int64).expect("microseconds");
    let destination = structure(vec![
        ("port", texts("DestinationPort")),
        ("ip", column("DestinationIP")),
        ("unused", texts("Message")),
    ]);
    let added: Vec<(&str, ArrayRef)> = vec![
        ("event", structure(vec![("at", at), ("unused", texts("Message"))])),
        (
            "src",
            structure(vec![
                ("host", column("SourceHostName")),
                ("ip", column("SourceIP")),
                ("port", column("SourcePort")),
            ]),
        ),
        ("dst", lists(destination)),
        ("traffic", structure(vec![("sent_bits", Arc::new(bits)), ("received", texts("ReceivedBytes"))])),
        ("action_id", Arc::new(ids)),
        ("severity", Arc::new(severity)),
    ];
    columns.extend(added.into_iter().map(|(name, array)| (name.to_owned(), array)));
    let of_class = |class: i64| {
        let mut columns = columns.clone();
        let classes: ArrayRef = Arc::new(Int64Array::from(vec![class; rows.num_rows()]));
        columns.push(("class_uid".to_owned(), classes));
        batch_of_columns(columns.iter().map(|(name, array)| (name.as_str(), Arc::clone(array))).collect())
    };
    let both = [of_class(2004), of_class(4001)];
    concat_batches(&both[0].schema(), &both).expect("one batch")
}

/// A lake with the rows of `place` in other places of files with other names.
fn rewritten(place: &Place) -> PathBuf {
    let lake = place.path("rewritten");
    let mut actions = Vec::new();
    for (name, path) in files_below(&place.lake()).into_iter().filter(|(name, _)| name.ends_with(".parquet"))
    {
        let rows = read(&path);
        let rewritten = match name.starts_with("CommonSecurityLog/") {
            true => nested(&rows, &mut actions),
            false => {
                let columns = lowered(&rows);
                batch_of_columns(
                    columns.iter().map(|(name, array)| (name.as_str(), Arc::clone(array))).collect(),
                )
            }
        };
        write(&lake.join(name), &rewritten);
    }
    let values: Vec<String> =
        actions.iter().enumerate().map(|(id, action)| format!("{id} = {action:?}")).collect();
    fs::write(lake.join("hindcast.toml"), MAPPING.replace("VALUES", &values.join(", "))).expect("a file");
    lake
}

#[test]
fn columns_anywhere_in_the_files_give_the_results_of_the_plain_lake() {
    let place = Place::with_demo(DEMO);
    place.scan_well("");
    let (lake, out) = (rewritten(&place), place.path("out-of-rewritten"));
    let scan =
        format!("scan --no-cache --format json,parquet --lake {} --out {}", lake.display(), out.display());
    let output = hindcast(&scan);
    assert!(output.status.success(), "{}", stderr(&output));
    let (mut plain, mut own) = (files_of(&place.out()), files_of(&out));
    // These two name files, sizes and parameters, which differ.
    for name in ["summary.json", "parameters.json"] {
        plain.remove(name);
        own.remove(name);
    }
    assert!(plain.len() > 20);
    assert_same(&plain, &own, "columns elsewhere");
    let [plain, own] = [place.out(), out].map(|folder| read_json::<Value>(&folder.join("summary.json")));
    for key in ["risk", "suites", "findings", "incidents", "analyses", "disabled"] {
        assert_eq!(own[key], plain[key], "{key}");
    }
    assert_eq!(own["coverage"]["complete"], true, "{}", own["coverage"]);
}

#[test]
fn an_investigation_finds_the_rows_of_an_entity_in_nested_columns() {
    let place = Place::with_demo(DEMO);
    let source = place.lake().join("CommonSecurityLog");
    let (_, path) = files_below(&source).into_iter().next().expect("a file");
    let rows = read(&path);
    let hosts = cast(rows.column_by_name("SourceHostName").expect("hosts"), &DataType::Utf8).expect("text");
    let host = hosts.as_string::<i32>().iter().flatten().next().expect("a host").to_owned();
    let out = |lake: &Path, name: &str| {
        let out = place.path(name);
        let output = hindcast(&format!(
            "investigate device {host} --no-cache --format json --lake {} --out {}",
            lake.display(),
            out.display()
        ));
        assert!(output.status.success(), "{}", stderr(&output));
        let mut files = files_of(&out);
        files.retain(|name, _| !["summary.json", "parameters.json"].contains(&name.as_str()));
        files
    };
    let plain = out(&place.lake(), "plain");
    assert_same(&plain, &out(&rewritten(&place), "nested"), &host);
}

#[test]
fn a_mistake_in_a_mapping_stops_with_file_and_line() {
    let place = Place::new();
    place.write_rows(
        "CommonSecurityLog",
        "2026-01-05",
        "a.parquet",
        &[row([("SourceIP", "10.0.0.1".into())])],
    );
    for (text, message) in [
        ("SourceIP = { sql = 'lowr(src)' }", "lowr"),
        ("SourceIP = { sql = 'now()' }", "now"),
        ("SourceIP = { values = { 1 = 'a' } }", "give a path"),
        ("SourceIP = ''", "the name of a column is empty"),
    ] {
        let config = format!("[tables.CommonSecurityLog.columns]\n{text}\n");
        fs::write(place.lake().join("hindcast.toml"), config).expect("a file");
        let output = place.scan("");
        let error = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{text}: {error}");
        assert!(error.contains("hindcast.toml") && error.contains(message), "{text}: {error}");
        assert!(error.contains("line 2"), "{text}: {error}");
    }
}

#[test]
fn a_file_whose_columns_are_ambiguous_is_named_and_the_others_are_read() {
    let place = Place::with_demo(DEMO);
    let (name, path) =
        files_below(&place.lake().join("CommonSecurityLog")).into_iter().next().expect("a file");
    let rows = read(&path);
    let mut columns = lowered(&rows);
    columns.push(("SOURCEIP".to_owned(), Arc::clone(rows.column_by_name("SourceIP").expect("addresses"))));
    let both =
        batch_of_columns(columns.iter().map(|(name, array)| (name.as_str(), Arc::clone(array))).collect());
    write(&path, &both);
    let output = place.scan("");
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    let coverage = place.summary()["coverage"].to_string();
    assert!(coverage.contains(&name) && coverage.contains("sourceip and SOURCEIP"), "{coverage}");
}

#[test]
fn an_import_into_a_table_with_nested_columns_is_refused() {
    let place = Place::new();
    fs::create_dir_all(place.lake()).expect("a folder");
    let config = "[tables.CommonSecurityLog.columns]\nSourceIP = 'src.ip'\n";
    fs::write(place.lake().join("hindcast.toml"), config).expect("a file");
    let records = place.path("records.ndjson");
    fs::write(&records, "{\"TimeGenerated\": \"2026-01-05T08:00:00Z\", \"SourceIP\": \"10.0.0.1\"}\n")
        .expect("a file");
    let import = |table: &str| {
        let (records, lake) = (records.display(), place.lake());
        hindcast(&format!("import {records} --table {table} --lake {}", lake.display()))
    };
    let refused = import("CommonSecurityLog");
    assert_eq!(refused.status.code(), Some(2), "{}", stderr(&refused));
    assert!(stderr(&refused).contains("it reads SourceIP from src.ip"), "{}", stderr(&refused));
    assert!(import("AuditLogs").status.success());
}
