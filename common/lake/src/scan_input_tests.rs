//! Columns of files of other shapes, read by scans: values, faults, and what is read of a file.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Decimal128Array, Int32Array, Int64Array, ListArray, RecordBatch, StringArray,
    StructArray, TimestampMillisecondArray, TimestampNanosecondArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field};
use datafusion::execution::runtime_env::RuntimeEnv;
use futures::TryStreamExt;
use hindcast_base::Error;
use hindcast_base::error::input_fault;
use hindcast_base::time::{Window, parse_time};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};
use tempfile::TempDir;

use crate::{
    DateFolder, LakeFile, LakeTable, Location, TableMapping, Tables, UnreadableCounts, file_scan,
    row_groups_that_may_hold, task_session,
};

const TABLE: &str = "time_column = 'Time'\n[columns]\nTime = 'time'\nHost = 'text'\nUser = 'text'\nAction = 'text'\n\
                     Tags = 'text'\nBytes = 'integer'\n";

/// A file of a table, in a folder of its own.
struct Stored {
    folder: TempDir,
    table: LakeTable,
    file: LakeFile,
    unreadable: UnreadableCounts,
}

impl Stored {
    /// The batches as row groups of one file, read with a mapping.
    fn new(mapping: &str, groups: &[RecordBatch]) -> Self {
        let tables = Tables::with_own(&[("tables/Events.toml", TABLE)]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let location = Location::parse(&folder.path().display().to_string()).unwrap();
        let mapping: TableMapping = toml::from_str(mapping).unwrap();
        let table = LakeTable::of_task(tables.by_name("Events").unwrap(), location, mapping);
        let mut writer =
            ArrowWriter::try_new(Vec::new(), groups[0].schema(), Some(WriterProperties::new())).unwrap();
        for group in groups {
            writer.write(group).unwrap();
            writer.flush().unwrap();
        }
        let content = writer.into_inner().unwrap();
        let path = folder.path().join("a.parquet");
        fs::write(&path, &content).unwrap();
        let name = table.location.name_of(&table.location.child("a.parquet"));
        let file = LakeFile::new(name, content.len() as u64, None);
        let unreadable = UnreadableCounts::of(table.spec);
        Self { folder, table, file, unreadable }
    }

    /// Destroys the values of a leaf in a row group. Reading them fails.
    fn destroy(&self, group: usize, leaf: &str) {
        let path = self.folder.path().join("a.parquet");
        let reader = SerializedFileReader::new(fs::File::open(&path).unwrap()).unwrap();
        let columns = reader.metadata().row_group(group).columns();
        let chunk = columns.iter().find(|chunk| chunk.column_path().string() == leaf).unwrap();
        let (start, bytes) = chunk.byte_range();
        let mut content = fs::read(&path).unwrap();
        content[start as usize..(start + bytes) as usize].fill(0xff);
        fs::write(&path, content).unwrap();
    }

    /// The values of `columns` as text, row by row.
    async fn read(&self, columns: &[&str], clip: Option<&Window>) -> Result<Vec<Vec<Option<String>>>, Error> {
        let scan = file_scan(&self.table, columns, &self.file, clip, None, &self.unreadable).await?;
        let context = task_session(Arc::new(RuntimeEnv::default())).task_ctx();
        let batches: Vec<RecordBatch> = scan.execute(context)?.try_collect().await?;
        let mut rows = Vec::new();
        for batch in &batches {
            assert_eq!(batch.schema(), scan.schema());
            let texts: Vec<ArrayRef> =
                batch.columns().iter().map(|column| cast(column, &DataType::Utf8).unwrap()).collect();
            let text = |column: &ArrayRef, row: usize| {
                column.is_valid(row).then(|| column.as_string::<i32>().value(row).to_owned())
            };
            rows.extend(
                (0..batch.num_rows()).map(|row| texts.iter().map(|column| text(column, row)).collect()),
            );
        }
        Ok(rows)
    }

    /// The values of one column as text.
    async fn column(&self, name: &str) -> Result<Vec<Option<String>>, Error> {
        Ok(self.read(&[name], None).await?.into_iter().map(|mut row| row.remove(0)).collect())
    }

    /// The fault of reading a column: what the mapping calls it, and the reason.
    async fn fault(&self, name: &str) -> (String, String) {
        let error = self.column(name).await.unwrap_err();
        let fault = input_fault(&error).unwrap_or_else(|| panic!("{error}"));
        (fault.column.clone().unwrap_or_default(), fault.reason.clone())
    }
}

fn owned(texts: &[Option<&str>]) -> Vec<Option<String>> {
    texts.iter().map(|text| text.map(str::to_owned)).collect()
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)))
        .unwrap()
}

