//! State files with hashes ("sealed"), so that readers detect any changed bit in what they read.
//!
//! A file's name contains a hash of its tail, which consists of the page indexes and the footer. The footer contains a hash of
//! each chunk of the pages before it. So a reader of a part of the file checks that part, and other programs see plain Parquet.

use std::ops::Range;

use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{KeyValue, ParquetMetaData};
use serde::{Deserialize, Serialize};

/// Key of the hashes in the footer's metadata.
const SEAL_KEY: &str = "hindcast.chunks";
/// Bytes per chunk: reads of pages are extended to whole chunks.
const CHUNK_BYTES: usize = 16 << 10;
/// Hexadecimal digits of a hash: a random change keeps the same hash once in 10^19 times.
const HASH_DIGITS: usize = 16;

/// A state file, or the file of a side table, with what is needed to read and check it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StateFile {
    /// Path relative to the state's folder, so that the folder can be moved. The hash of the tail is in front of the ending.
    pub path: String,
    /// Size in bytes.
    pub bytes: u64,
    /// Bytes of the page indexes and the footer.
    pub tail_bytes: u64,
}

impl StateFile {
    /// The hash of the tail in the name.
    pub(super) fn content(&self) -> &str {
        self.path.rsplit('.').nth(1).unwrap_or_default()
    }
}

/// Hash of a state file's tail for its name.
pub fn content_hash(tail: &[u8]) -> String {
    blake3::hash(tail).to_hex()[..HASH_DIGITS].to_owned()
}

/// The footer's entry with the hashes of `pages`, which are all bytes before the page indexes.
pub fn seal_of(pages: &[u8]) -> KeyValue {
    let hashes: String = pages.chunks(CHUNK_BYTES).map(content_hash).collect();
    KeyValue::new(SEAL_KEY.to_owned(), hashes)
}

/// The hashes of a file's chunks, from its footer.
#[derive(Debug)]
pub(super) struct Seal(String);

impl Seal {
    pub(super) fn of(metadata: &ParquetMetaData) -> Result<Self> {
        let mut entries = metadata.file_metadata().key_value_metadata().into_iter().flatten();
        let seal = entries.find(|entry| entry.key == SEAL_KEY).and_then(|entry| entry.value.clone());
        seal.map(Self).ok_or_else(|| changed("the footer has no hashes of its pages"))
    }

    /// Checks `bytes`, which start at the chunk boundary `start`.
    pub(super) fn check(&self, start: u64, bytes: &[u8]) -> Result<()> {
        let first = start as usize / CHUNK_BYTES;
        for (index, chunk) in (first..).zip(bytes.chunks(CHUNK_BYTES)) {
            let expected = self.0.get(index * HASH_DIGITS..(index + 1) * HASH_DIGITS);
            if expected != Some(&blake3::hash(chunk).to_hex()[..HASH_DIGITS]) {
                return Err(changed(&format!("the bytes from {} on", index * CHUNK_BYTES)));
            }
        }
        Ok(())
    }
}

/// Ranges of whole chunks of the first `pages_end` bytes that cover all of `ranges`, in order; adjacent ones are joined.
pub(super) fn chunks_of(ranges: &[Range<u64>], pages_end: u64) -> Vec<Range<u64>> {
    let chunk = CHUNK_BYTES as u64;
    let whole = |range: &Range<u64>| {
        range.start / chunk * chunk..range.end.div_ceil(chunk).saturating_mul(chunk).min(pages_end)
    };
    let mut spans: Vec<Range<u64>> = ranges.iter().map(whole).collect();
    spans.sort_by_key(|span| span.start);
    let mut joined: Vec<Range<u64>> = Vec::new();
    for span in spans {
        match joined.last_mut() {
            Some(last) if span.start <= last.end => last.end = last.end.max(span.end),
            _ => joined.push(span),
        }
    }
    joined
}

/// The error that a file has changed since it was written.
pub(super) fn changed(place: &str) -> ParquetError {
    ParquetError::General(format!("the file has changed since it was written: {place}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_extended_to_whole_chunks_and_joined() {
        let chunk = CHUNK_BYTES as u64;
        let ranges = [chunk * 5 + 1..chunk * 5 + 2, 3..4, 1..chunk + 1, chunk * 6 - 1..chunk * 6 + 7];
        assert_eq!(chunks_of(&ranges, chunk * 6 + 9), [0..chunk * 2, chunk * 5..chunk * 6 + 9]);
        assert!(chunks_of(&[], 100).is_empty());
    }

    #[test]
    fn any_changed_bit_of_a_chunk_is_detected() {
        let mut pages: Vec<u8> = (0..CHUNK_BYTES * 2 + 10).map(|byte| byte as u8).collect();
        let seal = Seal(seal_of(&pages).value.unwrap());
        seal.check(0, &pages).unwrap();
        seal.check(CHUNK_BYTES as u64, &pages[CHUNK_BYTES..]).unwrap();
        seal.check(0, &pages[CHUNK_BYTES..]).unwrap_err();
        for at in [0, CHUNK_BYTES, CHUNK_BYTES * 2 + 9] {
            pages[at] ^= 4;
            seal.check(0, &pages).unwrap_err();
            pages[at] ^= 4;
        }
        pages.truncate(CHUNK_BYTES * 2 + 9);
        seal.check(0, &pages).unwrap_err();
        pages.resize(CHUNK_BYTES * 3 + 1, 0);
        seal.check(0, &pages).unwrap_err();
    }
}
