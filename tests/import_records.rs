//! Every record of a file becomes a row or a reject, with any framing, wrapping, encoding or nesting.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;

use arrow::array::{
    ArrayRef, AsArray, BinaryArray, FixedSizeBinaryArray, Int64Array, LargeBinaryArray, RecordBatch,
    StringArray,
};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use serde_json::{Value, json};
use std::sync::Arc;

use crate::support::{Place, hindcast, stderr};

type Row = BTreeMap<String, String>;

/// The outcome of an import.
pub struct Ending {
    pub code: Option<i32>,
    pub report: Value,
    pub stderr: String,
}

impl Place {
    /// Imports `files` into the lake, with any outcome.
    pub fn import_anyhow(&self, files: &str, arguments: &str) -> Ending {
        let lake = self.lake().display().to_string();
        let output = hindcast(&format!("import {files} --lake {lake} --json {arguments}"));
        let report = serde_json::from_slice(&output.stdout).unwrap_or_default();
        Ending { code: output.status.code(), report, stderr: stderr(&output) }
    }

    /// All rows of a table as text without nulls, ordered by a column.
    pub fn rows_by(&self, table: &str, column: &str) -> Vec<Row> {
        let mut rows: Vec<Row> = Vec::new();
        for date in fs::read_dir(self.lake().join(table)).into_iter().flatten() {
            for file in fs::read_dir(date.expect("a date").path()).expect("a folder") {
                let file = fs::File::open(file.expect("a file").path()).expect("opened");
                for batch in ParquetRecordBatchReader::try_new(file, 1_000).expect("a reader") {
                    rows.extend(rows_of(&batch.expect("rows")));
                }
            }
        }
        rows.sort_by(|left, right| left.get(column).cmp(&right.get(column)));
        rows
    }

    fn values(&self, table: &str, column: &str) -> Vec<String> {
        self.rows_by(table, column)
            .into_iter()
            .map(|mut row| row.remove(column).unwrap_or_default())
            .collect()
    }
}

fn rows_of(batch: &RecordBatch) -> Vec<Row> {
    let mut rows = vec![Row::new(); batch.num_rows()];
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        let texts = cast(column, &DataType::Utf8).expect("as text");
        for (row, text) in rows.iter_mut().zip(texts.as_string::<i32>()) {
            text.map(|text| row.insert(field.name().clone(), text.to_owned()));
        }
    }
    rows
}

const SENT: [&str; 5] = ["5000", "5001", "5002", "5003", "5004"];

fn message(id: usize) -> String {
    format!(
        "<14>1 2026-01-05T08:00:0{id}Z fw - - - - CEF:0|Palo Alto Networks|PAN-OS|11.1|end|TRAFFIC|1|rt=Jan 05 2026 08:00:0{id} \
         src=10.1.1.{id} dst=203.0.113.9 dpt=443 suser=CORP\\\\u{id} act=deny in=100 out=500{id}"
    )
}

fn messages(put: impl Fn(usize, String) -> String) -> String {
    (0..5).map(|id| put(id, message(id))).collect()
}

#[test]
fn messages_are_rows_with_any_framing() {
    let two_a_line = |id, message| if id % 2 == 0 { format!("{message} ") } else { format!("{message}\n") };
    let of_lines = |_, message: String| message.replacen("in=", "msg=one\ntwo\n three in=", 1) + "\n";
    for (name, text) in [
        ("lines", messages(|_, message| message + "\n")),
        ("crlf", messages(|_, message| message + "\r\n")),
        ("cr", messages(|_, message| message + "\r")),
        ("nul", messages(|_, message| message + "\0")),
        ("counted", messages(|_, message| format!("{} {message}", message.len()))),
        ("counted lines", messages(|_, message| format!("{} {message}\n", message.len()))),
        ("two a line", messages(two_a_line)),
        ("several lines", messages(of_lines)),
        (
            "no header",
            messages(|_, message| message.split(" - - - - ").nth(1).unwrap_or_default().to_owned() + " "),
        ),
    ] {
        for arguments in ["", "--source cef --threads 3"] {
            let place = Place::new();
            let report = place.import(&place.file("fw.log", &text), arguments);
            assert_eq!(report["files"][0]["rejects"], 0, "{name}: {report}");
            let rows = place.rows_by("CommonSecurityLog", "SentBytes");
            assert_eq!(place.values("CommonSecurityLog", "SentBytes"), SENT, "{name}");
            for (id, row) in rows.iter().enumerate() {
                assert_eq!(row["SourceIP"], format!("10.1.1.{id}"), "{name}");
                assert_eq!(
                    (row["ReceivedBytes"].as_str(), row["SimplifiedDeviceAction"].as_str()),
                    ("100", "Blocked")
                );
                assert_eq!(row["SourceUserName"], format!("CORP\\u{id}"), "{name}");
                assert!(name != "several lines" || row["Message"] == "one\ntwo\n three", "{row:?}");
            }
        }
    }
}

