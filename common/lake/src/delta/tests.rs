//! Delta tables that are written here by hand, after the protocol, and what is read of them.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Fields, Int32Type, Schema};
use datafusion::execution::runtime_env::RuntimeEnv;
use hindcast_base::ErrorKind;
use hindcast_base::time::parse_time_us;
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use serde_json::{Value, json};

use super::*;
use crate::{Lake, LakeTable, Tables, UnreadableCounts, file_scan, row_groups_that_may_hold, task_session};

#[path = "deletion_tests.rs"]
mod deletion_vectors;

/// Rows per row group of the files.
const GROUP_ROWS: usize = 4;

/// A lake with one Delta table, `AuditLogs`.
pub(super) struct Written {
    lake: tempfile::TempDir,
    configuration: Value,
    fields: Value,
    partition_columns: Vec<&'static str>,
    protocol: Value,
}

impl Written {
    pub(super) fn new() -> Self {
        Self {
            lake: tempfile::tempdir().unwrap(),
            configuration: json!({}),
            fields: json!([
                { "name": "TimeGenerated", "type": "timestamp", "nullable": true, "metadata": {} },
                { "name": "OperationName", "type": "string", "nullable": true, "metadata": {} }
            ]),
            partition_columns: Vec::new(),
            protocol: json!({ "minReaderVersion": 1, "minWriterVersion": 2 }),
        }
    }

    fn with_features(mut self, features: &[&str]) -> Self {
        self.protocol = json!({
            "minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": features, "writerFeatures": features
        });
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        let path = self.lake.path().join("AuditLogs").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    fn start(&self) -> Vec<Value> {
        let schema = json!({ "type": "struct", "fields": self.fields }).to_string();
        vec![
            json!({ "protocol": self.protocol }),
            json!({ "metaData": {
                "id": "1", "format": { "provider": "parquet", "options": {} }, "schemaString": schema,
                "partitionColumns": self.partition_columns, "configuration": self.configuration,
                "createdTime": 0
            } }),
        ]
    }

    fn lines(&self, name: &str, actions: &[Value]) {
        let lines: Vec<String> = actions.iter().map(Value::to_string).collect();
        fs::write(self.path(&format!("_delta_log/{name}")), lines.join("\n")).unwrap();
    }

    pub(super) fn commit(&self, version: u64, actions: &[Value]) {
        let first = if version == 0 { self.start() } else { Vec::new() };
        self.lines(&format!("{version:020}.json"), &[first, actions.to_vec()].concat());
    }

    /// Writes a file with a row per hour from `from` on, whose operations are numbers, and returns the action that adds it.
    pub(super) fn file(&self, name: &str, from: &str, rows: usize) -> Value {
        let start_us = parse_time_us(from).unwrap();
        let times = (0..rows).map(|row| start_us + row as i64 * 3_600_000_000);
        let names = (0..rows).map(|row| Some(row.to_string()));
        let times = TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC");
        let columns: [(&str, ArrayRef); 2] =
            [("TimeGenerated", Arc::new(times)), ("OperationName", Arc::new(names.collect::<StringArray>()))];
        self.parquet(name, &RecordBatch::try_from_iter(columns).unwrap())
    }

    fn parquet(&self, name: &str, rows: &RecordBatch) -> Value {
        let properties = WriterProperties::builder().set_max_row_group_row_count(Some(GROUP_ROWS)).build();
        let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), Some(properties)).unwrap();
        writer.write(rows).unwrap();
        let content = writer.into_inner().unwrap();
        fs::write(self.path(name), &content).unwrap();
        json!({ "add": {
            "path": name, "partitionValues": {}, "size": content.len(), "modificationTime": 1_767_830_400_000_i64,
            "dataChange": true
        } })
    }

    fn lake(&self) -> Lake {
        let root = Location::parse(&self.lake.path().display().to_string()).unwrap();
        Lake::open(root, &BTreeMap::new(), Tables::built_in()).unwrap()
    }

    pub(super) async fn open(&self, versions: TableVersions) -> Result<LakeTable> {
        let found = self.lake().with_versions(versions)?.tables(|name| name == "AuditLogs").await?;
        Ok(found.all_readable(|_| String::new())?.remove(0))
    }

    pub(super) async fn latest(&self) -> LakeTable {
        self.open(TableVersions::default()).await.unwrap()
    }

    async fn refused(&self, versions: TableVersions) -> Error {
        self.open(versions).await.unwrap_err()
    }
}

