//! Decodes text that is not UTF-8: UTF-16 and UTF-32 for a whole file, Windows-1252 record by record.

use std::borrow::Cow;
use std::io::{self, Cursor, Read};

use super::inputs::{Bytestream, peeked, read_up_to};

/// Bytes from which the encoding is detected.
const HEAD_BYTES: usize = 4 << 10;
/// Bytes decoded per step.
const CHUNK_BYTES: usize = 64 << 10;
/// Replaces a code unit that is not a character. It is not UTF-8, so the record is rejected.
const NO_CHARACTER: u8 = 0xff;

/// Windows-1252 characters for the bytes 0x80 to 0x9f; NUL for bytes without a character.
const WINDOWS_1252: [char; 32] = [
    '€', '\0', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\0', 'Ž', '\0', //
    '\0', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\0', 'ž', 'Ÿ',
];

/// An encoding with code units of several bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Wide {
    /// Bytes of a code unit: 2 or 4.
    unit: usize,
    is_big_endian: bool,
}

impl Wide {
    /// The encoding of a text that begins with `head`, and the length of its byte order mark; `None` if code units are
    /// bytes.
    fn of(head: &[u8]) -> Option<(Self, usize)> {
        let wide = |unit, is_big_endian| Self { unit, is_big_endian };
        match head {
            [0xff, 0xfe, 0, 0, ..] => return Some((wide(4, false), 4)),
            [0, 0, 0xfe, 0xff, ..] => return Some((wide(4, true), 4)),
            [0xff, 0xfe, ..] => return Some((wide(2, false), 2)),
            [0xfe, 0xff, ..] => return Some((wide(2, true), 2)),
            _ => {}
        }
        // Without a mark: most characters are ASCII, so all but one of their bytes are 0.
        let zeros = |unit: usize, place: usize| {
            let bytes = head.chunks_exact(unit);
            let all = bytes.len();
            let zeros = bytes.filter(|bytes| bytes[place] == 0).count();
            if all > 1 { zeros as f64 / all as f64 } else { 0.0 }
        };
        let is_wide = |wide: Self| {
            let low = if wide.is_big_endian { wide.unit - 1 } else { 0 };
            (0..wide.unit).all(|place| match place == low {
                true => zeros(wide.unit, place) < 0.05,
                false => zeros(wide.unit, place) > 0.5,
            })
        };
        let found =
            [wide(4, false), wide(4, true), wide(2, false), wide(2, true)].into_iter().find(|w| is_wide(*w));
        found.map(|wide| (wide, 0))
    }

    fn name(self) -> &'static str {
        match (self.unit, self.is_big_endian) {
            (2, false) => "UTF-16LE",
            (2, true) => "UTF-16BE",
            (_, false) => "UTF-32LE",
            (_, true) => "UTF-32BE",
        }
    }

    fn unit_of(self, bytes: &[u8]) -> u32 {
        let value = |value: u32, byte: &u8| value << 8 | u32::from(*byte);
        match self.is_big_endian {
            true => bytes.iter().fold(0, value),
            false => bytes.iter().rev().fold(0, value),
        }
    }

    /// Appends the characters of `bytes` to `text`; returns how many bytes at the end are part of a character.
    fn decode(self, bytes: &[u8], text: &mut Vec<u8>) -> usize {
        let mut units: Vec<u32> = bytes.chunks_exact(self.unit).map(|bytes| self.unit_of(bytes)).collect();
        let mut left = bytes.len() % self.unit;
        if self.unit == 2 && units.last().is_some_and(|unit| (0xd800..0xdc00).contains(unit)) {
            units.pop();
            left += self.unit;
        }
        let mut put = |character: Option<char>| match character {
            Some(character) => text.extend(character.encode_utf8(&mut [0; 4]).as_bytes()),
            None => text.push(NO_CHARACTER),
        };
        match self.unit {
            2 => char::decode_utf16(units.into_iter().map(|unit| unit as u16)).for_each(|c| put(c.ok())),
            _ => units.into_iter().for_each(|unit| put(char::from_u32(unit))),
        }
        left
    }
}

/// Wraps `reader` so that UTF-16 and UTF-32 are read as UTF-8. Also returns the name of the encoding.
pub fn decoded(reader: Bytestream) -> (Bytestream, &'static str) {
    let (head, mut whole) = peeked(reader, HEAD_BYTES);
    let Some((wide, mark)) = Wide::of(&head) else { return (whole, "UTF-8") };
    // The mark was read, and so it can be read again.
    let _ = read_up_to(&mut whole, &mut [0; 4][..mark]);
    let (bytes, text) = (Vec::new(), Cursor::default());
    (Box::new(Decoder { wide, reader: whole, bytes, text, failure: None }), wide.name())
}

struct Decoder {
    wide: Wide,
    reader: Bytestream,
    /// Bytes not decoded yet: between reads, less than a character.
    bytes: Vec<u8>,
    text: Cursor<Vec<u8>>,
    /// The error to return after the text.
    failure: Option<io::Error>,
}