/// A file of several blocks: neither rows nor files depend on the number of threads.
#[test]
fn all_length_prefixed_messages_of_a_long_file_are_read() {
    let text: String = (0..60_000)
        .map(|id| {
            let message = format!(
                "<14>CEF:0|V|P|1|c|n|1|rt={} externalId=r{id} cs1={} msg=größe\nout=1 out={id}",
                1_767_600_000 + id,
                "x".repeat(100 + id % 90)
            );
            format!("{} {message}", message.len())
        })
        .collect();
    assert!(text.len() > 10 << 20);
    let contents = ["1", "4"].map(|threads| {
        let place = Place::new();
        let report = place.import(&place.file("fw.log", &text), &format!("--threads {threads}"));
        assert_eq!(
            (&report["files"][0]["rows"]["CommonSecurityLog"], &report["files"][0]["rejects"]),
            (&json!(60_000), &json!(0))
        );
        let date = place.lake().join("CommonSecurityLog/date=2026-01-05");
        let files = fs::read_dir(date)
            .expect("a date")
            .map(|file| fs::read(file.expect("a file").path()).expect("read"));
        files.collect::<Vec<_>>()
    });
    assert_eq!(contents[0], contents[1]);
}

#[test]
fn messages_wrapped_in_json_and_csv_are_rows() {
    let quoted = |message: &str| json!(message).to_string();
    let in_cell = |message: &str| format!("\"{}\"", message.replace('"', "\"\""));
    let text = |header: &str, line: &dyn Fn(usize, String) -> String| header.to_owned() + &messages(line);
    for (name, text, arguments) in [
        (
            "last.ndjson",
            text("", &|_, m| format!("{{\"timestamp\":\"x\",\"message\":{}}}\n", quoted(&m))),
            "",
        ),
        (
            "beat.json",
            text("", &|_, m| {
                format!("{{\"event\":{{\"original\":{}}},\"host\":{{\"name\":\"c\"}}}}\n", quoted(&m))
            }),
            "",
        ),
        (
            "array.json",
            format!(
                "[{}{{\"message\":\"{}\"}}]",
                text("", &|_, m| format!("{{\n\"message\":\n{}}},\n", quoted(&m))),
                "no CEF"
            ),
            "--allow-rejects 20",
        ),
        ("two.json", format!("{{\"log\":{}}}\n", quoted(&text("", &|_, m| m + " "))), "--source cef"),
        (
            "splunk.csv",
            text("_time,_raw,host\n", &|_, m| format!("2026-01-05T08:00:00.000+0000,{},fw\n", in_cell(&m))),
            "",
        ),
        (
            "workspace.csv",
            text("TenantId,\"TimeGenerated [UTC]\",SyslogMessage,Type\n", &|_, m| {
                format!("t,2026-01-05T08:00:00Z,{},Syslog\n", in_cell(&m))
            }),
            "",
        ),
    ] {
        let place = Place::new();
        let ending = place.import_anyhow(&place.file(name, &text), arguments);
        assert_eq!(ending.code, Some(0), "{name}: {}", ending.stderr);
        assert_eq!(ending.report["files"][0]["rejects"], u64::from(name == "array.json"), "{name}");
        let rows = place.rows_by("CommonSecurityLog", "SentBytes");
        assert_eq!(place.values("CommonSecurityLog", "SentBytes"), SENT, "{name}");
        assert_eq!(
            (rows[1]["SourceUserName"].as_str(), rows[1]["DeviceAction"].as_str()),
            ("CORP\\u1", "deny"),
            "{name}"
        );
        assert!(rows[4]["TimeGenerated"].starts_with("2026-01-05T08:00:04"), "{name}: {:?}", rows[4]);
    }
}