fn number(number: u64) -> TableVersions {
    TableVersions { only: Some(number), ..TableVersions::default() }
}

fn as_of(time: &str) -> TableVersions {
    TableVersions { as_of_us: parse_time_us(time), ..TableVersions::default() }
}

fn remove(path: &str) -> Value {
    json!({ "remove": { "path": path, "deletionTimestamp": 0, "dataChange": true } })
}

fn files(table: &LakeTable) -> Vec<(String, LakeFile)> {
    let FileSource::Listed(listed) = &table.source else { panic!("not listed") };
    let all = listed
        .by_date
        .iter()
        .flat_map(|(date, files)| files.iter().map(move |file| (date.to_string(), file)));
    all.map(|(date, file)| (date, file.clone())).collect()
}

fn names(table: &LakeTable) -> Vec<String> {
    files(table).iter().map(|(_, file)| file.path.rsplit('/').next().unwrap().to_owned()).collect()
}

/// The operations of the rows of `file`, in the file's order.
async fn operations(
    table: &LakeTable,
    file: &LakeFile,
    groups: Option<&crate::RowGroups>,
) -> Result<Vec<String>> {
    let columns = ["TimeGenerated", "OperationName"];
    let unreadable = UnreadableCounts::of(table.spec);
    let scan = file_scan(table, &columns, file, None, groups, &unreadable).await?;
    let context = task_session(Arc::new(RuntimeEnv::default())).task_ctx();
    let batches: Vec<RecordBatch> = scan.execute(context)?.try_collect().await?;
    let mut found = Vec::new();
    for batch in &batches {
        let texts = batch.column_by_name("OperationName").unwrap().as_dictionary::<Int32Type>();
        let texts = texts.downcast_dict::<StringArray>().unwrap();
        found.extend(texts.into_iter().map(|text| text.unwrap_or("-").to_owned()));
    }
    Ok(found)
}

#[tokio::test]
async fn columns_are_those_of_the_log() {
    let mut written = Written::new();
    written
        .fields
        .as_array_mut()
        .unwrap()
        .push(json!({ "name": "ResultDescription", "type": "string", "nullable": true, "metadata": {} }));
    let added = written.file("a.parquet", "2026-01-05", 1);
    written.commit(0, &[added]);
    fs::remove_file(written.path("a.parquet")).unwrap();
    let table = written.latest().await;
    let wanted = BTreeSet::from(["TimeGenerated", "ResultDescription", "InitiatedBy"]);
    let found = table.columns(&table.all_folders().await.unwrap(), &wanted).await.unwrap();
    assert_eq!(found, BTreeSet::from(["TimeGenerated", "ResultDescription"]));
    assert!(table.stored_columns(&[]).contains("OperationName"));
}

#[tokio::test]
async fn a_version_is_chosen_by_number_or_time() {
    let written = Written::new();
    written.commit(0, &[written.file("a.parquet", "2026-01-05", 2)]);
    written.commit(1, &[written.file("b.parquet", "2026-01-06", 2)]);
    written.commit(2, &[remove("a.parquet")]);
    for (version, hours) in [(0, 1), (1, 2), (2, 3)] {
        let commit =
            fs::File::options().write(true).open(written.path(&format!("_delta_log/{version:020}.json")));
        commit.unwrap().set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(hours * 3_600)).unwrap();
    }
    let latest = written.latest().await;
    assert_eq!((names(&latest), latest.snapshot().unwrap().version), (vec!["b.parquet".to_owned()], 2));
    assert_eq!(latest.snapshot().unwrap().time_ms, Some(3 * 3_600_000));
    for (versions, expected) in [
        (number(0), vec!["a.parquet"]),
        (number(1), vec!["a.parquet", "b.parquet"]),
        (number(2), vec!["b.parquet"]),
        (as_of("1970-01-01T01:00:00Z"), vec!["a.parquet"]),
        (as_of("1970-01-01T02:59:59Z"), vec!["a.parquet", "b.parquet"]),
        (as_of("2030-01-01"), vec!["b.parquet"]),
    ] {
        assert_eq!(names(&written.open(versions.clone()).await.unwrap()), expected, "{versions:?}");
    }
    for (versions, hint) in [
        (number(3), "has no version 3: its latest version is 2"),
        (as_of("1970-01-01T00:59:59Z"), "is of 1970-01-01T01:00:00Z"),
        (TableVersions { by_table: [("Other".to_owned(), 1)].into(), ..number(0) }, "no table \"Other\""),
    ] {
        let error = written.refused(versions).await;
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        assert!(error.to_string().contains(hint), "{error}");
    }
}

