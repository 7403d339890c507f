//! A Parquet file whose Arrow schema has an integer with zero bits, on which the decoder panics: no command crashes.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use arrow::array::RecordBatch;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::arrow::{ARROW_SCHEMA_META_KEY, ArrowWriter, encode_arrow_schema};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use serde_json::json;

use crate::sandbox::{Sandbox, Setup};
use crate::support::{Place, batch_of, hindcast, row, stderr, stdout};

const DATE: &str = "2026-02-02";

fn rows() -> RecordBatch {
    batch_of(&[row([
        ("TimeGenerated", json!("2026-02-02T10:00:00Z")),
        ("DeviceVendor", json!("Palo Alto Networks")),
        ("DeviceEventClassID", json!("TRAFFIC")),
        ("SimplifiedDeviceAction", json!("Allowed")),
        ("SourceIP", json!("10.0.0.1")),
        ("DestinationIP", json!("203.0.113.9")),
        ("SentBytes", json!(100)),
        ("ReceivedBytes", json!(100)),
    ])])
}

/// A schema message in which the integer at `at` has zero bits.
fn with_schema(message: &[u8], at: usize) -> Vec<u8> {
    let mut message = message.to_vec();
    message[at] = 0;
    let schema = KeyValue::new(ARROW_SCHEMA_META_KEY.to_owned(), BASE64_STANDARD.encode(message));
    let properties = WriterProperties::builder().set_key_value_metadata(Some(vec![schema])).build();
    let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
    let mut writer =
        ArrowWriter::try_new_with_options(Vec::new(), rows().schema(), options).expect("a writer");
    writer.write(&rows()).expect("rows");
    writer.into_inner().expect("a footer")
}

/// A file on which the decoder panics.
fn undecodable() -> Vec<u8> {
    let schema = encode_arrow_schema(rows().schema_ref());
    let message = BASE64_STANDARD.decode(schema).expect("base64");
    let places = (0..message.len() - 4).filter(|at| message[*at..*at + 4] == 64u32.to_le_bytes());
    let mut files = places.map(|at| with_schema(&message, at));
    let panics = |file: &Vec<u8>| {
        let bytes = bytes::Bytes::from(file.clone());
        catch_unwind(AssertUnwindSafe(|| drop(ParquetRecordBatchReaderBuilder::try_new(bytes)))).is_err()
    };
    files.find(panics).expect("a schema that is panicked on")
}

/// A lake with a valid file and this one.
fn lake() -> (Place, PathBuf) {
    let place = Place::new();
    place.write_batch("CommonSecurityLog", DATE, "good.parquet", &rows());
    let path = place.lake().join(format!("CommonSecurityLog/date={DATE}/odd.parquet"));
    fs::write(&path, undecodable()).expect("a file");
    (place, path)
}

#[test]
fn every_command_names_the_file_and_continues() {
    let (place, path) = lake();
    let output = place.scan("--suite firewall");
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    let coverage = place.coverage("CommonSecurityLog", DATE);
    let reason = coverage["reason"].as_str().expect("a reason");
    assert!(reason.contains("odd.parquet") && reason.contains("can't be decoded"), "{reason}");
    assert_eq!((&coverage["status"], place.table("top_talkers").len()), (&json!("failed"), 1));

    let output = place.scan("--suite firewall --last 1d");
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    let output = place.investigate("ip 10.0.0.1", "");
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));

    let output = hindcast(&format!("tables --lake {} show CommonSecurityLog", place.lake().display()));
    let printed = stdout(&output) + &stderr(&output);
    assert!(
        output.status.code().is_some_and(|code| code < 100) && printed.contains("odd.parquet"),
        "{printed}"
    );

    let line = format!("import {} --lake {}", path.display(), place.path("imported").display());
    let output = hindcast(&line);
    let printed = stdout(&output) + &stderr(&output);
    assert!(output.status.code().is_some_and(|code| (1..100).contains(&code)), "{printed}");
    assert!(printed.contains("odd.parquet") && printed.contains("decoder panicked"), "{printed}");
}

#[test]
fn a_job_names_the_file_and_no_worker_crashes() {
    let (place, _) = lake();
    let mut sandbox = Sandbox::start(&place, Setup::local(&place).with_short_deadlines(), 2);
    let output = sandbox.scan(&place.out(), "--suite firewall");
    assert_eq!(output.status.code(), Some(3), "{}\n{}", stderr(&output), sandbox.logs());
    let coverage = place.coverage("CommonSecurityLog", DATE);
    assert!(coverage["reason"].as_str().is_some_and(|reason| reason.contains("odd.parquet")), "{coverage}");
    assert_eq!(sandbox.ended_workers(), 0);
}