/// Most records of a file determine its source, or `--source` and `--table`.
#[test]
fn an_odd_record_does_not_determine_the_source() {
    let line = |id: usize, more: &str| {
        format!("{{\"TimeGenerated\":\"2026-01-05T08:00:0{id}Z\",\"SourceIP\":\"10.1.1.{id}\"{more}}}\n")
    };
    let lines = |odd: &dyn Fn(usize) -> bool, more: &str| -> String {
        (0..5).map(|id| line(id, if odd(id) { more } else { "" })).collect()
    };
    let plain: String = (0..9).map(|id| format!("Jan  5 08:00:0{id} fw heartbeat\n")).collect();
    let zeek = |id: usize| {
        format!(
            "<14>Jan  5 08:00:00 sensor conn: {{\"_path\":\"conn\",\"ts\":\"2026-01-05T08:00:0{id}Z\",\"uid\":\"C{id}\",\
             \"id.orig_h\":\"10.1.1.{id}\",\"id.resp_h\":\"203.0.113.9\",\"orig_bytes\":500{id},\"conn_state\":\"SF\"}}\n"
        )
    };
    let windows = "TenantId,\"TimeGenerated [UTC]\",Computer,Channel,EventID,IpAddress,Type\n".to_owned()
        + &(0..5)
            .map(|id| format!("t,2026-01-05T08:00:00Z,pc,Security,4688,10.1.1.{id},SecurityEvent\n"))
            .collect::<String>();
    for (name, text, arguments, table, rejects) in [
        (
            "odd.ndjson",
            lines(&|id| id == 2, ",\"Event\":{\"System\":{}}"),
            "--table CommonSecurityLog",
            "CommonSecurityLog",
            0,
        ),
        ("event.ndjson", lines(&|_| true, ",\"Event\":\"login\",\"EventID\":1"), "--table Own", "Own", 0),
        ("channel.ndjson", lines(&|_| true, ",\"Channel\":\"x\",\"EventID\":1"), "--table Own", "Own", 0),
        ("type.ndjson", lines(&|id| id != 1, ",\"Type\":\"Own\""), "--allow-rejects 20%", "Own", 1),
        (
            "junk.ndjson",
            format!("junk\nmore\n{}", lines(&|_| false, "")),
            "--table Own --allow-rejects 30",
            "Own",
            2,
        ),
        ("windows.csv", windows, "", "SecurityEvent", 0),
        ("own.cef", messages(|_, message| message + "\n"), "--table MyFirewall", "MyFirewall", 0),
        (
            "given.log",
            plain.clone() + &messages(|_, message| message + "\n"),
            "--source cef --allow-rejects 70",
            "CommonSecurityLog",
            9,
        ),
        (
            "few.log",
            plain[..87].to_owned() + &messages(|_, message| message + "\n"),
            "--allow-rejects 50",
            "CommonSecurityLog",
            3,
        ),
        ("syslog.log", (0..5).map(zeek).collect(), "", "CommonSecurityLog", 0),
    ] {
        let place = Place::new();
        let ending = place.import_anyhow(&place.file(name, &text), arguments);
        assert_eq!(ending.code, Some(0), "{name}: {}", ending.stderr);
        assert_eq!(ending.report["files"][0]["rejects"], rejects, "{name}: {}", ending.report);
        let found = place.values(table, if table == "SecurityEvent" { "IpAddress" } else { "SourceIP" });
        let wanted: Vec<String> =
            (0..5).filter(|id| name != "type.ndjson" || *id != 1).map(|id| format!("10.1.1.{id}")).collect();
        assert_eq!(found, wanted, "{name}");
    }
}

fn utf16(text: &str, is_big_endian: bool) -> Vec<u8> {
    text.encode_utf16()
        .flat_map(|unit| if is_big_endian { unit.to_be_bytes() } else { unit.to_le_bytes() })
        .collect()
}

fn zip_of(bytes: &[u8]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options: zip::write::SimpleFileOptions = Default::default();
    archive.add_directory("logs", options).expect("a folder");
    archive.start_file("logs/rows.csv", options).expect("a file");
    archive.write_all(bytes).expect("written");
    archive.finish().expect("an archive").into_inner()
}

fn gzip_of(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("written");
    encoder.finish().expect("packed")
}

#[test]
fn text_is_read_in_its_encoding() {
    let row = |id: usize| format!("2026-01-05T08:00:0{id}Z,CORP\\müller,10.1.1.5,500{id}\r\n");
    let text = "TimeGenerated,SourceUserName,SourceIP,SentBytes\r\n".to_owned()
        + &(0..5).map(row).collect::<String>();
    let marked = format!("\u{feff}{text}");
    let utf32: Vec<u8> = marked.chars().flat_map(|character| u32::from(character).to_le_bytes()).collect();
    let single: Vec<u8> =
        text.chars().map(|character| u8::try_from(u32::from(character)).expect("Latin")).collect();
    for (name, bytes, decoded) in [
        ("utf8", marked.clone().into_bytes(), 0),
        ("utf16le", utf16(&marked, false), 0),
        ("utf16be", utf16(&marked, true), 0),
        ("utf16le without mark", utf16(&text, false), 0),
        ("utf16be without mark", utf16(&text, true), 0),
        ("utf32", utf32, 0),
        ("windows-1252", single, 5),
        ("cr", text.replace("\r\n", "\r").into_bytes(), 0),
        ("zip", zip_of(&utf16(&marked, false)), 0),
        ("gzip", gzip_of(&utf16(&text, false)), 0),
    ] {
        let place = Place::new();
        let report = place.import(&place.file("rows.csv", &bytes), "--table CommonSecurityLog");
        assert_eq!(report["files"][0]["windows_1252"].as_u64().unwrap_or_default(), decoded, "{name}");
        assert_eq!(place.values("CommonSecurityLog", "SentBytes"), SENT, "{name}");
        assert_eq!(place.values("CommonSecurityLog", "SourceUserName"), ["CORP\\müller"; 5], "{name}");
    }
}