#[tokio::test]
async fn files_are_dated_by_statistics_partitions_and_when_they_were_written() {
    let mut written = Written::new();
    written
        .fields
        .as_array_mut()
        .unwrap()
        .push(json!({ "name": "day", "type": "date", "nullable": true, "metadata": {} }));
    written.partition_columns = vec!["day"];
    let mut known = written.file("known.parquet", "2026-01-05T23:00:00Z", 2);
    known["add"]["partitionValues"] = json!({ "day": "2026-01-09" });
    known["add"]["stats"] = json!({
        "numRecords": 2, "minValues": { "TimeGenerated": "2026-01-05T23:00:00.000Z" },
        "maxValues": { "TimeGenerated": "2026-01-06T00:00:00.000Z" }, "nullCount": {}
    })
    .to_string()
    .into();
    let mut of_day = written.file("day=2026-01-07/of%20day.parquet", "2026-01-07", 2);
    fs::rename(
        written.path("day=2026-01-07/of%20day.parquet"),
        written.path("day=2026-01-07/of day.parquet"),
    )
    .unwrap();
    of_day["add"]["partitionValues"] = json!({ "day": "2026-01-07" });
    let mut unknown = written.file("unknown.parquet", "2020-01-01", 2);
    unknown["add"]["partitionValues"] = json!({ "day": "" });
    written.commit(0, &[known, of_day, unknown]);
    let table = written.latest().await;
    let us = |text: &str| parse_time_us(text).unwrap();
    let found = files(&table);
    let dated =
        found.iter().map(|(date, file)| (date.as_str(), file.times_us, file.partition["day"].as_deref()));
    let dated: Vec<_> = dated.collect();
    assert_eq!(
        dated,
        [
            (
                "2026-01-05",
                Some((us("2026-01-05T23:00:00Z"), us("2026-01-06T00:00:00.000999Z"))),
                Some("2026-01-09")
            ),
            ("2026-01-07", Some((us("2026-01-07"), us("2026-01-08") - 1)), Some("2026-01-07")),
            ("2026-01-08", None, None),
        ]
    );
    for (_, file) in &found {
        assert_eq!(operations(&table, file, None).await.unwrap(), ["0", "1"], "{}", file.path);
    }
}

#[tokio::test]
async fn a_file_that_the_store_lacks_is_a_fault_with_the_version() {
    let written = Written::new();
    written.commit(0, &[written.file("a.parquet", "2026-01-05", 2)]);
    written.commit(1, &[written.file("b.parquet", "2026-01-06", 2), remove("a.parquet")]);
    fs::remove_file(written.path("a.parquet")).unwrap();
    let table = written.open(number(0)).await.unwrap();
    let error = operations(&table, &files(&table)[0].1, None).await.unwrap_err();
    assert!(matches!(&error, Error::Input(fault) if fault.file.ends_with("/a.parquet")), "{error}");
    assert!(error.to_string().contains("version 0 of AuditLogs lists this file"), "{error}");
}

#[tokio::test]
async fn column_mapping_names_columns_and_partitions() {
    let mut written = Written::new().with_features(&["columnMapping"]);
    let field = |name: &str, id: i64, kind: &str| {
        json!({ "name": name, "type": kind, "nullable": true, "metadata": {
            "delta.columnMapping.id": id, "delta.columnMapping.physicalName": format!("col-{id}")
        } })
    };
    written.fields = json!([
        field("TimeGenerated", 1, "timestamp"),
        field("OperationName", 2, "string"),
        field("day", 3, "date")
    ]);
    written.partition_columns = vec!["day"];
    for (mode, by_id) in [("name", false), ("id", true)] {
        written.configuration =
            json!({ "delta.columnMapping.mode": mode, "delta.columnMapping.maxColumnId": "3" });
        let mut added = written.file("a.parquet", "2026-01-05", 2);
        added["add"]["partitionValues"] = json!({ "col-3": "2026-01-05" });
        added["add"]["stats"] = json!({
            "numRecords": 2, "minValues": { "col-1": "2026-01-05T00:00:00.000Z" },
            "maxValues": { "col-1": "2026-01-05T01:00:00.000Z" }
        })
        .to_string()
        .into();
        written.commit(0, &[added]);
        let table = written.latest().await;
        assert_eq!(table.physical.by_id, by_id);
        assert_eq!(table.physical.columns["OperationName"].name, "col-2");
        let (_, file) = &files(&table)[0];
        assert_eq!(file.partition["day"].as_deref(), Some("2026-01-05"));
        assert_eq!(file.times_us.unwrap().0, parse_time_us("2026-01-05").unwrap());
    }
}

