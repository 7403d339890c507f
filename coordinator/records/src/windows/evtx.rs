//! Reads binary event logs (EVTX) as XML, one chunk of 64 KiB after the other, so that a damaged chunk costs no other.

use std::error::Error;
use std::io::{self, Read, Write};
use std::sync::Arc;

use evtx::{EvtxChunkData, ParserSettings};
use hindcast_base::catch_panic::catch_panic_sync;

use super::super::inputs::{Bytestream, piped, read_up_to};
use super::xml::{REJECT, REJECT_END};

/// Bytes before the first chunk.
const HEADER_BYTES: usize = 4 << 10;
/// Bytes of a chunk.
const CHUNK_BYTES: usize = 64 << 10;
/// Place in the header of the index of the chunk that was written to last.
const CURRENT_CHUNK_AT: usize = 16;
/// Place in the header of the flag that the log was not closed.
const DIRTY_FLAG_AT: usize = 120;

/// The events of a log as XML, one after the other. What can't be read is an instruction that `xml::events` rejects.
///
/// # Errors
/// If the log has no header.
pub(crate) fn as_xml(mut stream: Bytestream) -> io::Result<Bytestream> {
    let mut header = [0; HEADER_BYTES];
    match read_up_to(&mut stream, &mut header) {
        (_, Some(error)) => return Err(error),
        (HEADER_BYTES, None) => {}
        _ => return Err(io::Error::other("it ends within its header")),
    }
    let current = header[CURRENT_CHUNK_AT..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let open_from = (header[DIRTY_FLAG_AT] & 1 == 1).then(|| current.saturating_add(1));
    piped(move |target| write_events(&mut stream, open_from, target))
}

/// Writes the events of all chunks. If the log was not closed, chunks from number `open_from` on may be unfinished.
fn write_events(stream: &mut dyn Read, open_from: Option<u64>, target: &mut dyn Write) -> io::Result<()> {
    let mut text = Vec::new();
    for number in 1_u64.. {
        let mut chunk = vec![0; CHUNK_BYTES];
        let (length, failure) = read_up_to(&mut &mut *stream, &mut chunk);
        text.clear();
        let is_open = open_from.is_some_and(|first| number >= first);
        // Logs have unused chunks of zeros at their end.
        if chunk.iter().any(|byte| *byte != 0) {
            let read = catch_panic_sync(|| push_events(chunk, number, is_open, &mut text));
            if let Err(panic) = read {
                push_reject(&mut text, number, &format!("its decoder panicked: {panic}"));
            }
        }
        if (1..CHUNK_BYTES).contains(&length) {
            push_reject(&mut text, number, "the file ends within it");
        }
        target.write_all(&text)?;
        if let Some(error) = failure {
            return Err(error);
        }
        if length < CHUNK_BYTES {
            break;
        }
    }
    Ok(())
}

/// Appends the events of a chunk to `text`. If the chunk is unfinished and its checksum is wrong, its header is old: then
/// events behind its last one are read too.
fn push_events(chunk: Vec<u8>, number: u64, is_open: bool, text: &mut Vec<u8>) {
    let mut chunk = match EvtxChunkData::new(chunk, false) {
        Ok(chunk) => chunk,
        Err(error) => return push_reject(text, number, &reason_of(&error)),
    };
    let (is_wrong, last_id) = (!chunk.validate_checksum(), chunk.header.last_event_record_id);
    let settings = ParserSettings::new().num_threads(1).indent(false).recover_records(is_wrong && is_open);
    let mut parsed = match chunk.parse(Arc::new(settings)) {
        Ok(parsed) => parsed,
        Err(error) => return push_reject(text, number, &reason_of(&error)),
    };
    let mut events = 0;
    for event in parsed.iter() {
        // Behind the last event may also be events that the log overwrote: they have lower numbers.
        if event.as_ref().is_ok_and(|event| event.recovered && event.event_record_id <= last_id) {
            continue;
        }
        match event.and_then(evtx::EvtxRecord::into_xml_bytes) {
            Ok(event) => {
                events += 1;
                text.extend(event.data);
                text.push(b'\n');
            }
            Err(error) => push_reject(text, number, &format!("an event in it: {}", reason_of(&error))),
        }
    }
    if is_wrong && !is_open {
        let kept = format!("its checksum is wrong; its {events} readable events are imported");
        push_reject(text, number, &kept);
    }
}

fn push_reject(text: &mut Vec<u8>, number: u64, reason: &str) {
    let first_byte = HEADER_BYTES as u64 + (number - 1) * CHUNK_BYTES as u64;
    let place = format!("chunk {number} of the event log (from byte {first_byte} on) is damaged");
    text.extend(format!("{REJECT}{place}: {}{REJECT_END}\n", reason.replace(REJECT_END, "?")).bytes());
}

/// An error with its causes.
fn reason_of(error: &dyn Error) -> String {
    let (mut text, mut cause) = (error.to_string(), error.source());
    while let Some(inner) = cause {
        text.push_str(&format!(": {inner}"));
        cause = inner.source();
    }
    text
}