#[test]
fn text_that_parquet_stores_as_bytes_is_text() {
    let place = Place::new();
    let vendor: &[u8] = b"Palo Alto Networks";
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("TimeGenerated", Arc::new(StringArray::from(vec!["2026-01-05T08:00:00Z"; 2]))),
        ("DeviceVendor", Arc::new(BinaryArray::from(vec![Some(vendor), None]))),
        ("SourceIP", Arc::new(LargeBinaryArray::from(vec![&b"10.1.1.5"[..], b"10.1.1.6"]))),
        (
            "DestinationIP",
            Arc::new(
                FixedSizeBinaryArray::try_from_iter([*b"203.0.113.9\0", *b"203.0.113.10"].into_iter())
                    .expect("sized"),
            ),
        ),
        ("Hash", Arc::new(BinaryArray::from(vec![&b"\xff\x00\x01"[..], b"\x0a\x01\x01\x05"]))),
        ("SentBytes", Arc::new(Int64Array::from(vec![5000, 5001]))),
    ];
    let batch = RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, column)| (name, column, true)),
    )
    .expect("a batch");
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).expect("a writer");
    writer.write(&batch).expect("written");
    let file = place.file("rows.parquet", writer.into_inner().expect("a file"));
    place.import(&file, "--table CommonSecurityLog");
    let rows = place.rows_by("CommonSecurityLog", "SentBytes");
    assert_eq!((rows[0]["DeviceVendor"].as_str(), rows[1].get("DeviceVendor")), ("Palo Alto Networks", None));
    assert_eq!(
        (rows[0]["SourceIP"].as_str(), rows[0]["DestinationIP"].as_str()),
        ("10.1.1.5", "203.0.113.9")
    );
    assert_eq!(
        (rows[1]["DestinationIP"].as_str(), rows[1]["AdditionalFields"].as_str()),
        ("203.0.113.10", "{\"Hash\":\"0a010105\"}")
    );
    assert_eq!(rows[0]["AdditionalFields"], "{\"Hash\":\"ff0001\"}");
}

#[test]
fn flattened_objects_are_complete_and_do_not_collide() {
    let place = Place::new();
    let flow = |id: usize| {
        format!(
            "{{\"time_dt\":\"2026-01-05T08:00:00Z\",\"src_endpoint\":{{\"ip\":\"10.1.1.5\",\"port\":5}},\"dst_endpoint\":{{\"ip\":\
             \"203.0.113.9\",\"port\":443}},\"traffic\":{{\"bytes\":500{id}}},\"id\":{{\"a\":1}}}}\n"
        )
    };
    let file = place.file("ocsf.ndjson", (0..5).map(flow).collect::<String>());
    let mapping = |flatten: &str, source: &str, destination: &str| {
        format!(
            "flatten = {flatten}\n[[tables]]\ntable = \"CommonSecurityLog\"\ntime = [\"time_dt\"]\n[tables.columns]\n\
             SourceIP = \"{source}\"\nDestinationIP = \"{destination}\"\nSentBytes = \"traffic.bytes\"\nDestinationPort = \"dst_endpoint.port\"\n"
        )
    };
    for flatten in ["[]", "[\"src_endpoint\", \"dst_endpoint\", \"traffic\"]"] {
        let place = Place::new();
        let rules = place.file("map.toml", mapping(flatten, "src_endpoint.ip", "dst_endpoint.ip"));
        place.import(&file, &format!("--mapping {rules}"));
        let rows = place.rows_by("CommonSecurityLog", "SentBytes");
        assert_eq!(place.values("CommonSecurityLog", "SentBytes"), SENT);
        assert_eq!(
            (rows[0]["SourceIP"].as_str(), rows[0]["DestinationIP"].as_str()),
            ("10.1.1.5", "203.0.113.9")
        );
        assert_eq!(rows[0]["DestinationPort"].as_str(), "443");
        let additional: Value = serde_json::from_str(&rows[0]["AdditionalFields"]).expect("an object");
        assert_eq!(additional["id"], "{\"a\":1}");
    }
    let rules = place.file("map.toml", mapping("[\"src_endpoint\", \"dst_endpoint\"]", "ip", "ip"));
    let ending = place.import_anyhow(&file, &format!("--mapping {rules}"));
    assert_eq!(ending.code, Some(1));
    assert!(ending.stderr.contains("by its path, such as dst_endpoint.ip"), "{}", ending.stderr);
}