fn texts(texts: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringArray::from(texts.to_vec()))
}

fn structure(fields: Vec<(&str, ArrayRef)>) -> ArrayRef {
    let fields = fields
        .into_iter()
        .map(|(name, array)| (Arc::new(Field::new(name, array.data_type().clone(), true)), array));
    Arc::new(StructArray::from(fields.collect::<Vec<_>>()))
}

fn list(elements: ArrayRef, lengths: &[usize]) -> ArrayRef {
    let field = Field::new("item", elements.data_type().clone(), true);
    let offsets = OffsetBuffer::from_lengths(lengths.iter().copied());
    Arc::new(ListArray::new(Arc::new(field), offsets, elements, None))
}

/// Milliseconds of a time on 5 January 2026.
fn millis(time: &str) -> i64 {
    parse_time(&format!("2026-01-05T{time}Z")).unwrap() / 1_000
}

/// Nested events as OCSF has them.
fn events() -> RecordBatch {
    let names = texts(&[Some("a"), Some("b"), Some("c")]);
    let secrets = texts(&[Some("x"), Some("y"), Some("z")]);
    batch(vec![
        ("time", Arc::new(Int64Array::from(vec![millis("08:00:00"), millis("08:00:01"), 7]))),
        (
            "src_endpoint",
            structure(vec![
                ("hostname", texts(&[Some("ws-1"), Some("ws-2"), None])),
                ("ip", texts(&[Some("10.0.0.1"), None, None])),
            ]),
        ),
        (
            "actor",
            structure(vec![("user", structure(vec![("name", texts(&[Some("ada"), None, Some("eve")]))]))]),
        ),
        ("action_id", Arc::new(Int32Array::from(vec![Some(1), Some(2), None]))),
        (
            "traffic",
            structure(vec![(
                "bytes",
                Arc::new(Decimal128Array::from(vec![5, 6, -7]).with_precision_and_scale(20, 0).unwrap()),
            )]),
        ),
        ("tags", list(structure(vec![("name", names), ("secret", secrets)]), &[2, 0, 1])),
    ])
}

const OCSF: &str = "[columns]\nTime = 'time'\nHost = 'src_endpoint.hostname'\nUser = 'Actor.User.Name'\n\
                    Tags = 'tags[*].name'\nBytes = 'traffic.bytes'\n\
                    Action = { column = 'action_id', values = { 1 = 'Allowed' }, otherwise = 'Other' }\n";