#[tokio::test]
async fn tables_that_can_not_be_read_are_refused_with_the_reason() {
    let unknown = Written::new().with_features(&["telepathy"]);
    unknown.commit(0, &[]);
    let mut variant = Written::new().with_features(&["variantType"]);
    variant.fields[1]["type"] = "variant".into();
    variant.commit(0, &[]);
    let damaged = Written::new();
    damaged.lines(&format!("{:020}.json", 0), &[json!({ "commitInfo": {} })]);
    let outside = Written::new();
    let mut added = outside.file("a.parquet", "2026-01-05", 1);
    added["add"]["path"] = "file:///etc/passwd".into();
    outside.commit(0, &[added]);
    for (written, kind, hint) in [
        (unknown, ErrorKind::InvalidInput, "telepathy"),
        (variant, ErrorKind::InvalidInput, "OperationName is a variant (table feature variantType)"),
        (damaged, ErrorKind::Data, "the Delta log of AuditLogs"),
        (outside, ErrorKind::Data, "/etc/passwd lies outside the table's folder"),
    ] {
        let error = written.refused(TableVersions::default()).await;
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(hint), "{error}");
    }
}

/// The rows of a checkpoint's Parquet file that add files.
fn checkpoint_rows(adds: &[Value]) -> RecordBatch {
    let lines: Vec<String> = adds.iter().map(Value::to_string).collect();
    let add = Fields::from(vec![
        Field::new("path", DataType::Utf8, true),
        Field::new_map(
            "partitionValues",
            "key_value",
            Field::new("key", DataType::Utf8, false),
            Field::new("value", DataType::Utf8, true),
            false,
            true,
        ),
        Field::new("size", DataType::Int64, true),
        Field::new("modificationTime", DataType::Int64, true),
        Field::new("dataChange", DataType::Boolean, true),
    ]);
    let add = Field::new("add", DataType::Struct(add), true);
    let schema = Arc::new(Schema::new(vec![add]));
    let text = lines.join("\n");
    let mut reader = arrow::json::ReaderBuilder::new(schema).build(text.as_bytes()).unwrap();
    reader.next().unwrap().unwrap()
}

#[tokio::test]
async fn a_checkpoint_with_sidecars_is_read_and_leads_nowhere_else() {
    let written = Written::new().with_features(&["v2Checkpoint"]);
    let added = [written.file("a.parquet", "2026-01-05", 2), written.file("b.parquet", "2026-01-06", 2)];
    let sidecar = written.parquet("_delta_log/_sidecars/part.parquet", &checkpoint_rows(&added));
    let checkpoint = |path: &str| {
        let size = &sidecar["add"]["size"];
        let actions = [
            vec![json!({ "checkpointMetadata": { "version": 1 } })],
            written.start(),
            vec![json!({ "sidecar": { "path": path, "sizeInBytes": size, "modificationTime": 0 } })],
        ];
        let name = format!("{:020}.checkpoint.80a083e8-7026-4e79-81be-64bd76c43a11.json", 1);
        written.lines(&name, &actions.concat());
    };
    // The commits before the checkpoint are gone: the sidecar alone has these files.
    written.lines(&format!("{:020}.json", 1), &[json!({ "commitInfo": {} })]);
    written.commit(2, &[remove("a.parquet")]);
    checkpoint("part.parquet");
    assert_eq!(names(&written.latest().await), ["b.parquet"]);
    let error = written.refused(number(0)).await;
    assert!(error.to_string().contains("the earliest that its log still describes is 1"), "{error}");
    checkpoint("http://127.0.0.1:9/part.parquet?sp=1");
    let error = written.refused(TableVersions::default()).await;
    assert!(error.to_string().contains("its log refers to http://127.0.0.1:9"), "{error}");
}
