//! Converts Avro files to NDJSON. The files of Event Hubs Capture have messages, whose bodies become the records.

use std::borrow::Cow;
use std::io::{self, BufReader, Write};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::DataType;
use arrow_avro::reader::ReaderBuilder;
use hindcast_base::catch_panic::catch_panic_sync;
use serde_json::value::RawValue;

use super::super::envelopes::STRICT_LISTS;
use super::super::format::Record;
use super::super::json;
use super::parquet_text;
use super::streams::{Bytestream, piped};

/// Rows per batch. A message of an event hub can have a megabyte and more.
const BATCH_ROWS: usize = 16;
/// The column of a message's bytes.
const BODY: &str = "Body";

/// Records of Avro as NDJSON.
///
/// # Errors
/// If the header can't be read.
pub(crate) fn avro(stream: Bytestream) -> io::Result<Bytestream> {
    let opened = || ReaderBuilder::new().with_batch_size(BATCH_ROWS).build(BufReader::new(stream));
    let batches = catch_panic_sync(opened)
        .map_err(|panic| io::Error::other(format!("its decoder panicked: {panic}")))?
        .map_err(io::Error::other)?;
    piped(move |target| {
        for batch in batches {
            let batch = batch.map_err(io::Error::other)?;
            match body_of(&batch) {
                Some(body) => write_messages(&batch, body, target)?,
                None => parquet_text::writer(&mut *target).write(&batch).map_err(io::Error::other)?,
            }
        }
        Ok(())
    })
}

/// The index of the messages' bodies, if the rows are those of Event Hubs Capture.
fn body_of(batch: &RecordBatch) -> Option<usize> {
    let schema = batch.schema();
    let is_capture =
        ["SequenceNumber", "EnqueuedTimeUtc"].iter().all(|name| schema.column_with_name(name).is_some());
    let (index, field) = schema.column_with_name(BODY)?;
    (is_capture && *field.data_type() == DataType::Binary).then_some(index)
}

/// Writes the records of messages. Each has what the hub says about its message in a field `EventHub`.
fn write_messages(batch: &RecordBatch, body: usize, target: &mut dyn Write) -> io::Result<()> {
    let others: Vec<usize> = (0..batch.num_columns()).filter(|index| *index != body).collect();
    let mut envelopes = Vec::new();
    let others = batch.project(&others);
    let written = others.and_then(|others| parquet_text::writer(&mut envelopes).write(&others));
    written.map_err(io::Error::other)?;
    let bodies = batch.column(body).as_binary::<i32>();
    for (row, envelope) in envelopes.split(|byte| *byte == b'\n').take(batch.num_rows()).enumerate() {
        let bytes = if bodies.is_valid(row) { bodies.value(row) } else { &[] };
        let text = parquet_text::format_value(bytes);
        match records_of(&text) {
            Some(records) => records.iter().try_for_each(|record| write_record(record, envelope, target))?,
            None => {
                let body = serde_json::json!({ BODY: text }).to_string();
                write_record(&body, envelope, target)?;
            }
        }
    }
    Ok(())
}

/// The objects in a message: documents one after the other, in lists, or in an envelope around a list. `None` if the message
/// has anything else.
fn records_of(text: &str) -> Option<Vec<&str>> {
    let mut records = Vec::new();
    for document in serde_json::Deserializer::from_str(text).into_iter::<&RawValue>() {
        let document = document.ok()?.get();
        let mut fields = Record::new();
        let list = match document.as_bytes().first() {
            Some(b'[') => document,
            Some(b'{') => {
                json::read(document, &mut fields).ok()?;
                match fields.as_slice() {
                    [(name, Cow::Borrowed(list))]
                        if STRICT_LISTS.contains(&name.as_ref()) && list.starts_with('[') =>
                    {
                        list
                    }
                    _ => {
                        records.push(document);
                        continue;
                    }
                }
            }
            _ => return None,
        };
        for element in serde_json::from_str::<Vec<&RawValue>>(list).ok()? {
            records.push(Some(element.get()).filter(|element| element.starts_with('{'))?);
        }
    }
    (!records.is_empty() || !text.trim().is_empty()).then_some(records)
}

/// Writes an object with another field on one line.
fn write_record(object: &str, envelope: &[u8], target: &mut dyn Write) -> io::Result<()> {
    let members = object.trim_end();
    let members = members.strip_suffix('}').unwrap_or(members);
    // Line ends of JSON are between its values, where a space means the same.
    let mut line: Vec<u8> =
        members.bytes().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }).collect();
    if !members[1..].trim().is_empty() {
        line.push(b',');
    }
    line.extend_from_slice(b"\"EventHub\":");
    line.extend_from_slice(envelope);
    line.extend_from_slice(b"}\n");
    target.write_all(&line)
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Read};
    use std::sync::Arc;

    use arrow::array::{ArrayRef, BinaryArray, Int64Array, StringArray};
    use arrow_avro::writer::AvroWriter;

    use super::*;

    fn text_of(columns: Vec<(&str, ArrayRef)>) -> String {
        let batch = RecordBatch::try_from_iter_with_nullable(
            columns.into_iter().map(|(name, array)| (name, array, true)),
        )
        .unwrap();
        let mut writer = AvroWriter::new(Vec::new(), batch.schema().as_ref().clone()).unwrap();
        writer.write(&batch).unwrap();
        writer.finish().unwrap();
        let mut text = String::new();
        avro(Box::new(Cursor::new(writer.into_inner()))).unwrap().read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn records_of_avro_are_objects() {
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("user", Arc::new(StringArray::from(vec![Some("ada"), None]))),
            ("bytes", Arc::new(Int64Array::from(vec![5, 6]))),
        ];
        assert_eq!(text_of(columns), "{\"user\":\"ada\",\"bytes\":5}\n{\"bytes\":6}\n");
    }

    #[test]
    fn messages_of_capture_are_their_bodies() {
        let bodies = [
            "{\"records\":[{\"a\":1},{\"a\":\"x\"}]}",
            "{\"a\":2,\n\"records\":[]}",
            "[{\"a\":3}]\n{}",
            "plain \"text\"",
        ];
        let numbers: Vec<i64> = (1..=4).collect();
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("SequenceNumber", Arc::new(Int64Array::from(numbers))),
            ("EnqueuedTimeUtc", Arc::new(StringArray::from(vec!["1/5/2026 8:00:00 AM"; 4]))),
            ("Body", Arc::new(BinaryArray::from_iter_values(bodies))),
        ];
        let hub = |number: i64| {
            format!(
                "\"EventHub\":{{\"SequenceNumber\":{number},\"EnqueuedTimeUtc\":\"1/5/2026 8:00:00 AM\"}}}}\n"
            )
        };
        let wanted = [
            format!("{{\"a\":1,{}", hub(1)),
            format!("{{\"a\":\"x\",{}", hub(1)),
            format!("{{\"a\":2, \"records\":[],{}", hub(2)),
            format!("{{\"a\":3,{}", hub(3)),
            format!("{{{}", hub(3)),
            format!("{{\"Body\":\"plain \\\"text\\\"\",{}", hub(4)),
        ];
        assert_eq!(text_of(columns), wanted.concat());
    }

    #[test]
    fn a_broken_file_is_an_error() {
        assert!(avro(Box::new(Cursor::new(b"Obj\x01 cut".to_vec()))).is_err());
    }
}