#[tokio::test]
async fn nested_columns_are_read_as_the_columns_of_a_table() {
    let stored = Stored::new(OCSF, &[events()]);
    let rows = stored.read(&["Time", "Host", "User", "Action", "Tags", "Bytes"], None).await.unwrap();
    let wanted = [
        [
            Some("2026-01-05T08:00:00Z"),
            Some("ws-1"),
            Some("ada"),
            Some("Allowed"),
            Some("[\"a\",\"b\"]"),
            Some("5"),
        ],
        [Some("2026-01-05T08:00:01Z"), Some("ws-2"), None, Some("Other"), Some("[]"), Some("6")],
        [None, None, Some("eve"), None, Some("[\"c\"]"), None],
    ];
    assert_eq!(rows, wanted.map(|row| owned(&row)));
    let counts = BTreeMap::from([("Bytes".to_owned(), 1), ("Time".to_owned(), 1)]);
    assert_eq!(stored.unreadable.counts(), counts);
    let first = Stored::new("columns.Tags = 'tags[0].name'\ncolumns.User = 'tags[1]'", &[events()]);
    assert_eq!(first.column("Tags").await.unwrap(), owned(&[Some("a"), None, Some("c")]));
    let whole = Some(r#"{"name":"b","secret":"y"}"#);
    assert_eq!(first.column("User").await.unwrap(), owned(&[whole, None, None]));
}

#[tokio::test]
async fn only_the_needed_leaves_of_nested_columns_are_read() {
    let stored = Stored::new(&format!("{OCSF}\n"), &[events()]);
    stored.destroy(0, "src_endpoint.ip");
    stored.destroy(0, "tags.list.item.secret");
    let rows = stored.read(&["Host", "Tags"], None).await.unwrap();
    assert_eq!(rows[0], owned(&[Some("ws-1"), Some("[\"a\",\"b\"]")]));
    let whole = Stored::new("columns.Host = 'src_endpoint'", &[events()]);
    whole.destroy(0, "src_endpoint.ip");
    whole.column("Host").await.unwrap_err();
}

#[tokio::test]
async fn names_are_found_in_any_case_unless_two_are_alike() {
    let time: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![millis("08:00:00")]));
    let columns = vec![
        ("time", Arc::clone(&time)),
        ("host", texts(&[Some("ws-1")])),
        ("user", texts(&[Some("ada")])),
        ("USER", texts(&[Some("eve")])),
    ];
    let stored = Stored::new("", &[batch(columns)]);
    assert_eq!(stored.column("Host").await.unwrap(), owned(&[Some("ws-1")]));
    assert_eq!(stored.column("Time").await.unwrap(), owned(&[Some("2026-01-05T08:00:00Z")]));
    let (column, reason) = stored.fault("User").await;
    assert!(column == "User" && reason.contains("user and USER"), "{column}: {reason}");
    let named =
        Stored::new("columns.User = 'user'", &[batch(vec![("Time", time), ("user", texts(&[Some("ada")]))])]);
    assert_eq!(named.column("User").await.unwrap(), owned(&[Some("ada")]));
}

#[tokio::test]
async fn constants_expressions_and_partition_values_are_columns() {
    let mapping = "[columns]\nTime = { sql = 'to_timestamp_millis(time)' }\nUser = { value = 'nobody' }\n\
                   Host = { sql = \"coalesce(device.hostname, src_endpoint.hostname, 'unknown')\" }\n\
                   Bytes = { sql = 'traffic.bytes * 2' }\nTags = 'Region'\nAction = { value = 7 }\n";
    let mut stored = Stored::new(mapping, &[events()]);
    let partition = BTreeMap::from([("region".to_owned(), Some("eu-west-1".to_owned()))]);
    stored.file = stored.file.with(|file| file.partition = partition);
    let rows = stored.read(&["Time", "Host", "User", "Action", "Tags", "Bytes"], None).await.unwrap();
    let same = [Some("nobody"), Some("7"), Some("eu-west-1")];
    assert_eq!(rows[1][..2], owned(&[Some("2026-01-05T08:00:01Z"), Some("ws-2")]));
    assert_eq!(rows[1][2..5], owned(&same));
    assert_eq!(
        rows.iter().map(|row| row[5].clone()).collect::<Vec<_>>(),
        owned(&[Some("10"), Some("12"), None])
    );
    assert_eq!(rows[2][1], Some("unknown".to_owned()));
    let wrong = Stored::new("columns.Host = { sql = 'sqrt(tags)' }", &[events()]);
    let (column, reason) = wrong.fault("Host").await;
    assert!(column == "sqrt(tags)" && reason.contains("can't be computed for Host"), "{column}: {reason}");
}

