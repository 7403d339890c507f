//! A user's own table, from its file to findings: import, listings, compaction, saving, detections, investigations, SQL.

use std::fs;
use std::path::Path;

use arrow::array::AsArray;
use arrow::compute::cast;
use arrow::datatypes::DataType;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};

use crate::cluster_security::{READ, SUBMIT, ask, guarded};
use crate::flight_sql::{client, number};
use crate::own_detections::{assert_refused, change};
use crate::sandbox::Sandbox;
use crate::support::{Place, hindcast, row, stderr, stdout};

const TABLE: &str = "Proxy_CL";
const DATE: &str = "2026-03-01";
const FILES: [(&str, &str); 5] = [
    (
        "tables/Proxy_CL.toml",
        r#"doc = "Requests of a proxy."
time_column = "LoggedAt"
shard_key = "Host"
entities = [
    { column = "Host", names = "device" },
    { column = "Account", names = "user" },
]

[columns]
LoggedAt = "time"
Host = "text"
Account = "text"
Url = "text"
SentBytes = "integer"
"#,
    ),
    (
        "rollups/proxy_bytes.toml",
        r#"version = 1
tables = ["Proxy_CL"]
columns = ["Account AS account_name", "SentBytes AS sent", "LoggedAt AS logged"]
bucket_key = ["account_name"]
keys = ["account_name"]
measures = [
  { name = "requests", kind = "count" },
  { name = "bytes_sent", kind = "sum", of = "sent" },
  { name = "first_seen", kind = "min", of = "logged" },
  { name = "last_seen", kind = "max", of = "logged" },
]
"#,
    ),
    (
        "proxy_uploads/detection.toml",
        r#"version = 1
suite = "exfiltration"
title = "Uploads through the proxy"
shows = "Accounts by the bytes that they sent through the proxy."
rollups = ["proxy_bytes"]
order = ["-bytes_sent", "account_name"]

[[requires]]
tables = ["Proxy_CL"]
columns = ["Account", "SentBytes"]

[[columns]]
name = "account_name"
type = "text"
doc = "Account."
[[columns]]
name = "requests"
type = "integer"
doc = "Requests."
[[columns]]
name = "bytes_sent"
type = "integer"
doc = "Bytes sent."
[[columns]]
name = "_first_seen"
type = "time"
doc = "First request."
[[columns]]
name = "_last_seen"
type = "time"
doc = "Last request."

[finding]
title = "An account sends much through the proxy"
techniques = [{ id = "T1567", name = "Exfiltration Over Web Service", tactic = "exfiltration" }]
stage = "upload"
period = "window"
entities = [{ kind = "user", column = "account_name", role = "actor" }]
first_seen = "_first_seen"
last_seen = "_last_seen"
is_finding = "bytes_sent >= 1000"
severity = "'low'"
confidence = "50"
explanation = "{{ bytes_sent }} bytes in {{ requests }} requests"
"#,
    ),
    (
        "proxy_uploads/query.sql",
        "SELECT account_name, requests, bytes_sent, first_seen AS _first_seen, last_seen AS _last_seen\nFROM proxy_bytes",
    ),
    (
        "proxy_uploads/cases.toml",
        r#"[[case]]
name = "bytes are added up per account"
rows.Proxy_CL = [
  { LoggedAt = "2026-03-01T10:00:00Z", Account = "ada", SentBytes = 900 },
  { LoggedAt = "2026-03-01T11:00:00Z", Account = "ada", SentBytes = "100" },
  { LoggedAt = "2026-03-01T10:00:00Z", Account = "eve", SentBytes = 7 },
]
expect = [
  { account_name = "ada", requests = 2, bytes_sent = 1000 },
  { account_name = "eve", requests = 1, bytes_sent = 7 },
]
findings = [{ severity = "low", entities = ["user ada"] }]
"#,
    ),
];

/// A mapping of the proxy's log to the table.
const MAPPING: &str = r#"[[tables]]
table = "Proxy_CL"
time = ["ts"]
[tables.columns]
Host = "client"
Account = "user"
Url = "url"
SentBytes = "sent"
"#;

/// Lines of the proxy's log: account, minute and bytes.
fn log(lines: &[(&str, u32, u64)]) -> String {
    let line = |(account, minute, sent): &(&str, u32, u64)| {
        json!({
            "ts": format!("{DATE}T10:{minute:02}:00Z"), "client": format!("ws-{account}"), "user": account,
            "url": "https://example.org/", "sent": sent.to_string(), "code": "200",
        })
        .to_string()
    };
    lines.iter().map(|one| line(one) + "\n").collect()
}