impl Read for Decoder {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut length = self.text.read(buffer)?;
        while length == 0 && !buffer.is_empty() {
            if let Some(error) = self.failure.take() {
                return Err(error);
            }
            let left = self.bytes.len();
            self.bytes.resize(left + CHUNK_BYTES, 0);
            let (read, failure) = read_up_to(&mut self.reader, &mut self.bytes[left..]);
            self.bytes.truncate(left + read);
            self.failure = failure;
            if read == 0 && self.failure.is_some() {
                continue;
            }
            let mut text = std::mem::take(&mut self.text).into_inner();
            text.clear();
            if read == 0 && left == 0 {
                return Ok(0);
            }
            let undecoded = match read {
                // The text ends within a character.
                0 => {
                    text.push(NO_CHARACTER);
                    0
                }
                _ => self.wide.decode(&self.bytes, &mut text),
            };
            self.bytes.drain(..self.bytes.len() - undecoded);
            self.text = Cursor::new(text);
            length = self.text.read(buffer)?;
        }
        Ok(length)
    }
}

/// The text of a record: UTF-8, or Windows-1252, which is decoded and owned.
///
/// # Errors
/// Why it is neither. Text that is partly UTF-8 is damaged UTF-8; as Windows-1252 it would give wrong characters.
pub fn text_of(bytes: &[u8]) -> Result<Cow<'_, str>, String> {
    let broken = match std::str::from_utf8(bytes) {
        Ok(text) => return Ok(Cow::Borrowed(text)),
        Err(error) => error.valid_up_to() + 1,
    };
    if bytes.utf8_chunks().any(|chunk| !chunk.valid().is_ascii()) {
        return Err(format!("is not UTF-8 text, from its byte {broken} on"));
    }
    let character = |byte: &u8| match byte {
        0x80..=0x9f => Some(WINDOWS_1252[usize::from(byte - 0x80)]).filter(|character| *character != '\0'),
        byte => Some(char::from(*byte)),
    };
    let text: Option<String> = bytes.iter().map(character).collect();
    text.map(Cow::Owned)
        .ok_or_else(|| format!("is neither UTF-8 nor Windows-1252 text, from its byte {broken} on"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text in an encoding, without a mark.
    fn encoded(text: &str, wide: Wide) -> Vec<u8> {
        let units: Vec<u32> = match wide.unit {
            2 => text.encode_utf16().map(u32::from).collect(),
            _ => text.chars().map(u32::from).collect(),
        };
        let bytes = |unit: u32| {
            let bytes = unit.to_be_bytes()[4 - wide.unit..].to_vec();
            if wide.is_big_endian { bytes } else { bytes.into_iter().rev().collect::<Vec<u8>>() }
        };
        units.into_iter().flat_map(bytes).collect()
    }

    fn read(bytes: Vec<u8>) -> Vec<u8> {
        let mut text = Vec::new();
        decoded(Box::new(Cursor::new(bytes))).0.read_to_end(&mut text).unwrap();
        text
    }

    #[test]
    fn wide_text_is_read_with_and_without_a_mark() {
        let text = "TimeGenerated,User\r\n2026-01-05T08:00:00Z,müller €😀\r\n".repeat(4_000);
        for (unit, is_big_endian) in [(2, false), (2, true), (4, false), (4, true)] {
            let wide = Wide { unit, is_big_endian };
            assert_eq!(read(encoded(&text, wide)), text.as_bytes(), "{wide:?}");
            assert_eq!(read(encoded(&format!("\u{feff}{text}"), wide)), text.as_bytes(), "{wide:?}");
            let mut cut = encoded(&text, wide);
            cut.pop();
            assert_eq!(read(cut).last(), Some(&NO_CHARACTER));
        }
        for text in ["", "a", "\0\0\0\0\0\0\0\0", "{\"a\":1}\n\0\0\0\0\0\0\0\0\0\0{\"a\":2}\n"] {
            assert_eq!(read(text.into()), text.as_bytes());
        }
        let lone = [&[0x41, 0, 0x3d, 0xd8, 0x42, 0][..], &[0x43, 0].repeat(9)].concat();
        assert!(read(lone).starts_with(&[b'A', NO_CHARACTER, b'B', b'C']));
    }

    #[test]
    fn text_that_is_not_utf8_is_windows_1252_or_an_error() {
        assert_eq!(text_of("müller".as_bytes()), Ok(Cow::Borrowed("müller")));
        assert_eq!(text_of(b"m\xfcller \x80"), Ok(Cow::Owned("müller €".to_owned())));
        assert!(text_of(&"müllé".as_bytes()[..6]).unwrap_err().contains("not UTF-8"));
        assert!(text_of(b"a\x81").unwrap_err().contains("Windows-1252"));
    }
}