#[tokio::test]
async fn only_rows_for_which_the_filter_is_true_are_rows_of_the_table() {
    let with_filter = |filter: &str| Stored::new(&format!("filter = \"{filter}\"\n{OCSF}"), &[events()]);
    let blocked = with_filter("action_id = 2");
    assert_eq!(blocked.column("Host").await.unwrap(), owned(&[Some("ws-2")]));
    let none = with_filter("no_such_column = 1");
    assert_eq!(none.column("Host").await.unwrap(), owned(&[]));
    let nested = with_filter("actor.user.name IS NOT NULL");
    assert_eq!(nested.column("Bytes").await.unwrap(), owned(&[Some("5"), None]));
    let (column, reason) = with_filter("CAST(src_endpoint.hostname AS BIGINT) > 1").fault("Host").await;
    assert!(column.contains("hostname AS BIGINT") && reason.contains("ws-1"), "{column}: {reason}");
    let (_, reason) = with_filter("action_id + 1").fault("Host").await;
    assert!(reason.contains("not true or false"), "{reason}");
}

#[tokio::test]
async fn times_are_read_in_the_forms_that_import_reads() {
    let time_of = |time: ArrayRef| async move {
        let stored = Stored::new("", &[batch(vec![("Time", time)])]);
        stored.column("Time").await
    };
    let wanted = owned(&[Some("2026-01-05T08:00:00Z")]);
    let seconds = millis("08:00:00") / 1_000;
    for text in ["05/Jan/2026:09:00:00 +0100", "1767600000", "Jan 05 2026 08:00:00 GMT", "20260105080000"] {
        assert_eq!(time_of(texts(&[Some(text)])).await.unwrap(), wanted, "{text}");
    }
    for number in [seconds, seconds * 1_000, seconds * 1_000_000, seconds * 1_000_000_000] {
        assert_eq!(time_of(Arc::new(Int64Array::from(vec![number]))).await.unwrap(), wanted, "{number}");
    }
    let nanos = TimestampNanosecondArray::from(vec![seconds * 1_000_000_000]).with_timezone("Europe/Berlin");
    assert_eq!(time_of(Arc::new(nanos)).await.unwrap(), wanted);
    let open = || batch(vec![("Time", texts(&[Some("5/1/2026 08:00:00"), Some("soon")]))]);
    let (column, reason) = Stored::new("", &[open()]).fault("Time").await;
    assert!(column == "Time" && reason.contains("dates = \"day-first\""), "{column}: {reason}");
    let stored = Stored::new("dates = 'day-first'\ntime_zone = '+01:00'", &[open()]);
    assert_eq!(stored.column("Time").await.unwrap(), owned(&[Some("2026-01-05T07:00:00Z"), None]));
    assert_eq!(stored.unreadable.counts(), BTreeMap::from([("Time".to_owned(), 1)]));
}