/// A lake whose configuration names the folder `own` in it, with the table and a detection.
fn with_own_table() -> Place {
    let place = Place::new();
    for (path, text) in FILES {
        let path = place.lake().join("own").join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
        fs::write(path, text).expect("written");
    }
    fs::write(place.lake().join("hindcast.toml"), "detections = [\"own\"]\n").expect("written");
    place
}

/// Imports two small files of the table's only date.
fn with_imported_rows() -> Place {
    let place = with_own_table();
    let mapping = place.file("mapping.toml", MAPPING);
    for (name, lines) in [
        ("a.ndjson", log(&[("eve", 1, 7), ("ada", 2, 900), ("ada", 3, 100)])),
        ("b.ndjson", log(&[("bob", 4, 50)])),
    ] {
        let file = place.file(name, lines);
        let report = place.import(&file, &format!("--mapping {mapping}"));
        assert_eq!(report["files"][0]["rejects"], 0, "{report}");
    }
    place
}

fn files_of(place: &Place, date: &str) -> usize {
    let folder = place.lake().join(TABLE).join(format!("date={date}"));
    let files = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "parquet")).count()
}

/// The values of the column Host of the date's only file, in the order of its rows.
fn hosts_of(place: &Place, date: &str) -> Vec<String> {
    let folder = place.lake().join(TABLE).join(format!("date={date}"));
    let paths: Vec<_> =
        fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    assert_eq!(paths.len(), 1, "{paths:?}");
    let file = fs::File::open(&paths[0]).expect("a file");
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("Parquet").build().expect("a reader");
    let batches = reader.map(|batch| batch.expect("rows"));
    let hosts = batches.flat_map(|batch| {
        let hosts = cast(batch.column_by_name("Host").expect("a column"), &DataType::Utf8).expect("texts");
        hosts.as_string::<i32>().iter().flatten().map(str::to_owned).collect::<Vec<_>>()
    });
    hosts.collect()
}

#[test]
fn an_own_table_is_imported_listed_and_compacted_like_a_built_in_one() {
    let place = with_imported_rows();
    assert_eq!(files_of(&place, DATE), 1, "the import merges small files");
    let shown = place.shown(TABLE);
    let columns: Vec<(&str, &str)> = shown["columns"]
        .as_array()
        .expect("columns")
        .iter()
        .map(|column| {
            (column["name"].as_str().expect("a name"), column["types"][0].as_str().expect("a type"))
        })
        .collect();
    // The time, the shard key, the table's other columns in its order, and what else the log has.
    let expected = [
        ("LoggedAt", "Timestamp(µs, \"UTC\")"),
        ("Host", "Utf8"),
        ("Account", "Utf8"),
        ("Url", "Utf8"),
        ("SentBytes", "Int64"),
        ("AdditionalFields", "Utf8"),
    ];
    assert_eq!(columns, expected, "{shown}");
    assert_eq!(shown["telemetry"]["key"], "Host");
    assert_eq!(
        (&shown["telemetry"]["keys"], &shown["telemetry"]["rows_without_time"]),
        (&json!(3), &json!(0))
    );
    assert_eq!(hosts_of(&place, DATE), ["ws-ada", "ws-ada", "ws-bob", "ws-eve"], "sorted by the shard key");

    let other = "2026-03-02";
    for (file, host) in [("a.parquet", "ws-2"), ("b.parquet", "ws-1")] {
        let cells = [
            ("LoggedAt", json!(format!("{other}T08:00:00Z"))),
            ("Host", json!(host)),
            ("SentBytes", json!(1)),
        ];
        place.write_rows(TABLE, other, file, &[row(cells)]);
    }
    let lake = place.lake().display().to_string();
    let output = hindcast(&format!("tables --lake {lake} compact {TABLE}"));
    assert!(
        stdout(&output).contains("merged 2 small files of 1 date"),
        "{}{}",
        stdout(&output),
        stderr(&output)
    );
    assert_eq!(hosts_of(&place, other), ["ws-1", "ws-2"], "sorted by the shard key");

    // A name that Hindcast reads is none to save to.
    fs::write(place.lake().join("own/tables/Kept_SPRK.toml"), FILES[0].1).expect("written");
    assert_refused(
        &format!("tables --lake {lake} save Kept_SPRK"),
        &["Kept_SPRK is a table that Hindcast reads, not one to save to"],
    );
}