/// Row groups of two rows per hour, with the time as `time` makes it.
fn hours(time: impl Fn(Vec<i64>) -> (&'static str, ArrayRef)) -> Vec<RecordBatch> {
    let hour = |hour: usize| {
        let (name, times) =
            time(vec![millis(&format!("{hour:02}:00:00")), millis(&format!("{hour:02}:59:59"))]);
        batch(vec![(name, times), ("Host", texts(&[Some("first"), Some("last")]))])
    };
    (0..4).map(hour).collect()
}

#[tokio::test]
async fn row_groups_outside_a_window_are_not_read_where_statistics_have_times() {
    let clip =
        Window::new(parse_time("2026-01-05T01:30:00Z").unwrap(), parse_time("2026-01-05T02:00:00Z").unwrap())
            .unwrap();
    let stamps = |millis: Vec<i64>| -> ArrayRef { Arc::new(TimestampMillisecondArray::from(millis)) };
    let numbers = |millis: Vec<i64>| -> ArrayRef { Arc::new(Int64Array::from(millis)) };
    let pruned = [
        ("", hours(|millis| ("time", stamps(millis)))),
        ("", hours(|millis| ("Time", numbers(millis)))),
        ("columns.Time = 'event.at'", hours(|millis| ("event", structure(vec![("at", stamps(millis))])))),
        ("columns.Time = 'event.at'", hours(|millis| ("event", structure(vec![("at", numbers(millis))])))),
    ];
    for (mapping, groups) in pruned {
        let stored = Stored::new(mapping, &groups);
        for group in [0, 2, 3] {
            stored.destroy(group, "Host");
        }
        let rows = stored.read(&["Time", "Host"], Some(&clip)).await.unwrap();
        let times = [Some("2026-01-05T01:00:00Z"), Some("2026-01-05T01:59:59Z")];
        let wanted = [[times[0], Some("first")], [times[1], Some("last")]];
        assert_eq!(rows, wanted.map(|row| owned(&row)), "{mapping}");
    }
    let text = |millis: Vec<i64>| {
        let texts: Vec<Option<String>> = millis.iter().map(|time| Some(time.to_string())).collect();
        let array: ArrayRef = Arc::new(StringArray::from(texts));
        ("at", array)
    };
    for mapping in
        ["columns.Time = 'at'", "columns.Time = { sql = 'to_timestamp_millis(CAST(at AS BIGINT))' }"]
    {
        let stored = Stored::new(mapping, &hours(text));
        assert_eq!(stored.read(&["Time", "Host"], Some(&clip)).await.unwrap().len(), 8, "{mapping}");
    }
}

#[tokio::test]
async fn dictionaries_of_nested_and_mapped_columns_show_which_row_groups_to_read() {
    let group = |host: &str, action: &str| {
        let endpoint = structure(vec![("hostname", texts(&[Some(host), Some(host)]))]);
        batch(vec![("src", endpoint), ("action", texts(&[Some(action), Some(action)]))])
    };
    let groups = [group("ws-1", "1"), group("ws-2", "2")];
    let mapping = "[columns]\nHost = 'SRC.hostname'\nUser = { value = 'ada' }\nTags = { sql = 'lower(action)' }\n\
                   Action = { column = 'action', values = { 1 = 'Allowed', 2 = 'Blocked' } }\n";
    let stored = Stored::new(mapping, &groups);
    let read = |column: &'static str, wanted: &'static str| {
        let stored = &stored;
        async move {
            let is_it = move |_: &str, value: &str| value == wanted;
            let groups = row_groups_that_may_hold(&stored.table, &stored.file, &[column], is_it).await;
            groups.unwrap().counts()[1].0
        }
    };
    assert_eq!(read("Host", "ws-1").await, 1);
    assert_eq!(read("Host", "ws-3").await, 0);
    assert_eq!(read("Action", "Blocked").await, 1);
    assert_eq!(read("Action", "2").await, 0);
    assert_eq!((read("User", "ada").await, read("User", "eve").await), (2, 0));
    assert_eq!(read("Tags", "nothing").await, 2);
    assert_eq!(read("Bytes", "nothing").await, 0);
}

#[tokio::test]
async fn a_table_has_the_columns_whose_sources_are_there() {
    let mapping = "[columns]\nTime = 'time'\nHost = 'src_endpoint.hostname'\nUser = 'actor.user.uid'\n\
                   Action = { value = 'seen' }\nTags = { sql = 'coalesce(nothing, src_endpoint.ip)' }\n\
                   Bytes = { sql = 'nothing + 1' }\n";
    let stored = Stored::new(mapping, &[events()]);
    let folder = DateFolder { date: "2026-01-05".parse().unwrap(), files: vec![stored.file.clone()] };
    let wanted = stored.table.spec.columns.iter().map(|column| column.name).collect();
    let found = stored.table.columns(&[folder], &wanted).await.unwrap();
    assert_eq!(found.into_iter().collect::<Vec<_>>(), ["Action", "Host", "Tags", "Time"]);
    assert!(stored.table.refers_to("src_endpoint") && !stored.table.refers_to("traffic"));
}