#[test]
fn own_detections_and_investigations_read_an_own_table() {
    let place = with_imported_rows();
    let own = place.lake().join("own").display().to_string();
    for arguments in [format!("lint {own}"), format!("test --detections {own}")] {
        let output = hindcast(&format!("detections {arguments}"));
        assert!(output.status.success(), "{arguments}: {}{}", stdout(&output), stderr(&output));
    }
    place.scan_well("--only proxy_uploads");
    let rows = place.table("proxy_uploads");
    let first = (&rows[0]["account_name"], &rows[0]["requests"], &rows[0]["bytes_sent"]);
    assert_eq!(first, (&json!("ada"), &json!(2), &json!(1000)), "{rows:?}");
    assert_eq!(rows.len(), 3);
    assert_eq!(place.findings().len(), 1);
    assert_eq!(place.coverage(TABLE, DATE)["status"], "scanned");
    assert_eq!(place.coverage(TABLE, DATE)["rows"], 4);

    let output = place.investigate("user ada", "");
    assert!(place.out().join("summary.json").exists(), "{}", stderr(&output));
    let rows = place.table("proxy_uploads");
    assert_eq!(
        (rows.len(), &rows[0]["account_name"]),
        (1, &json!("ada")),
        "only the rows that name the user: {rows:?}"
    );
}

#[test]
fn mistakes_in_an_own_table_have_file_and_line() {
    let place = with_imported_rows();
    let (lake, out) = (place.lake().display().to_string(), place.path("no").display().to_string());
    let scan = format!("scan --lake {lake} --no-cache --out {out}");
    let file = place.lake().join("own/tables/Proxy_CL.toml");
    let assert_wrong = |from: &str, to: &str, expected: &str| {
        change(&file, from, to);
        for command in
            [&scan, &format!("tables --lake {lake}"), &format!("import {lake}/hindcast.toml --lake {lake}")]
        {
            assert_refused(command, &["own/tables/Proxy_CL.toml", expected]);
        }
        change(&file, to, from);
    };
    assert_wrong(
        "shard_key = \"Host\"",
        "shard_key = \"Hots\"",
        "line 3: shard_key names \"Hots\", which is not one of its columns; did you mean Host?",
    );
    assert_wrong("SentBytes = \"integer\"", "SentBytes = \"long\"", "unknown variant `long`");
    let output = hindcast(&format!("detections lint {lake}/own"));
    assert!(output.status.success(), "{}", stdout(&output));

    let taken = place.lake().join("own/tables/AuditLogs.toml");
    fs::copy(&file, &taken).expect("copied");
    assert_refused(
        &scan,
        &["own/tables/AuditLogs.toml, line 1: there is a table AuditLogs already; choose another name"],
    );
    assert_refused(
        &format!("detections lint {lake}/own"),
        &["own/tables/AuditLogs.toml:1: there is a table AuditLogs already"],
    );
    fs::remove_file(taken).expect("removed");
    change(&place.lake().join("own/proxy_uploads/detection.toml"), "\"SentBytes\"", "\"SendBytes\"");
    assert_refused(
        &scan,
        &[
            "own/proxy_uploads/detection.toml, line 10: Proxy_CL has no column SendBytes; did you mean SentBytes?",
        ],
    );
    assert!(!Path::new(&out).exists());
}

#[test]
fn a_cluster_reads_an_own_table_and_answers_sql_about_it() {
    let place = with_imported_rows();
    place.scan_well("--only proxy_uploads");
    let alone = fs::read(place.out().join("tables/proxy_uploads.parquet")).expect("a table");
    let mut setup = guarded(&place);
    setup.config = format!("allow_detections = true\n{}", setup.config);
    let sandbox = Sandbox::start(&place, setup, 1);
    let folder = place.path("certificates/client");
    let (lake, remote) = (place.lake(), place.path("remote"));
    let scan = format!("scan --lake {} --only proxy_uploads --out {}", lake.display(), remote.display());
    let output = ask(&sandbox, &scan, SUBMIT, Some(&folder));
    assert!(output.status.success(), "{}\n{}", stderr(&output), sandbox.logs());
    let there = fs::read(remote.join("tables/proxy_uploads.parquet")).expect("a table");
    assert!(there == alone, "the table differs from that of a scan without a cluster");
    let summary: Value = crate::support::read_json(&remote.join("summary.json"));
    assert_eq!(summary["coverage"]["complete"], true, "{summary}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut reader = client(&sandbox, &place, READ).await;
        assert_eq!(number(&mut reader, "SELECT sum(bytes_sent) FROM rollup_proxy_bytes").await, 1057);
        assert_eq!(number(&mut reader, "SELECT count(*) FROM proxy_uploads").await, 3);
    });
}
